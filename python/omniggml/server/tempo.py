"""Faster and slower speech at the same pitch, by FFmpeg's filter for that."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.extras import install_command
from omniggml.server.api_error import ApiError

FloatArray = npt.NDArray[np.float32]
SLOWEST, FASTEST = 0.25, 4.0
_FILTER_RANGE = (0.5, 2.0)  # of one filter; beyond its range it skips samples instead of blending them


class Tempo:
    """Samples in, samples out, `speed` times as fast; at 1.0 the very same."""

    def __init__(self, speed: float, sample_rate: int) -> None:
        """Raises ApiError where another speed than 1.0 can't be made here."""
        self._graph: Any = None
        self._rate, self._given = sample_rate, 0
        if speed == 1.0:
            return
        if importlib.util.find_spec("av") is None:
            raise ApiError(
                400,
                f"speed {speed:g} needs PyAV, which this server hasn't: {install_command('codecs')} there, or leave "
                "speed at 1.0",
                param="speed",
            )
        import av.filter

        self._graph = av.filter.Graph()
        self._source: Any = self._graph.add_abuffer(
            sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate)
        )
        last = self._source
        for factor in _factors(speed):
            following = self._graph.add("atempo", f"{factor:.6f}")
            last.link_to(following)
            last = following
        self._sink: Any = self._graph.add("abuffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def stretch(self, samples: FloatArray) -> FloatArray:
        """float32 [n] -> what is ready of it, float32 [m]."""
        if self._graph is None:
            return samples
        import av

        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._given, Fraction(1, self._rate)
        self._given += len(samples)
        self._source.push(frame)
        return self._ready()

    def finish(self) -> FloatArray:
        """The rest."""
        if self._graph is None or not self._given:
            return np.zeros(0, np.float32)
        self._source.push(None)
        return self._ready()

    def _ready(self) -> FloatArray:
        import av

        ready = [np.zeros(0, np.float32)]
        while True:
            try:
                ready.append(self._sink.pull().to_ndarray().reshape(-1))
            except (BlockingIOError, EOFError, av.error.EOFError):
                return np.concatenate(ready)


def _factors(speed: float) -> Iterator[float]:
    low, high = _FILTER_RANGE
    while not low <= speed <= high:
        step = low if speed < low else high
        yield step
        speed /= step
    yield speed
