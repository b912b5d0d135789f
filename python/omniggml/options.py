"""What a person can choose about a speech or an answer; what is left out comes from the model file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from omniggml import _native
from omniggml.errors import InputError


@dataclass(frozen=True)
class SpeechOptions:
    """Options of one speech. None: the model file's own default.

    `speaker`: a name from `Model.speakers`. `seed`: the same seed gives the same audio, whatever the chunking, the
    thread count or what else runs. `greedy`: the most probable codes, no drawing. `temperature`, `top_k`, `top_p` and
    `repetition_penalty` are the talker's, the others the code predictor's. `max_frames`: the longest speech, in frames
    (12.5 a second in the published model). `chunk_frames`: frames a streamed piece; None starts small and grows.
    `prompt`: what the user is taken to have said, for a text spoken verbatim. `ignore_eos`: speak on to `max_frames`
    whatever the model says; for measuring.
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
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, 2**64 - 1)
        if self.chunk_frames is not None:
            check_integer("chunk_frames", self.chunk_frames, 1)
        if self.max_frames is not None:
            check_integer("max_frames", self.max_frames, 0)
        for name in ("speaker", "prompt"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InputError(f"{name} is {value!r:.80}; expected a text")

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
        params.ignore_eos = bool(self.ignore_eos)
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
        check_integer("seed", self.seed, 0, 2**64 - 1)
        check_integer("max_tokens", self.max_tokens, 0)

    def params(self, thinker: _native.Thinker) -> _native.SamplingParams:
        """The thinker file's defaults with these options in their place."""
        params = thinker.default_sampling()
        return _changed(
            params,
            sample=params.sample and not self.greedy,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
        )


def check_integer(name: str, value: object, low: int, high: int = 2**63 - 1) -> None:
    """Raises InputError unless `value` is an integer from `low` to `high`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"{name} is {value!r:.80}; expected an integer")
    if not low <= value <= high:
        most = "2^63 - 1" if high == 2**63 - 1 else "2^64 - 1" if high == 2**64 - 1 else high
        raise InputError(f"{name} is {value}; it must be between {low} and {most}")


def _changed(params: _native.SamplingParams, **changes: Any) -> _native.SamplingParams:
    for name, value in changes.items():
        if value is None:
            continue
        try:
            setattr(params, name, value)
        except TypeError:
            raise InputError(f"{name} is {value!r:.80}, which is no number it can take") from None
    return params
