"""Every known mistake, as a small change that can be tried: of the codes, of the vocoder, of the talker's inputs.

None of them touches the engine. Codes and prompts are changed before they go in; the vocoder is the NumPy mirror,
which is told how to be wrong. Each has the id of the finding that it proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.vocoder_mirror import RIGHT, Choices, VocoderMirror
from omniggml.model import TalkerPrompt

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
Codes = Callable[[IntArray], IntArray]


CODE_CAUSES = {
    "codes.delayed": "delay",
    "codes.off-by-one": "ids",
    "codes.reversed-ids": "ids",
    "codes.doubled": "doubled",
    "codes.other-frames": "mixed",
}
"""What an arrangement is for programs, where it is not "order"."""


# --- codes: what may have been done to them, undone -------------------------------------------------------------------


@dataclass(frozen=True)
class Arrangement:
    """A way to bring codes back: `undo` maps what was given to what the model may have said."""

    id: str
    sentence: str
    undo: Codes


def arrangements(codes: IntArray, groups: int, codebook: int) -> Iterator[Arrangement]:
    """Those that fit codes [groups, frames] of a model with so many groups and codes."""
    if len(codes) != groups:
        return
    yield Arrangement("codes.group-order", "the groups are in reverse order", lambda c: c[::-1])
    for shift in range(1, groups):
        yield Arrangement("codes.group-order", f"the groups are rotated by {shift}", _rotated_back(shift))
    if groups % 2 == 0:
        yield Arrangement("codes.group-order", "even and odd groups are sorted apart", _interleaved)
    yield Arrangement("codes.frame-order", "the frames run backwards", lambda c: c[:, ::-1])
    yield Arrangement(
        "codes.transposed",
        "frames and groups were mixed up when the array was reshaped",
        lambda c: np.ascontiguousarray(c).reshape(c.shape[1], c.shape[0]).T,
    )
    yield from _renumbered(codes, codebook)
    yield from _moved(groups)
    yield from _every_other(codes)
    for one in range(groups):
        for other in range(one):
            yield Arrangement("codes.group-order", f"groups {other} and {one} are exchanged", _exchanged(one, other))


def _renumbered(codes: IntArray, codebook: int) -> Iterator[Arrangement]:
    """Ids counted otherwise, of all groups, of the talker's or of the predictor's."""
    for by, word in ((1, "high"), (-1, "low")):
        inside = codes.min(initial=1) >= 1 if by > 0 else codes.max(initial=0) < codebook - 1
        if inside:
            yield Arrangement("codes.off-by-one", f"all codes are one too {word}", _lowered(by, codebook, slice(None)))
        else:
            yield Arrangement(
                "codes.off-by-one",
                f"all codes are one too {word}, and wrap around the codebook",
                _lowered(by, codebook, slice(None)),
            )
        for rows, whose in ((slice(0, 1), "the talker's"), (slice(1, None), "the predictor's")):
            yield Arrangement("codes.off-by-one", f"{whose} codes are one too {word}", _lowered(by, codebook, rows))
    yield Arrangement("codes.reversed-ids", "codes are counted from the codebook's end", lambda c: codebook - 1 - c)


def _lowered(by: int, codebook: int, rows: slice) -> Codes:
    def undo(codes: IntArray) -> IntArray:
        out = codes.copy()
        out[rows] = (out[rows] - by) % codebook
        return out

    return undo


def _moved(groups: int) -> Iterator[Arrangement]:
    """Groups moved in time against each other, and frames in another order."""
    yield Arrangement(
        "codes.delayed", "each group comes a frame later than the one before it", lambda c: _shifted(c, range(len(c)))
    )
    for by, when in ((1, "later"), (-1, "earlier")):
        moves = [0, *[by] * (groups - 1)]
        yield Arrangement("codes.delayed", f"the predictor's groups come a frame {when}", _shifting(moves))
        for group in range(groups):
            for frames in (1, 2):
                moves = [by * frames if g == group else 0 for g in range(groups)]
                yield Arrangement(
                    "codes.delayed",
                    f"group {group} comes {'a frame' if frames == 1 else 'two frames'} {when}",
                    _shifting(moves),
                )
    yield Arrangement("codes.frame-order", "each two frames are exchanged", _pairs_exchanged)
    for by in (1, -1, 2, -2, 3, -3):
        yield Arrangement(
            "codes.frame-order",
            f"the stream of codes is cut into frames {abs(by)} {'code' if abs(by) == 1 else 'codes'} "
            f"{'late' if by > 0 else 'early'}",
            _streamed(by),
        )


def _every_other(codes: IntArray) -> Iterator[Arrangement]:
    """Frames between the others: the same again, or of something else."""
    n = codes.shape[1] // 2 * 2
    if n and (codes[:, :n:2] == codes[:, 1:n:2]).all(axis=0).mean() > 0.5:
        yield Arrangement("codes.doubled", "each frame comes twice", lambda c: c[:, ::2])
    else:
        yield Arrangement("codes.other-frames", "every other frame is of something else", lambda c: c[:, ::2])


def frames_moved_by(arrangement: Arrangement, codes: IntArray) -> IntArray | None:
    """Which frames come after each other where it is undone, [frames]; None where it moves codes within frames."""
    if arrangement.id not in ("codes.frame-order", "codes.other-frames"):
        return None
    places = np.broadcast_to(np.arange(codes.shape[1], dtype=np.int32), codes.shape)
    undone = np.asarray(arrangement.undo(np.ascontiguousarray(places)), np.int32)
    return undone[0] if (undone == undone[0]).all() else None


def _shifting(moves: Sequence[int]) -> Codes:
    return lambda codes: _shifted(codes, moves)


def _shifted(codes: IntArray, moves: Sequence[int]) -> IntArray:
    """Each group's frames, moved back; what has no partner is left out at the ends."""
    moved = np.stack([np.roll(row, -by) for row, by in zip(codes, moves, strict=True)])
    first, last = -min(0, *moves), len(moved[0]) - max(0, *moves)
    return moved[:, first:last]


