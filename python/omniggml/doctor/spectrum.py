"""Whether a matrix looks drawn at random or trained, by its largest singular value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_CROP = 512
_LEAST = 32
_STEPS = 24


def spectral_excess(values: npt.NDArray[np.float32]) -> float:
    """The largest singular value over the one that random numbers of the same size would have (about 1 for these,
    more for what was trained); 0 for a matrix too small to tell.

    Of experts and kernels the first axes are taken together; of large matrices a corner.
    """
    matrix = (
        values.reshape(-1, values.shape[-1])
        if values.ndim != 3 or values.shape[-1] > 16
        else values.reshape(len(values), -1)
    )
    matrix = matrix[:_CROP, :_CROP].astype(np.float64)
    if min(matrix.shape) < _LEAST or not matrix.any():
        return 0.0
    vector = np.random.default_rng(0).standard_normal(matrix.shape[1])
    for _ in range(_STEPS):
        vector = matrix.T @ (matrix @ vector)
        vector /= np.linalg.norm(vector)
    largest = float(np.linalg.norm(matrix @ vector))
    return float(largest / (float(matrix.std()) * (matrix.shape[0] ** 0.5 + matrix.shape[1] ** 0.5)))
