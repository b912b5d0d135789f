"""The teacher: hibari-tts, cut open at its durations, so that every phone fills a whole number of code frames.

A code frame is 80 ms. The teacher's own lengths are rounded to that grid, at least one
code frame a phone; a frame then holds one phone and no more, and the first code of the frame can simply name it.
The network's outputs (spectral envelopes and pitch) come out before the waveform is made, so a second speaker is a
matter of lowering the pitch and narrowing the envelopes.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import hibari
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from hibari import Hibari, dsp

Floats = npt.NDArray[np.float32]

SAMPLE_RATE = 24_000
FRAME_SAMPLES = 1920
HOP = dsp.HOP
TICKS_PER_FRAME = FRAME_SAMPLES / (2 * HOP)
"""The teacher counts lengths in ticks of 25 ms; one tick is two frames of its output."""

STRETCH = 1.0
LEAD_FRAMES = 4
"""Silence before the first phone: the text runs ahead of the speech by as much."""

_MARKS = "ˈˌ"
_TAILS = "ːʰʲ̃"
_PAUSES = {",": 2, ";": 3, ":": 3, ".": 3, "!": 3, "?": 3, "—": 3, "…": 3}
_DROPPED = '"()“”'
SILENCE = "_"
_LOWEST_PITCH = 40.0
"""Hz: what is below has no voice."""


@dataclass(frozen=True)
class Speaker:
    """How a speaker differs from the teacher: pitch times `pitch`, formants times `formants`. Samples are multiplied by
    `loudness`, by which both are as loud and clamping at 1 is rare. `melody`: the pitch's rises and falls, to the power
    of that."""

    name: str
    pitch: float
    formants: float
    loudness: float
    melody: float = 1.0


SPEAKERS = (Speaker("chelsie", 1.0, 1.0, 1.8), Speaker("ethan", 0.56, 0.86, 0.65))


@dataclass(frozen=True)
class Unit:
    """One phone with its stress mark, or a silence: the phonetic symbols it is made of, and the word it is in."""

    phone: str
    symbols: str
    word: int


@dataclass(frozen=True)
class Rendering:
    """What the teacher says to one text. Per code frame: `phones` (names), `places` (0 first frame of its phone,
    1 later, 2 last of several), `words` (index of the word, -1 in silence). Per teacher frame: the envelopes and `f0`.
    """

    phones: tuple[str, ...]
    places: tuple[int, ...]
    words: tuple[int, ...]
    outputs: tuple[Floats, ...]

    @property
    def frames(self) -> int:
        return len(self.phones)


@dataclass(frozen=True)
class Timed:
    """What the teacher says at any rate, and when: `outputs` as a rendering's; of each phone its name and when it ends,
    in seconds; of each word when it begins."""

    outputs: tuple[Floats, ...]
    phones: tuple[tuple[str, float], ...]
    starts: tuple[float, ...]


@lru_cache(maxsize=1)
def teacher() -> Hibari:
    """The packaged voice, for spelling to phones."""
    return Hibari()


@lru_cache(maxsize=1)
def _sessions() -> tuple[Any, Any]:
    """(ids, speed) -> durations, and (ids, durations) -> envelopes: two halves of the packaged network."""
    path = Path(hibari.__file__).parent / "assets" / "hibari.onnx"
    graph = onnx.load(path)
    rounding = next(node for node in graph.graph.node if node.op_type == "Round")
    whole = next(node for node in graph.graph.node if node.op_type == "Clip" and node.input[0] == rounding.output[0])
    return (
        _cut(graph, ["ids", "speed"], [rounding.input[0]]),
        _cut(graph, ["ids", whole.output[0]], [output.name for output in graph.graph.output]),
    )


def _cut(model: Any, inputs: list[str], outputs: list[str]) -> Any:
    """A session over the part of the network between two sets of tensors."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    known = {value.name: value for value in (*part.graph.input, *part.graph.output)}
    free = {name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inputs + outputs}
    needed, kept = set(outputs), []
    for node in reversed(part.graph.node):
        if needed.intersection(node.output) and not set(inputs).intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del part.graph.node[:], part.graph.input[:], part.graph.output[:]
    part.graph.node.extend(reversed(kept))
    part.graph.input.extend(known.get(name, free[name]) for name in inputs)
    part.graph.output.extend(known.get(name, free[name]) for name in outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(part.SerializeToString(), options)


def parse_units(phonemes: str) -> list[Unit]:
    """Split a phoneme string into phones and silences. A space belongs to the phone after it."""
    units: list[Unit] = []
    pending, word = "", 0
    for symbol in phonemes:
        if symbol == " ":
            pending += symbol
            word += 1
        elif symbol in _MARKS:
            pending += symbol
        elif symbol in _PAUSES:
            units.append(Unit(SILENCE, pending + symbol, -1))
            pending = ""
        elif symbol in _TAILS and units:
            last = units[-1]
            units[-1] = Unit(last.phone + symbol, last.symbols + symbol, last.word)
        else:
            stressed = any(mark in _MARKS for mark in pending)
            units.append(Unit(_MARKS[0] * stressed + symbol, pending + symbol, word))
            pending = ""
    return units


def frames_of(units: list[Unit], ticks: list[Floats], stretch: float) -> list[int]:
    """Code frames of every unit: the teacher's length rounded to the grid, at least one."""
    counts = []
    for unit, own in zip(units, ticks, strict=True):
        natural = float(own.sum()) * stretch / TICKS_PER_FRAME
        least = _PAUSES[unit.symbols[-1]] if unit.phone == SILENCE else 1
        counts.append(max(least, round(natural)))
    return counts


def render(text: str, stretch: float = STRETCH, lead: int = LEAD_FRAMES) -> Rendering | None:
    """Let the teacher say one sentence. None where it has a symbol that the teacher does not know."""
    units = _units_of(text)
    if units is None:
        return None
    ids = _ids_of(units)
    split = _natural_ticks(ids, units)
    counts = frames_of(units, split, stretch)
    return Rendering(*_labels(units, counts, lead), _said(ids, _gridded(split, counts, lead)))


def _units_of(text: str) -> list[Unit] | None:
    phonemes = "".join(symbol for symbol in " ".join(teacher().phonemize(text)).strip() if symbol not in _DROPPED)
    units = parse_units(phonemes)
    if not units or any(symbol not in teacher().vocab for unit in units for symbol in unit.symbols):
        return None
    return units


def render_timed(text: str, stretch: float, on_grid: bool) -> Timed | None:
    """Let the teacher say a text `stretch` times as long as it would: by whole code frames, as the voice does it, or
    freely. None where it has a symbol that the teacher does not know, or no word for each word of the text."""
    units = _units_of(text)
    if units is None:
        return None
    ids = _ids_of(units)
    split = _natural_ticks(ids, units)
    if on_grid:
        ticks = _gridded(split, frames_of(units, split, stretch), LEAD_FRAMES)
    else:
        lead = round(LEAD_FRAMES * TICKS_PER_FRAME)
        ticks = [lead, *(max(1, round(float(own) * stretch)) for unit in split for own in unit), lead // 2]
    ends = np.cumsum(ticks)[np.cumsum([0, *(len(unit.symbols) for unit in units)])] * (2 * HOP / SAMPLE_RATE)
    starts: dict[int, float] = {}
    for unit, begin in zip(units, ends, strict=False):
        if unit.word >= 0:
            starts.setdefault(unit.word, float(begin))
    if len(starts) != len(text.split()):
        return None
    names = (SILENCE, *(unit.phone for unit in units))
    return Timed(_said(ids, ticks), tuple(zip(names, map(float, ends), strict=True)), tuple(starts.values()))


def _ids_of(units: list[Unit]) -> list[int]:
    return [0, *(teacher().vocab[symbol] for unit in units for symbol in unit.symbols), 0]


def _said(ids: list[int], ticks: list[int]) -> tuple[Floats, ...]:
    """The network's outputs for symbols of so many ticks each."""
    feeds = {"ids": np.asarray([ids], np.int64), _duration_input(): np.asarray(ticks, np.float32)}
    return tuple(array[0] for array in _sessions()[1].run(None, feeds))


def _duration_input() -> str:
    return str(_sessions()[1].get_inputs()[1].name)


def _natural_ticks(ids: list[int], units: list[Unit]) -> list[Floats]:
    feeds = {"ids": np.asarray([ids], np.int64), "speed": np.ones(1, np.float32)}
    durations = np.maximum(_sessions()[0].run(None, feeds)[0].reshape(-1), 0.3)
    ends = 1 + np.cumsum([len(unit.symbols) for unit in units])
    return [durations[end - len(unit.symbols) : end] for unit, end in zip(units, ends, strict=True)]


def _gridded(split: list[Floats], counts: list[int], lead: int) -> list[int]:
    """Whole ticks for every symbol, so that every unit ends on the grid."""
    ends = [round(TICKS_PER_FRAME * frame) for frame in np.cumsum([lead, *counts, 1])]
    ticks = [ends[0]]
    for own, start, end in zip(split, ends, ends[1:], strict=False):
        inner = np.round(np.cumsum(own) / own.sum() * (end - start)).astype(int)
        ticks += np.diff(inner, prepend=0).tolist()
    return [*ticks, ends[-1] - ends[-2]]


def _labels(
    units: list[Unit], counts: list[int], lead: int
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    phones, places, words = [SILENCE] * lead, [1] * lead, [-1] * lead
    for unit, count in zip(units, counts, strict=True):
        phones += [unit.phone] * count
        places += [0, *[1] * (count - 2), 2] if count > 1 else [0]
        words += [unit.word] * count
    return (*phones, SILENCE), (*places, 1), (*words, -1)


def voiced_as(rendering: Rendering | Timed, speaker: Speaker) -> tuple[Floats, ...]:
    """The network's outputs as another speaker's: envelopes narrowed along frequency, pitch lowered."""
    *spectra, f0 = rendering.outputs
    if speaker.formants != 1.0:
        bins = np.arange(spectra[0].shape[0], dtype=np.float32)
        spectra = [_warped(array, bins / speaker.formants) for array in spectra]
    pitched = f0 >= _LOWEST_PITCH
    if speaker.melody != 1.0 and pitched.any():
        middle = np.float32(np.exp(np.mean(np.log(f0[pitched]))))
        f0 = np.where(pitched, middle * (np.maximum(f0, 1) / middle) ** np.float32(speaker.melody), f0)
    return (*spectra, f0 * np.float32(speaker.pitch))


def _warped(array: Floats, positions: Floats) -> Floats:
    low = np.minimum(positions.astype(int), array.shape[0] - 2)
    share = np.minimum(positions - low, 1.0).astype(np.float32)[:, None]
    return np.asarray(array[low] * (1 - share) + array[low + 1] * share, dtype=np.float32)


def waveform(outputs: tuple[Floats, ...], speaker: Speaker, seed: int) -> Floats:
    """Envelopes and pitch of a speaker -> 24 kHz samples."""
    samples = dsp.synth(*outputs, np.random.default_rng(seed)) * speaker.loudness
    return np.clip(samples, -1, 1).astype(np.float32)


@lru_cache(maxsize=1)
def spelled_words() -> tuple[str, ...]:
    """Every plain lower-case word in the teacher's dictionary, sorted."""
    path = Path(hibari.__file__).parent / "assets" / "lexicon_us_gold.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lexicon = json.load(file)
    return tuple(sorted(word for word in lexicon if word.isascii() and word.isalpha() and word.islower()))