def _pairs_exchanged(codes: IntArray) -> IntArray:
    n = codes.shape[1] // 2 * 2
    pairs = codes[:, :n].reshape(len(codes), -1, 2)[:, :, ::-1].reshape(len(codes), -1)
    return np.concatenate([pairs, codes[:, n:]], axis=1)


def _streamed(by: int) -> Codes:
    return lambda codes: np.roll(codes.T.ravel(), -by).reshape(codes.T.shape).T


def _exchanged(one: int, other: int) -> Codes:
    def undo(codes: IntArray) -> IntArray:
        out = codes.copy()
        out[[one, other]] = out[[other, one]]
        return out

    return undo


def _rotated_back(shift: int) -> Codes:
    return lambda codes: np.roll(codes, -shift, axis=0)


def _interleaved(codes: IntArray) -> IntArray:
    half = len(codes) // 2
    return np.stack([codes[:half], codes[half:]], axis=1).reshape(codes.shape)


# --- vocoder ----------------------------------------------------------------------------------------------------------


def kept(codes: IntArray) -> IntArray:
    """Codes as they are."""
    return codes


@dataclass(frozen=True)
class VocoderMistake:
    """A vocoder with a mistake: `codes` changes what goes in, `choices` how it is computed."""

    name: str
    choices: Choices = RIGHT
    codes: Codes = kept

    @property
    def id(self) -> str:
        return f"vocoder.{self.name}"

    @property
    def cause(self) -> dict[str, str]:
        """It for programs."""
        kind, where = _CAUSES[self.name]
        return {"kind": kind, "where": where}

    def run(self, mirror: VocoderMirror, codes: IntArray) -> FloatArray:
        """The samples that it makes of codes [groups, frames]."""
        return mirror(self.codes(codes), self.choices)


