"""What the person gave, opened as far as it opens."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.finding import Finding
from omniggml.doctor.stored_weights import StoredWeights
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.errors import OmniError
from omniggml.files import Inspection, inspect
from omniggml.loading import load
from omniggml.model import Model


@dataclass(frozen=True)
class Recorded:
    """A WAV file as its header says: `samples` float [frames, channels], `rate` a second, `subtype` as soundfile
    names it."""

    path: str
    samples: npt.NDArray[np.float64]
    rate: int
    subtype: str

    @property
    def mono(self) -> npt.NDArray[np.float64]:
        """The mean over channels, [frames]."""
        return self.samples.mean(axis=1) if self.samples.shape[1] else np.zeros(0)


@dataclass
class Case:
    """Everything given, and what follows from it, computed when first asked for.

    Checks add to `findings`, `skipped` and `measurements`; `right_codes` is what the codes check leaves for those
    after it: the codes as the model should get them, None where they can't be brought there.
    """

    path: Path
    thinker: Path | None = None
    code2wav: Path | None = None
    tokenizer: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    codes: npt.NDArray[Any] | None = None
    audio: Recorded | None = None
    text: str | None = None
    speaker: str | None = None
    reference: Path | None = None
    theirs: Mapping[str, npt.NDArray[Any]] | None = None
    n_threads: int = 0
    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    measurements: dict[str, Any] = field(default_factory=dict)
    right_codes: npt.NDArray[np.int32] | None = None

    def find(
        self, id: str, sentence: str, /, *, tensors: tuple[str, ...] = (), certainty: float = 0.5, **evidence: Any
    ) -> None:
        """Add a finding; `evidence` are its numbers."""
        self.findings.append(Finding(id, sentence, evidence, tensors, certainty))

    def has(self, *ids: str) -> bool:
        """Whether one of these was found."""
        return any(finding.id in ids for finding in self.findings)

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return load(
                    self.path,
                    thinker=self.thinker,
                    code2wav=self.code2wav,
                    tokenizer=self.tokenizer,
                    overrides=dict(self.overrides) or None,
                    device="cpu",
                    n_threads=self.n_threads,
                )
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

    @property
    def can_speak(self) -> bool:
        """Whether there is a model and a tokenizer with a chat template for it."""
        try:
            return self.model is not None and self.model.tokenizer.has_chat_template
        except OmniError:
            return False
