"""One speech, stage after stage, each timed: what `Speech` and `Code2WavSession` do together, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.model import Model
from omniggml.options import SpeechOptions

FloatArray = npt.NDArray[np.float32]

_FIRST_CHUNKS = (2, 4, 8, 16)
_LARGEST_CHUNK = 25


@dataclass
class StageTimes:
    """Seconds of each stage over `frames` frames; `prompt` of `positions` positions before them. `codes` [groups,
    frames]. `frame_seconds`: of each frame, without the vocoder."""

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
        # The sessions that the model's own methods make, held here one by one.
        self._model = model._speech
        self._threads = model._n_threads
        conversation, spans = model._verbatim(text, SpeechOptions(split="never"))
        self._tokens = conversation, spans[0].tokens, model._speaker_id(None)
        self._params = self._model.default_params()
        self._groups = int(self._model.predictor_geometry["num_code_groups"])
        talker = self._model.talker_geometry
        self._first_suppressed = int(talker["vocab_size"] - talker["suppressed_tail"])
        self._eos = int(talker["codec_eos_token_id"])

    def run(self, frames: int, seed: int) -> StageTimes:
        times = StageTimes(frames)
        talker = _native.TalkerSession(self._model, 1, self._threads, None)
        predictor = _native.CodePredictorSession(self._model, 1, self._threads, None)
        vocoder = _native.Code2WavSession(self._model, self._threads, None)
        start = time.perf_counter()
        inputs, trailing, pad = talker.assemble_prompt(*self._tokens)
        logits, hidden = talker.prompt(0, inputs)
        times.prompt = time.perf_counter() - start
        times.positions = len(inputs)
        spoken: list[list[int]] = []
        heard = 0
        chunks = _chunk_sizes()
        chunk = next(chunks)
        for frame in range(frames):
            began = times.talker + times.predictor + times.sampling
            if spoken:
                text = trailing[frame - 1 : frame] if frame <= len(trailing) else pad
                start = time.perf_counter()
                logits, hidden = talker.frame(np.array([spoken[-1]], np.int32), text)
                times.talker += time.perf_counter() - start
            spoken.append(self._frame(times, predictor, logits, hidden, [codes[0] for codes in spoken], seed, frame))
            times.frame_seconds.append(times.talker + times.predictor + times.sampling - began)
            if len(spoken) - heard == chunk or frame + 1 == frames:
                codes = np.ascontiguousarray(np.array(spoken[heard:], np.int32).T)
                start = time.perf_counter()
                vocoder.decode(codes)
                times.vocoder += time.perf_counter() - start
                heard, chunk = len(spoken), next(chunks)
        times.cache_nbytes = talker.cache_nbytes
        times.codes = np.array(spoken, np.int32).T
        return times

    def _frame(
        self,
        times: StageTimes,
        predictor: _native.CodePredictorSession,
        logits: FloatArray,
        hidden: FloatArray,
        first_codes: list[int],
        seed: int,
        frame: int,
    ) -> list[int]:
        start = time.perf_counter()
        codes = [self._first_code(logits[0], first_codes, seed, frame)]
        times.sampling += time.perf_counter() - start
        for group in range(1, self._groups):
            start = time.perf_counter()
            logits = predictor.start(hidden, codes) if group == 1 else predictor.next(codes[-1:])
            middle = time.perf_counter()
            uniform = _native.philox_uniform(seed, frame=frame, group=group)
            codes.append(_native.draw(logits[0], self._params.predictor, [], uniform))
            times.predictor += middle - start
            times.sampling += time.perf_counter() - middle
        return codes

    def _first_code(self, logits: FloatArray, previous: list[int], seed: int, frame: int) -> int:
        logits[self._first_suppressed :] = -np.inf
        logits[self._eos] = -np.inf
        return _native.draw(logits, self._params.talker, previous, _native.philox_uniform(seed, frame=frame, group=0))


def _chunk_sizes() -> Iterator[int]:
    return chain(_FIRST_CHUNKS, repeat(_LARGEST_CHUNK))
