"""Codes to samples, call after call."""

from __future__ import annotations

import os
from collections import deque

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.probe import active

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


class Vocoder:
    """Any number of threads may use one. What the last call built is kept for the next: its graphs, and the memory that
    they compute in, which the system would otherwise have to find anew each time."""

    def __init__(self, model: _native.SpeechModel, n_threads: int) -> None:
        self._model, self._n_threads = model, n_threads
        self._kept: deque[tuple[int, _native.Code2WavSession]] = deque(maxlen=1)  # and the process that it belongs to

    def samples(self, codes: IntArray, step: int) -> FloatArray:
        """Codes [groups, frames], `step` frames at a time. One that fails is not kept."""
        probe = active.get()
        session = self._idle() if probe is None else _native.Code2WavSession(self._model, self._n_threads, probe)
        pieces = [session.decode(codes[:, i : i + step]) for i in range(0, codes.shape[1], step)]
        if probe is None:
            self._kept.append((os.getpid(), session))
        return np.concatenate([np.zeros(0, np.float32), *pieces])

    def _idle(self) -> _native.Code2WavSession:
        try:
            process, session = self._kept.pop()
        except IndexError:
            process = 0
        if process != os.getpid():
            return _native.Code2WavSession(self._model, self._n_threads, None)
        session.restart()
        return session
