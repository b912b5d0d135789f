"""The stages of one speech, as the engine itself times them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from omniggml.model import Model
from omniggml.options import SpeechOptions


@dataclass
class StageTimes:
    """Seconds of each stage over `frames` frames; `prompt` of `positions` positions before them. `codes` [groups,
    frames]. `frame_seconds`: of each frame, without the vocoder. `first`, `total`: seconds from the call to the first
    sample and to the last."""

    frames: int
    positions: int = 0
    prompt: float = 0.0
    talker: float = 0.0
    predictor: float = 0.0
    sampling: float = 0.0
    vocoder: float = 0.0
    frame_seconds: list[float] = field(default_factory=list)
    cache_nbytes: int = 0
    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    first: float = 0.0
    total: float = 0.0

    @property
    def late_over_early(self) -> float:
        """Median time of the last tenth of the frames over that of the second tenth, without the vocoder."""
        tenth = max(1, self.frames // 10)
        early, late = self.frame_seconds[tenth : 2 * tenth], self.frame_seconds[-tenth:]
        return statistics.median(late) / statistics.median(early)

    @property
    def after_prompt(self) -> float:
        return self.talker + self.predictor + self.sampling + self.vocoder

    def per_frame(self, stage: str) -> float:
        """Milliseconds a frame. The talker reads each frame but the last."""
        n = max(1, self.frames - 1) if stage == "talker" else self.frames
        return float(getattr(self, stage)) / n * 1000


class TimedSpeech:
    """Draws `frames` frames with the model's own sampling, codec eos suppressed."""

    def __init__(self, model: Model, text: str) -> None:
        self._model = model
        self._text = text

    def run(self, frames: int, seed: int) -> StageTimes:
        start = time.perf_counter()
        options = SpeechOptions(seed=seed, max_frames=frames, ignore_eos=True, split="never")
        conversation, spans = self._model._verbatim(self._text, options)
        engine = self._model._engine()
        speech = self._model._begin(engine, conversation, spans[0].tokens, options)
        first = 0.0
        codes = []
        for piece in self._model._pieces(engine, speech):
            if piece.codes is not None:
                codes.append(piece.codes)
            if not first and len(piece.samples):
                first = time.perf_counter() - start
        total = time.perf_counter() - start
        times = speech.timings()
        return StageTimes(
            frames,
            times["prompt_positions"],
            times["prompt"],
            times["talker"],
            times["predictor"],
            times["sampling"],
            times["vocoder"],
            times["frame_seconds"],
            engine.cache_nbytes,
            np.concatenate(codes, axis=1),
            first,
            total,
        )
