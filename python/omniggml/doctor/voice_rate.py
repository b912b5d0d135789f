"""At which rate a voice was recorded, told by what the same voice says of anything else.

The spectrum of a sentence is the speaker's, whatever is said. Read at another rate it is moved along the axis of
pitch, where it fits the voice no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds

Samples = npt.NDArray[np.float64]

_WINDOW, _STEP = 2048, 512
_LOWEST, _HIGHEST = 100.0, 9000.0  # Hz
_IN_AN_OCTAVE = 12
_OF_THE_BAND = 0.45  # filters are not infinitely steep
_TINY = 1e-12


def recorded_at(x: Samples, said: Sequence[Samples], said_at: int) -> int | None:
    """The rate at which `x` is of a voice of which `said` is, by speakers, at `said_at` samples a second. None where
    nothing tells."""
    if min(map(len, [x, *said])) < 2 * _WINDOW:
        return None
    fits = sorted(((_fit(x, rate, said, said_at), rate) for rate in bounds.RATES), reverse=True)
    (best, rate), (second, _) = fits[:2]
    sure = bounds.SAME_VOICE.above(best) and bounds.VOICE_ALONE.above(best - second)
    return rate if sure else None


def _fit(x: Samples, rate: int, said: Sequence[Samples], said_at: int) -> float:
    highest = min(_HIGHEST, rate * _OF_THE_BAND)
    own = _spectrum(x, rate, highest)
    return max(_alike(own, _spectrum(other, said_at, highest)) for other in said)


def _alike(one: Samples, other: Samples) -> float:
    """Of the spectrum's course and of its steps: the first tells what is far off, the second what is near."""
    course, steps = np.corrcoef(one, other)[0, 1], np.corrcoef(np.diff(one), np.diff(other))[0, 1]
    return float(course + steps) / 2


def _spectrum(x: Samples, rate: int, highest: float) -> Samples:
    """Logarithms of the power in bands of a semitone, of the louder half of the time."""
    frames = np.lib.stride_tricks.sliding_window_view(x, _WINDOW)[::_STEP] * np.hanning(_WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
    loudness = power.sum(axis=1)
    power = power[loudness >= np.median(loudness)].mean(axis=0)
    edges = _LOWEST * 2 ** (np.arange(int(np.log2(highest / _LOWEST) * _IN_AN_OCTAVE) + 1) / _IN_AN_OCTAVE)
    below = np.interp(edges * _WINDOW / rate, np.arange(len(power) + 1), np.concatenate([[0.0], np.cumsum(power)]))
    return np.asarray(np.log(np.diff(below) + _TINY))
