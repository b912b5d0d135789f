"""What a person can choose about loading, a speech or an answer. What is left out comes from the model file.

Each set of options is a dataclass, which checks the values, and a TypedDict of the same names, by which functions take
them as keywords that editors complete; a test holds the two together.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.arrays import vector_of
from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.printable import shown
from omniggml.text.soundness import check_text
from omniggml.text.spans import SPLITS

PathLike = str | os.PathLike[str]

# "cuda:0" is a device to everybody who knows torch, and no host with a port.
_TORCH_DEVICE = re.compile(r"(cuda|rocm|hip|vulkan|metal|sycl|opencl|musa|cann):(\d{1,2})", re.IGNORECASE)

_MOST_THREADS = 512  # ggml's GGML_MAX_N_THREADS


class LoadKeywords(TypedDict, total=False):
    """Keywords of `load`; see `LoadOptions`."""

    thinker: PathLike | Literal[False] | None
    device: str
    n_threads: int
    vocoder_precision: str
    mmap: bool
    mmproj: PathLike | Literal[False] | None
    code2wav: PathLike | None
    tokenizer: PathLike | None
    overrides: Mapping[str, Any] | None


@checked
@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded.

    `thinker`: a file in llama.cpp's qwen3vlmoe layout; without it the NAME-thinker.gguf beside the speech file is
    taken, if there is one, and False leaves it out. Its values are read when it is first asked. `mmproj`: the same of
    what a thinker hears through, NAME-mmproj.gguf. `device`: a name from `devices()`, "auto" for the first GPU or else
    the CPU, or "HOST:PORT" of an RPC server. `n_threads`: CPU threads a call, 0 for as many as may run at once.
    `vocoder_precision`: how code2wav's convolutions are computed on a CPU: "f32"; "bf16", bfloat16 products summed in
    float32, where the CPU has such products; "plain", ordinary ggml nodes; "auto", f32 for weights stored in F32, else
    the faster one, as measured on this machine. `mmap`: on a CPU, weights stay in the file's pages, which the system
    shares between processes and gives back first where memory is short; a file so used may be replaced by another, but
    must not be rewritten or cut in place. False copies them.

    `code2wav`: a file whose code2wav takes the place of the speech file's. `tokenizer`: a GGUF file or a Hugging Face
    directory, for a speech file without one. `overrides`: "section.name" to a value, where a file does not tell its
    geometry or tells it wrong.
    """

    thinker: PathLike | Literal[False] | None = None
    device: str = "auto"
    n_threads: int = 0
    vocoder_precision: str = "auto"
    mmap: bool = True
    mmproj: PathLike | Literal[False] | None = None
    code2wav: PathLike | None = None
    tokenizer: PathLike | None = None
    overrides: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_integer("n_threads", self.n_threads, 0, _MOST_THREADS)
        for path in (self.thinker, self.mmproj, self.code2wav, self.tokenizer):
            if path is not False:
                path_or_none(path)
        check_text("device", self.device)
        if not self.device:
            raise InputError("device is ''; expected \"auto\" or a name from omniggml.devices()")
        if spelled := _TORCH_DEVICE.fullmatch(self.device):
            object.__setattr__(self, "device", f"{spelled[1]}{spelled[2]}")

    @property
    def files(self) -> list[Path]:
        """What is named beside the speech file."""
        return [Path(path) for path in (self.thinker, self.mmproj, self.code2wav, self.tokenizer) if path]

    @property
    def threads(self) -> int:
        """As many as a call takes."""
        return self.n_threads or int(_native.usable_cpus())

    @property
    def precision(self) -> _native.VocoderPrecision:
        """Raises InputError for a precision that there is none of."""
        known = _native.VocoderPrecision.__members__
        if self.vocoder_precision not in known:
            raise InputError(f"vocoder_precision is {shown(self.vocoder_precision)}; it can be {', '.join(known)}")
        return known[self.vocoder_precision]


SpeakerLike = str | Sequence[float] | npt.NDArray[Any]
"""A speaker's name, a mixture of names, or what stands for one in the talker's prompt: a vector [hidden]."""


class SpeechKeywords(TypedDict, total=False):
    """Keywords of whatever speaks; see `SpeechOptions`."""

    speaker: SpeakerLike | None
    seed: int
    greedy: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    repetition_penalty: float | None
    predictor_temperature: float | None
    predictor_top_k: int | None
    predictor_top_p: float | None
    max_frames: int | None
    chunk_frames: int | None
    prompt: str
    ignore_eos: bool
    split: str
    longest_span: int | None
    ssml: bool | None


