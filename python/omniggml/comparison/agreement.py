"""How alike two arrays are: shape of the signal, its size, and what is left over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.checked import checked

Array = npt.NDArray[Any]


@checked
@dataclass(frozen=True)
class Gate:
    """Bounds: least cosine, largest normalised squared error, largest distance of the gain from 1."""

    cosine: float
    nmse: float
    gain: float


# Noise of NMSE e changes the norm by about e / 2, a wrong factor by as much as sqrt(e). The gain may be off by a fifth
# of what the NMSE alone would let through, so a systematic error fails long before noise of the same size does.
GATES = {
    "F32": Gate(0.99999, 1e-8, 2e-5),
    "F16": Gate(0.9999, 1e-4, 2e-3),
    "BF16": Gate(0.9999, 1e-4, 2e-3),
    "Q8_0": Gate(0.999, 1e-3, 6e-3),
}
"""By the type of the weights; smaller types have none, and are held to Q8_0's."""


@checked
@dataclass(frozen=True)
class Agreement:
    """`cosine` of the angle, `nmse` |got - want|^2 / |want|^2, `gain` |got| / |want|, `largest` |got - want|."""

    cosine: float
    nmse: float
    gain: float
    largest: float

    def inside(self, gate: Gate) -> bool:
        """Whether all are within the gate; NaN never is."""
        return self.cosine >= gate.cosine and self.nmse <= gate.nmse and abs(self.gain - 1) <= gate.gain


def agreement(got: Array, want: Array) -> Agreement:
    """Compare two arrays with the same number of values, in double precision."""
    a, b = (np.asarray(x, np.float64).ravel() for x in (got, want))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Agreement(math.nan, math.nan, math.nan, math.nan)
    difference, power = a - b, float(b @ b)
    largest = float(np.abs(difference).max(initial=0))
    if power == 0:
        same = largest == 0
        return Agreement(float(same), 0 if same else math.inf, 1 if same else math.inf, largest)
    gain = math.sqrt(float(a @ a) / power)
    cosine = float(a @ b) / (gain * power) if gain > 0 else 0.0
    return Agreement(cosine, float(difference @ difference) / power, gain, largest)


@dataclass(frozen=True)
class Match:
    """How well one signal explains another, constants aside: `correlation` at the best `lag` in samples (positive:
    theirs comes later),
    `gain` theirs / ours, and the share `residual` of their energy that scaled and shifted ours leaves over."""

    correlation: float
    gain: float
    lag: int
    residual: float


def match(theirs: Array, ours: Array, most_lag: int) -> Match:
    """Compare two signals, allowing for a factor, a constant, and a delay of up to `most_lag` samples either way."""
    a, b = (np.nan_to_num(np.asarray(x, np.float64).ravel(), posinf=0.0, neginf=0.0) for x in (theirs, ours))
    if not a.any() or not b.any():
        return Match(0.0, 0.0, 0, 1.0)
    lag = _best_lag(a - a.mean(), b - b.mean(), most_lag)
    a, b = a[max(lag, 0) :], b[max(-lag, 0) :]
    n = min(len(a), len(b))
    if n == 0:
        return Match(0.0, 0.0, lag, 1.0)
    a, b = a[:n] - a[:n].mean(), b[:n] - b[:n].mean()
    power_a, power_b, product = float(a @ a), float(b @ b), float(a @ b)
    if power_a == 0 or power_b == 0:
        return Match(0.0, 0.0, lag, 1.0)
    correlation = product / math.sqrt(power_a * power_b)
    return Match(correlation, product / power_b, lag, max(0.0, 1 - correlation**2))


def _best_lag(a: Array, b: Array, most: int) -> int:
    size = 1 << (len(a) + len(b)).bit_length()
    crossed = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    most = min(most, size // 2 - 1)
    lags = np.arange(-most, most + 1)
    return int(lags[np.argmax(np.abs(crossed[lags]))])
