"""What "the same" means: the doctor's numbers for two arrays, and the gates they have to pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.comparison import agreement as doctors
from omniggml.comparison.agreement import Agreement, Gate

__all__ = ["GATES", "Agreement", "Gate", "agreement"]

GATES = {name.lower(): gate for name, gate in doctors.GATES.items()}
"""By the name of the type that a file was converted to."""


def agreement(got: npt.NDArray[np.floating], want: npt.NDArray[np.floating]) -> Agreement:
    """Compare two arrays of one shape. Raises ValueError for different shapes."""
    if got.shape != want.shape:
        raise ValueError(f"got the shape {got.shape}, the reference has {want.shape}")
    return doctors.agreement(got, want)
