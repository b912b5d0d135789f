"""What the person gave, opened as far as it opens."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded
from omniggml.doctor.thresholds import VOICE_FRAMES
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.errors import OmniError
from omniggml.files.inspection import Inspection, inspect
from omniggml.files.stored_weights import StoredWeights
from omniggml.loading import load
from omniggml.model import Model
from omniggml.options import LoadOptions, as_keywords

_PANGRAM = "the quick brown fox jumps over the lazy dog"


@dataclass
class Case:
    """Everything given, and what follows from it, computed when first asked for. Checks read it and change nothing."""

    path: Path
    options: LoadOptions = field(default_factory=LoadOptions)
    codes: npt.NDArray[Any] | None = None
    audio: Recorded | None = None
    text: str | None = None
    speaker: str | None = None
    reference: Path | None = None
    theirs: Mapping[str, npt.NDArray[Any]] | None = None
    heard: Path | None = None
    thorough: bool = False
    announce: Callable[[str], None] = lambda words: None

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Settings that the person knows better than the file."""
        return self.options.overrides or {}

    @cached_property
    def inspection(self) -> Inspection:
        return inspect(self.path)

    @cached_property
    def weights(self) -> StoredWeights | None:
        """The file's values; None where it is of no known family."""
        try:
            return StoredWeights(self.path, self.overrides)
        except OmniError:
            return None

    @cached_property
    def model(self) -> Model | None:
        """None where it can't be loaded; the file checks say why."""
        self.announce("opening the model")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return load(self.path, **as_keywords(self.options))
            except OmniError as error:
                self.load_error = str(error)
                return None

    load_error: str = ""

    @cached_property
    def vocoder_geometry(self) -> dict[str, Any] | None:
        """The settings of code2wav, None where they don't follow."""
        if self.weights is None or self.weights.derived is None:
            return None
        return dataclasses.asdict(self.weights.derived.config.code2wav)

    @cached_property
    def mirror(self) -> VocoderMirror | None:
        """The file's vocoder for counterfactuals."""
        if self.weights is None or self.vocoder_geometry is None:
            return None
        return VocoderMirror(self.weights, self.vocoder_geometry)

    @cached_property
    def voice(self) -> list[npt.NDArray[np.float64]]:
        """A sentence by the speaker, or by each where none is told; [] where the model can't speak."""
        if self.model is None or not self.can_speak:
            return []
        names = [self.speaker] if self.speaker else self.model.speakers
        try:
            said = [self.model.speak(_PANGRAM, speaker=name, seed=1, max_frames=VOICE_FRAMES) for name in names]
        except OmniError:
            return []
        return [audio.samples.astype(np.float64) for audio in said]

    def embeddings(self, codes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32] | None:
        """The codes' input embeddings, [groups, frames, hidden]; None where the file doesn't have them."""
        names = ["talker.model.codec_embedding.weight"]
        names += [f"talker.code_predictor.model.codec_embedding.{k}.weight" for k in range(len(codes) - 1)]
        if self.weights is None or any(name not in self.weights for name in names):
            return None
        return np.stack([self.weights[name][row] for name, row in zip(names, codes, strict=True)])

    @property
    def can_speak(self) -> bool:
        """Whether there is a model and a tokenizer with a chat template for it."""
        try:
            return self.model is not None and self.model.tokenizer.has_chat_template
        except OmniError:
            return False
