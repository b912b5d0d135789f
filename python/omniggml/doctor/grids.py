"""Whether values lie on a coarser grid than that of the type that they are stored in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.doctor.thresholds import LEVELS, OFF_GRID
from omniggml.gguf.type_names import PLAIN

_BLOCK = 32
_LEAST_BLOCKS = 16
_MOST_BLOCKS = 2048
_SOFTEST = 24
_OFF_STEP = 0.1
_SUBNORMAL = float(np.finfo(np.float32).tiny)


def coarser_grid(values: npt.NDArray[np.float32], type_: str) -> str:
    """The name of the grid ("4 or 5 bits", "Q8_0") that values stored as `type_` betray, "" where there is none."""
    if values.shape[-1] % _BLOCK or type_ not in (*PLAIN, "Q8_0"):
        return ""
    blocks = values.reshape(-1, _BLOCK)[:_MOST_BLOCKS].astype(np.float64)
    # Below the least of full precision, floats have few bits by themselves.
    blocks = blocks[np.abs(blocks).max(axis=1) > _SUBNORMAL]
    if len(blocks) < _LEAST_BLOCKS:
        return ""
    # Types with a short mantissa round values onto few levels by themselves, but not so few within one block.
    if LEVELS.below(_different(blocks[:256])):
        return "4 or 5 bits"
    if type_ in ("F32", "F16"):
        steps = blocks / (np.abs(blocks).max(axis=1, keepdims=True) / 127)
        if OFF_GRID.below(float(np.mean(np.abs(steps - np.round(steps))))):
            return "Q8_0"
    return ""


def _different(blocks: npt.NDArray[np.float64]) -> float:
    """How many values of a block differ, on average."""
    return 1 + float(np.mean(np.count_nonzero(np.diff(np.sort(blocks, axis=1), axis=1), axis=1)))


def step_of(samples: npt.NDArray[np.float64]) -> float:
    """The step of which all samples are multiples, as those of 16 bits times a gain are in a file of 24; 0.0 where
    there is none. The softest tell it, between which no step is left out."""
    softest = np.unique(np.abs(samples))[:_SOFTEST]
    gaps = np.diff(softest)
    if len(gaps) < _SOFTEST - 1:
        return 0.0
    steps = np.round(gaps / np.median(gaps))
    step = float(gaps.sum() / max(1.0, steps.sum()))
    return step if float(np.abs(gaps / step - steps).max()) < _OFF_STEP else 0.0