def vocoder_mistakes(geometry: Mapping[str, Any], n_frames: int) -> Iterator[VocoderMistake]:
    """Those that change anything with this geometry (of code2wav) and so many frames."""
    size, window = geometry["codebook_size"], geometry["sliding_window"]
    yield VocoderMistake("sum-for-mean", Choices(pool="sum"))
    yield VocoderMistake("wrong-split", Choices(stride=2 * size), lambda codes: codes[: len(codes) // 2])
    yield VocoderMistake("wrong-split", Choices(stride=2 * size), lambda codes: codes[1 : len(codes) // 2 + 1])
    yield VocoderMistake("wrong-split", Choices(stride=size // 2))
    yield VocoderMistake("no-offset", Choices(stride=0))
    yield VocoderMistake("double-offset", Choices(stride=2 * size))
    yield VocoderMistake("reversed-groups", codes=lambda codes: codes[::-1])
    yield VocoderMistake("shifted-groups", codes=lambda codes: np.roll(codes, 1, axis=0))
    yield VocoderMistake("shifted-groups", codes=lambda codes: np.roll(codes, -1, axis=0))
    yield VocoderMistake("first-group-dropped", codes=lambda codes: codes[1:])
    yield VocoderMistake("first-group-dropped", codes=lambda codes: np.concatenate([codes[1:], 0 * codes[:1]]))
    yield VocoderMistake("last-groups-dropped", codes=lambda codes: codes[:-1])
    yield VocoderMistake("last-groups-dropped", codes=lambda codes: codes[: len(codes) // 2])
    yield VocoderMistake("last-groups-dropped", codes=lambda codes: codes[:1])
    yield VocoderMistake("transposed-layout", codes=lambda codes: codes.T.reshape(codes.shape))
    yield VocoderMistake("codes-off-by-one", codes=lambda codes: codes + 1)
    for name, changes in _CHANGES.items():
        for change in changes:
            yield VocoderMistake(name, replace(RIGHT, **change))
    if n_frames > window:
        yield VocoderMistake("no-window", Choices(window=0))
    for short in sorted({window - 1, window // 2, window // 3, 25, 2, 1}):
        if 1 <= short < min(window, n_frames):
            yield VocoderMistake("short-window", Choices(window=short))


_ATTENTION = "code2wav.pre_transformer.layers.*.self_attn"
_TABLE = "code2wav.code_embedding"
# Name of a vocoder's mistake -> what it is for programs: its kind, as in `vocoder_grammar.py`, and the module.
_CAUSES = {
    "sum-for-mean": ("reduction", _TABLE),
    "wrong-split": ("lookup", _TABLE),
    "no-offset": ("lookup", _TABLE),
    "double-offset": ("lookup", _TABLE),
    "reversed-groups": ("lookup", _TABLE),
    "shifted-groups": ("lookup", _TABLE),
    "first-group-dropped": ("lookup", _TABLE),
    "last-groups-dropped": ("lookup", _TABLE),
    "transposed-layout": ("lookup", _TABLE),
    "codes-off-by-one": ("lookup", _TABLE),
    "snake-without-exp": ("formula", "code2wav.decoder"),
    "snake-alpha-for-beta": ("formula", "code2wav.decoder"),
    "no-window": ("constant", _ATTENTION),
    "short-window": ("constant", _ATTENTION),
    "no-rope": ("positions", _ATTENTION),
    "rope-pairs": ("positions", _ATTENTION),
    "wrong-theta": ("constant", _ATTENTION),
    "wrong-eps": ("constant", "code2wav.pre_transformer"),
    "layer-norm": ("formula", "code2wav.pre_transformer"),
    "no-final-norm": ("missing", "code2wav.pre_transformer.norm"),
    "tanh-gelu": ("activation", "code2wav.upsample.*.*"),
    "silu-for-gelu": ("activation", "code2wav.upsample.*.*"),
    "right-trim": ("trim", "code2wav"),
    "left-trim": ("trim", "code2wav"),
    "centred-padding": ("padding", "code2wav"),
    "no-dilation": ("constant", "code2wav.decoder.*"),
    "no-biases": ("missing", "code2wav"),
    "no-layer-scale": ("missing", "code2wav.pre_transformer.layers.*"),
    "no-gamma": ("missing", "code2wav.upsample.*.*"),
    "half-precision": ("limit", "code2wav"),
}

_CHANGES: dict[str, tuple[dict[str, Any], ...]] = {
    "snake-without-exp": ({"snake": "plain"},),
    "snake-alpha-for-beta": ({"snake": "alpha"},),
    "no-rope": ({"rope": "off"},),
    "rope-pairs": ({"rope": "pairs"},),
    "wrong-theta": ({"theta": 1e6}, {"theta": 1e5}, {"theta": 1e4}),
    "wrong-eps": ({"eps": 1e-6}, {"eps": 1e-5}, {"eps": 1e-8}, {"eps": 1e-3}, {"eps": 1e-2}),
    "layer-norm": ({"norm": "layer"},),
    "no-final-norm": ({"norm": "last-off"},),
    "tanh-gelu": ({"gelu": "tanh"},),
    "silu-for-gelu": ({"gelu": "silu"},),
    "right-trim": ({"trim": "right"},),
    "left-trim": ({"trim": "left"},),
    "centred-padding": ({"padding": "centred"},),
    "no-dilation": ({"dilated": False},),
    "no-biases": ({"biases": False},),
    "no-layer-scale": ({"layer_scale": False},),
    "no-gamma": ({"gamma": False},),
    "half-precision": ({"half": True},),
}


def in_pieces(
    mirror: VocoderMirror,
    codes: IntArray,
    piece: int,
    context: int,
    from_end: bool = False,
    convolutions_alone: bool = False,
    kept: int = 0,
) -> FloatArray:
    """Decoding `piece` frames at a time with `context` frames before them, whose nominal samples are cut off: what
    the reference's chunked_decode does with 300 and 25. `from_end`: as many are, but the last. `convolutions_alone`:
    the transformer sees all, as one with a cache does. `kept`: of each cut, so many of its last samples, those that a
    start loses, so that none are missing."""
    out = []
    first = mirror.convolutions if convolutions_alone else 0
    given = mirror.entering(codes, n_stages=first + 1)[-1] if first else codes
    for start in range(0, codes.shape[1], piece):
        before = min(context, start)
        part = given[:, start - before : start + piece]
        samples = mirror.from_stage(first, part) if first else mirror(part)
        cut = before * mirror.per_frame - (kept if start else 0)
        out.append(samples[: len(samples) - cut] if from_end else samples[cut:])
    return np.concatenate(out)


def faded_pieces(mirror: VocoderMirror, codes: IntArray, piece: int, over: int) -> FloatArray:
    """Decoding `piece` frames at a time, each by itself; its last `over` samples fade into the next one's first."""
    whole, fade = np.zeros(0, np.float32), np.linspace(0, 1, over, dtype=np.float32)
    for start in range(0, codes.shape[1], piece):
        samples = mirror(codes[:, start : start + piece])
        if len(whole):
            samples[:over] = whole[-over:] * (1 - fade) + samples[:over] * fade
        whole = np.concatenate([whole[: len(whole) - over] if start else whole, samples])
    return whole


# --- talker -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TalkerMistake:
    """A talker with a mistake, by what it is given. `prompt`: its inputs and the codes' embeddings [groups, frames,
    hidden] -> the inputs that the mistake amounts to; `needs_embeddings`: whether it looks at the second.
    `before_norm`: see `likelihood_of`. `feeds_outputs`: the inputs depend on what the predictor computes, see
    `with_outputs_fed_back`."""

    id: str
    sentence: str
    prompt: Callable[[TalkerPrompt, FloatArray], TalkerPrompt] = lambda prompt, _: prompt
    needs_embeddings: bool = False
    before_norm: bool = False
    feeds_outputs: bool = False


def talker_mistakes(tts_bos: FloatArray) -> Iterator[TalkerMistake]:
    """All of them. `tts_bos`: its projected embedding, [1, hidden]."""
    yield TalkerMistake("talker.pre-norm", "the predictor is given the state before the final norm", before_norm=True)
    yield TalkerMistake(
        "talker.first-code-only",
        "only the talker's own code is fed back",
        lambda prompt, embedded: with_extra(prompt, -embedded[1:].sum(axis=0)),
        needs_embeddings=True,
    )
    yield TalkerMistake(
        "talker.mean-feedback",
        "the mean of the codes' embeddings is fed back in place of their sum",
        lambda prompt, embedded: with_extra(prompt, embedded.mean(axis=0) - embedded.sum(axis=0)),
        needs_embeddings=True,
    )
    yield TalkerMistake(
        "talker.outputs-for-embeddings",
        "the predictor's outputs are fed back in place of its input embeddings",
        needs_embeddings=True,
        feeds_outputs=True,
    )
    yield TalkerMistake(
        "talker.no-text",
        "no text follows the first token",
        lambda prompt, _: replace(prompt, trailing=prompt.trailing[:0]),
    )
    yield TalkerMistake(
        "talker.text-offset",
        "the text comes a frame early",
        lambda prompt, _: replace(prompt, trailing=prompt.trailing[1:]),
    )
    yield TalkerMistake(
        "talker.text-offset",
        "the text comes a frame late",
        lambda prompt, _: replace(prompt, trailing=np.concatenate([prompt.pad, prompt.trailing])),
    )
    yield TalkerMistake(
        "talker.tts-bos-for-eos",
        "the text ends with tts_bos",
        lambda prompt, _: replace(prompt, trailing=np.concatenate([prompt.trailing[:-1], tts_bos])),
    )


def with_extra(prompt: TalkerPrompt, extra: FloatArray) -> TalkerPrompt:
    """`extra` [frames, hidden] is added to the input after each frame."""
    text = [prompt.trailing[t] if t < len(prompt.trailing) else prompt.pad[0] for t in range(len(extra))]
    return replace(prompt, trailing=np.asarray(np.stack(text) + extra, np.float32))
