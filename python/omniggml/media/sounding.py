"""Where a recording sounds: a small ear that was taught questions has not learned to wait for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_RATE = 16_000
_HOP = _RATE // 100
_SMOOTHED = 5  # hops
_LONG = 1.0  # seconds: shorter silence is what a question was taught with
_LEFT = 0.4  # seconds of it that stay
_CONTRAST = 15.0  # dB between what is loud and what is quiet, where somebody speaks
_OVER_QUIET, _UNDER_LOUD = 6.0, 35.0  # dB
_SILENT = 1e-12


def sounding(samples: FloatArray) -> FloatArray:
    """`samples` [n] at 16 kHz without what is longer than a second before the first and behind the last sound that
    stands out from the recording's own quiet, but for 0.4 s; all of it where nothing does, as in noise."""
    hops = len(samples) // _HOP
    if hops * _HOP <= _LONG * _RATE:
        return samples
    # A cheap microphone's offset is as loud as what is said, and no sound.
    swing = samples[: hops * _HOP].reshape(hops, _HOP) - np.mean(samples, dtype=np.float64)
    power = np.mean(np.square(swing), axis=1)
    level = 10 * np.log10(power + _SILENT)
    level = np.convolve(np.pad(level, _SMOOTHED // 2, mode="edge"), np.full(_SMOOTHED, 1 / _SMOOTHED), "valid")
    quiet, loud = np.percentile(level, (10, 98))
    if loud - quiet < _CONTRAST:
        return samples
    bound = min(max(quiet + _OVER_QUIET, loud - _UNDER_LOUD), (quiet + loud) / 2)
    heard = np.flatnonzero(level > bound) * _HOP
    first, last = int(heard[0]), int(heard[-1]) + _HOP
    start = first - int(_LEFT * _RATE) if first > _LONG * _RATE else 0
    end = last + int(_LEFT * _RATE) if len(samples) - last > _LONG * _RATE else len(samples)
    return samples[start:end]
