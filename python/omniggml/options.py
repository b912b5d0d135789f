"""What a person can choose about a speech or an answer; what is left out comes from the model file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omniggml import _native
from omniggml.errors import InputError


@dataclass(frozen=True)
class SpeechOptions:
    """Options of one speech. None: the model file's own default.

    `speaker`: a name from `Model.speakers`. `seed`: the same seed gives the same audio, whatever the chunking, the
    thread count or what else runs. `greedy`: the most probable codes, no drawing. `temperature`, `top_k`, `top_p` and
    `repetition_penalty` are the talker's, the others the code predictor's. `max_frames`: the longest speech, in frames
    (12.5 a second in the published model). `chunk_frames`: frames a streamed piece; None starts small and grows.
    `prompt`: what the user is taken to have said, for a text spoken verbatim.
    """

    speaker: str | None = None
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

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if self.chunk_frames is not None and self.chunk_frames < 1:
            raise InputError(f"chunk_frames is {self.chunk_frames}; a piece has at least 1 frame")
        if self.max_frames is not None and self.max_frames < 0:
            raise InputError(f"max_frames is {self.max_frames}; it must be 0 or more")

    def params(self, model: _native.SpeechModel) -> _native.SpeechParams:
        """The model's defaults with these options in their place."""
        params = model.default_params()
        params.seed = self.seed
        talker = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        params.talker = _changed(
            params.talker, sample=not self.greedy, repetition_penalty=self.repetition_penalty, **talker
        )
        params.predictor = _changed(
            params.predictor,
            sample=not self.greedy,
            temperature=self.predictor_temperature,
            top_k=self.predictor_top_k,
            top_p=self.predictor_top_p,
        )
        if self.max_frames is not None:
            params.max_frames = self.max_frames
        return params


@dataclass(frozen=True)
class TextOptions:
    """Options of the thinker's answer. None: the model file's own default."""

    seed: int = 0
    greedy: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if self.max_tokens < 0:
            raise InputError(f"max_tokens is {self.max_tokens}; it must be 0 or more")

    def params(self, metadata: dict[str, Any]) -> _native.SamplingParams:
        """The thinker file's defaults with these options in their place."""
        prefix = "qwen3omni.generation."
        stored = {
            key: metadata[prefix + key]
            for key in ("temperature", "top_k", "top_p", "repetition_penalty")
            if prefix + key in metadata
        }
        sample = bool(metadata.get(prefix + "do_sample", True)) and not self.greedy
        return _changed(
            _native.SamplingParams(sample=sample, **stored),
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
        )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise InputError(f"the seed is {seed}; it must be between 0 and 2^64 - 1")


def _changed(params: _native.SamplingParams, **changes: Any) -> _native.SamplingParams:
    for name, value in changes.items():
        if value is None:
            continue
        try:
            setattr(params, name, value)
        except TypeError:
            raise InputError(f"{name} is {value!r}, which is no number it can take") from None
    return params
