"""Recordings of the reference on disk, so that tests without torch can compare with it.

An archive holds the inputs and a choice of the outputs of one geometry's teacher-forced run, a few greedy speeches,
and one long waveform. `tests/goldens/make_goldens.py` makes them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parity.cases import Case, FloatArray, IntArray, Recording
from parity.greedy import Request, Spoken

# What a teacher-forced run needs, and of what it computes the results of each block.
_KEPT = re.compile(
    r"(thinker|talker|talker\.code_predictor)\.model\.layers\.\d+(\.self_attn|\.mlp|\.post_attention_layernorm)?"
    r"|.*\.model\.norm|thinker\.model\.embed_tokens|thinker\.lm_head|talker\.codec_head"
    r"|talker\.(text|hidden)_projection"
    r"|talker\.code_predictor\.lm_head\.[02]"
    r"|code2wav(\.pre_transformer(\.layers\.\d+)?)?"
)

_MOST_SAMPLES = 30_000


@dataclass(frozen=True)
class Waveform:
    """A full forward of code2wav: `codes` [groups, frames] gave `n_samples` samples, of which `samples` are every
    `step`-th."""

    codes: IntArray
    samples: FloatArray
    step: int
    n_samples: int


@dataclass(frozen=True)
class Golden:
    """One archive. `about`: the versions that made it, and the digest of the checkpoint it was made from."""

    about: dict[str, str]
    case: Case
    recording: Recording
    speeches: dict[str, tuple[Request, Spoken]]
    waveform: Waveform


def kept_outputs(outputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The outputs worth their bytes."""
    return {name: array for name, array in outputs.items() if _KEPT.fullmatch(name)}


def thinned(codes: IntArray, audio: FloatArray) -> Waveform:
    """A waveform of bounded size; the step is a prime, so that it falls on every phase of the upsampling."""
    step = next(prime for prime in (1, 7, 11, 13, 17, 19, 23) if audio.size // prime <= _MOST_SAMPLES)
    return Waveform(codes, audio[::step], step, audio.size)


def save(path: Path, golden: Golden) -> None:
    """Write the archive."""
    arrays: dict[str, Any] = {"about": json.dumps(golden.about)}
    for field in dataclasses.fields(golden.case):
        arrays[f"case/{field.name}"] = _narrow(getattr(golden.case, field.name))
    for field in dataclasses.fields(golden.recording):
        if field.name != "outputs":
            arrays[f"given/{field.name}"] = getattr(golden.recording, field.name)
    arrays |= {f"output/{name}": array for name, array in golden.recording.outputs.items()}
    for title, (request, spoken) in golden.speeches.items():
        arrays[f"speech/{title}/request"] = json.dumps(dataclasses.asdict(request))
        arrays[f"speech/{title}/answer"] = np.array(spoken.answer, np.int16)
        arrays[f"speech/{title}/codes"] = _narrow(spoken.codes)
        arrays[f"speech/{title}/audio"] = spoken.audio
    wave = golden.waveform
    arrays |= {
        "wave/codes": _narrow(wave.codes),
        "wave/samples": wave.samples,
        "wave/size": [wave.step, wave.n_samples],
    }
    np.savez_compressed(path, **arrays)


def load(path: Path) -> Golden:
    """Read an archive."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    part = {
        kind: {name.removeprefix(f"{kind}/"): array for name, array in arrays.items() if name.startswith(f"{kind}/")}
        for kind in ("case", "given", "output", "speech", "wave")
    }
    titles = [name.removesuffix("/request") for name in part["speech"] if name.endswith("/request")]
    step, n_samples = part["wave"]["size"].tolist()
    return Golden(
        about=json.loads(str(arrays["about"])),
        case=Case(**{name: array.astype(np.int32) for name, array in part["case"].items()}),
        recording=Recording(outputs=part["output"], **part["given"]),
        speeches={title: _speech(part["speech"], title) for title in titles},
        waveform=Waveform(part["wave"]["codes"].astype(np.int32), part["wave"]["samples"], step, n_samples),
    )


def _speech(arrays: Mapping[str, Any], title: str) -> tuple[Request, Spoken]:
    request = json.loads(str(arrays[f"{title}/request"]))
    answer = tuple(arrays[f"{title}/answer"].tolist())
    spoken = Spoken(answer, arrays[f"{title}/codes"].astype(np.int32), arrays[f"{title}/audio"])
    return Request(**request | {"conversation": tuple(request["conversation"])}), spoken


def _narrow(ids: IntArray) -> Any:
    # Every id of a small model fits.
    return ids.astype(np.int16)