@checked
@dataclass(frozen=True)
class SpeechOptions:
    """Options of one speech. None: the model file's own default.

    `speaker`: a name from `Model.speakers`; a mixture of them, "ethan:0.7,chelsie:0.3"; or a vector of the talker's
    width that stands for one, as `Model.speaker_vector` gives it (kept as a tuple). `seed`: the same seed gives the
    same audio, whatever the chunking, the thread count or what else runs. `greedy`: the most probable codes, no
    drawing. `temperature`, `top_k`, `top_p` and `repetition_penalty` are the talker's, the others the code
    predictor's; naming a temperature, `top_k` or `top_p` asks for drawing where the file doesn't. `max_frames`: the
    longest speech, in frames (12.5 a second in the published model). `chunk_frames`: frames a streamed piece; None
    starts small and grows.
    `prompt`: what the user is taken to have said, for a text spoken verbatim. `ignore_eos`: speak on to `max_frames`
    whatever the model says; for measuring.

    `split`: a text longer than the voice is good for is spoken in spans, one after another: "auto", sentences put
    together up to the longest span; "sentence", every sentence by itself; "never", whole. `longest_span`: the longest
    span, in tokens of text. `ssml`: whether the text is SSML; None where it has a <speak> root.
    """

    speaker: SpeakerLike | None = None
    seed: int = 0
    greedy: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    predictor_temperature: float | None = None
    predictor_top_k: int | None = None
    predictor_top_p: float | None = None
    max_frames: int | None = None
    chunk_frames: int | None = None
    prompt: str = ""
    ignore_eos: bool = False
    split: str = "auto"
    longest_span: int | None = None
    ssml: bool | None = None

    def __post_init__(self) -> None:
        if self.speaker is not None and not isinstance(self.speaker, str):
            # Equal options compare and hash as equal, which arrays don't.
            object.__setattr__(self, "speaker", vector_of("speaker", self.speaker))
        check_integer("seed", self.seed, 0, 2**64 - 1)
        if self.split not in SPLITS:
            raise InputError(f"split is {shown(self.split)}; it can be {', '.join(SPLITS)}")
        if self.longest_span is not None:
            check_integer("longest_span", self.longest_span, 1)
        if self.chunk_frames is not None:
            check_integer("chunk_frames", self.chunk_frames, 1)
        if self.max_frames is not None:
            check_integer("max_frames", self.max_frames, 0)
        check_text("prompt", self.prompt)

    def params(self, model: _native.SpeechModel) -> _native.SpeechParams:
        """The model's defaults with these options in their place."""
        params = model.default_params()
        params.seed = self.seed
        params.talker = _sampling(
            params.talker, self.greedy, self.temperature, self.top_k, self.top_p, self.repetition_penalty
        )
        # Whether the file's predictor draws follows its talker: no file can say it by itself.
        predictor = params.predictor
        predictor.sample = params.talker.sample
        params.predictor = _sampling(
            predictor, self.greedy, self.predictor_temperature, self.predictor_top_k, self.predictor_top_p
        )
        if self.max_frames is not None:
            params.max_frames = self.max_frames
        params.ignore_eos = bool(self.ignore_eos)
        return params


@checked
@dataclass(frozen=True)
class TextOptions:
    """Options of the thinker's answer. None: the model file's own default.

    `seed`, `greedy`, `temperature`, `top_k`, `top_p`, `repetition_penalty`: as in `SpeechOptions`. `max_tokens`: the
    longest answer.
    """

    seed: int = 0
    greedy: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, 2**64 - 1)
        check_integer("max_tokens", self.max_tokens, 0)

    def params(self, thinker: _native.Thinker) -> _native.SamplingParams:
        """The thinker file's defaults with these options in their place."""
        params = thinker.default_sampling()
        return _sampling(params, self.greedy, self.temperature, self.top_k, self.top_p, self.repetition_penalty)


def as_keywords(options: LoadOptions) -> LoadKeywords:
    """The keywords that make these options."""
    return cast(LoadKeywords, {field.name: getattr(options, field.name) for field in fields(options)})


def check_integer(name: str, value: object, low: int, high: int = 2**63 - 1) -> None:
    """Raises InputError unless `value` is an integer from `low` to `high`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name} is {shown(value)}; expected an integer")
    if not low <= value <= high:
        most = "2^63 - 1" if high == 2**63 - 1 else "2^64 - 1" if high == 2**64 - 1 else high
        raise InputError(f"{name} is {shown(value)}; it must be between {low} and {most}")


def check_positive(name: str, value: float) -> None:
    """Raises InputError unless a number is finite and more than 0."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {shown(value)}; it must be a finite number above 0")


def path_or_none(path: PathLike | None) -> Path | None:
    """None stays None. Raises InputError for what is no path."""
    return None if path is None else as_path(path)


def _sampling(
    params: _native.SamplingParams,
    greedy: bool,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    repetition_penalty: float | None = None,
) -> _native.SamplingParams:
    """The file's defaults with what was chosen in their place, for all that draws: talker, predictor, thinker."""
    asked = any(value is not None for value in (temperature, top_k, top_p))
    changes = {
        "sample": (params.sample or asked) and not greedy,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    for name, value in changes.items():
        if value is None:
            continue
        try:
            setattr(params, name, value)
        except TypeError:
            raise InputError(f"{name} is {shown(value)}, which is no number it can take") from None
    return params
