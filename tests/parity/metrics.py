"""What "the same" means: three numbers for two arrays, and the gates they have to pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Gate:
    """Bounds of an agreement: least cosine, largest normalised squared error, largest distance of the gain from 1."""

    cosine: float
    nmse: float
    gain: float


# Noise of NMSE e changes the norm by about e / 2, a wrong factor by as much as sqrt(e). The gain may be off by a fifth
# of what the NMSE alone would let through, so a systematic error fails long before noise of the same size does.
GATES = {
    "f32": Gate(0.99999, 1e-8, 2e-5),
    "f16": Gate(0.9999, 1e-4, 2e-3),
    "bf16": Gate(0.9999, 1e-4, 2e-3),
    "q8_0": Gate(0.999, 1e-3, 6e-3),
}
"""By the name of the type that a file was converted to."""


@dataclass(frozen=True)
class Agreement:
    """How an array compares with the reference's: cosine of the angle, |got - want|^2 / |want|^2, |got| / |want|."""

    cosine: float
    nmse: float
    gain: float

    def inside(self, gate: Gate) -> bool:
        """Whether all three are within the gate; NaN never is."""
        return self.cosine >= gate.cosine and self.nmse <= gate.nmse and abs(self.gain - 1) <= gate.gain


def agreement(got: npt.NDArray[np.floating], want: npt.NDArray[np.floating]) -> Agreement:
    """Compare two arrays of one shape, in double precision. Raises ValueError for different shapes."""
    if got.shape != want.shape:
        raise ValueError(f"got the shape {got.shape}, the reference has {want.shape}")
    a = got.astype(np.float64).ravel()
    b = want.astype(np.float64).ravel()
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return Agreement(math.nan, math.nan, math.nan)
    power = float(b @ b)
    if power == 0:
        return Agreement(1, 0, 1) if not a.any() else Agreement(0, math.inf, math.inf)
    difference = a - b
    gain = math.sqrt(float(a @ a) / power)
    cosine = float(a @ b) / (gain * power) if gain > 0 else 0.0
    return Agreement(cosine, float(difference @ difference) / power, gain)
