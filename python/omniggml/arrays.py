"""Arrays that a person hands over, in memory or as files, with a sentence for whatever is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.array_file import read_array_file
from omniggml.errors import InputError
from omniggml.gguf.bfloat16 import from_bfloat16

PathLike = str | os.PathLike[str]
_NO_ARRAY = (ValueError, TypeError, RuntimeError, AttributeError, OverflowError, RecursionError)
"""What NumPy and the classes that it asks raise of what is no array; a class derived from them is somebody's own."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


def token_ids(tokens: Sequence[int]) -> list[int]:
    """A list of token ids. Raises InputError for anything else."""
    ids = integers("token ids", tokens)
    if ids and (min(ids) < 0 or max(ids) >= 2**31):
        raise InputError("token ids must be between 0 and 2^31 - 1")
    return ids


def integers(name: str, values: Sequence[int]) -> list[int]:
    """A list of integers. Raises InputError for anything else, by `name`."""
    array = as_array(name, values)
    if array.size == 0:
        return []
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} are {array.dtype} of shape {list(array.shape)}; expected a list of integers")
    found: list[int] = array.tolist()
    return found


def finite_floats(name: str, values: npt.ArrayLike) -> FloatArray:
    """Finite numbers as float32. Raises InputError for anything else, by `name`."""
    array = as_array(name, values)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InputError(f"{name} is {array.dtype}; expected numbers")
    with np.errstate(over="ignore"):
        narrowed = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(narrowed).all():
        raise InputError(f"{name} holds NaN or infinity")
    return narrowed


def vector_of(name: str, values: npt.ArrayLike) -> tuple[float, ...]:
    """Finite numbers in one row, as float32 holds them. Raises InputError for anything else, by `name`."""
    array = finite_floats(name, values)
    if array.ndim != 1:
        raise InputError(f"{name} has the shape {list(array.shape)}; expected one row of numbers")
    return tuple(array.tolist())


def axis_positions(positions: npt.ArrayLike | None) -> IntArray | None:
    """Positions in time, height and width, int32 [3, n]. Raises InputError for anything else."""
    if positions is None:
        return None
    array = as_array("positions", positions)
    if array.ndim != 2 or len(array) != 3 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"positions are {array.dtype} of shape {list(array.shape)}; expected integers [3, tokens]")
    if array.size and (array.min() < 0 or array.max() >= 2**30):
        raise InputError("positions must be between 0 and 2^30 - 1")
    return np.ascontiguousarray(array, dtype=np.int32)


def as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Raises InputError where the values are no array, by `name`."""
    try:
        return np.asarray(values)
    except Exception as error:
        # torch's of a tensor that wants a gradient is among them. What a class of the caller's or a signal's handler
        # raises is theirs, and so is a lack of memory.
        if type(error) not in _NO_ARRAY:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name} can't be made an array: {reason}") from None


def read_codes(codes: PathLike | npt.ArrayLike) -> npt.NDArray[Any]:
    """An array, or the only one in a file. Raises InputError where there is none."""
    if not isinstance(codes, (str, os.PathLike)):
        return as_array("codes", codes)
    arrays = read_array_file(codes)
    if len(arrays) != 1:
        names = ", ".join(arrays)
        raise InputError(f"{os.fspath(codes)} holds {len(arrays)} arrays ({names:.200}); expected one")
    return next(iter(arrays.values()))


def codes_by_group(codes: npt.NDArray[Any], groups: int) -> tuple[npt.NDArray[Any], str]:
    """Codes [groups, frames] from these, from [1, groups, frames] or, where that can be told, [frames, groups]; and
    what was done, "" where nothing was."""
    if codes.ndim == 3 and codes.shape[0] == 1:
        codes = codes[0]
    if codes.ndim == 2 and codes.shape[0] != groups and codes.shape[1] == groups:
        return np.ascontiguousarray(codes.T), f"the codes are {list(codes.shape)}, read as [frames, groups]"
    return codes, ""


def read_dump(dump: PathLike | Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """Module name -> array, from a file of arrays with names; integers of 16 bits are the bits of bfloat16, which
    NumPy has no type for. Raises InputError where it is none."""
    if isinstance(dump, Mapping):
        return {name: _widened(as_array(str(name), values)) for name, values in dump.items()}
    arrays = {name: _widened(values) for name, values in read_array_file(dump).items()}
    if "" in arrays:
        raise InputError(f"{os.fspath(dump)} holds one array without a name; expected arrays by module names")
    return arrays


def _widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind in "iu" and values.dtype.itemsize == 2:
        return from_bfloat16(values.view(np.uint16))
    return values
