"""Arrays that a person hands over, in memory or as files, with a sentence for whatever is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.errors import InputError

PathLike = str | os.PathLike[str]
FloatArray = npt.NDArray[np.float32]


def token_ids(tokens: Sequence[int]) -> list[int]:
    """A list of token ids. Raises InputError for anything else."""
    array = as_array("token ids", tokens)
    if array.size == 0:
        return []
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"token ids are {array.dtype} of shape {list(array.shape)}; expected a list of integers")
    if array.min() < 0 or array.max() >= 2**31:
        raise InputError("token ids must be between 0 and 2^31 - 1")
    return [int(token) for token in array]


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


def as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Raises InputError where the values are no array, by `name`."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name} can't be made an array: {str(error).splitlines()[0]}") from None


def read_codes(codes: PathLike | npt.ArrayLike) -> npt.NDArray[Any]:
    """An array, or the one in a .npy file. Raises InputError where there is none."""
    if not isinstance(codes, (str, os.PathLike)):
        return np.asarray(codes)
    path = existing_file(codes)
    try:
        # Never unpickle: the file is somebody else's.
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy lets out whatever its parsers of headers and archives raise
        raise InputError(f"{path} is no .npy file of numbers: {' '.join(str(error).split())}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; expected one, in a .npy file")
    return array


def read_dump(dump: PathLike | Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """Module name -> array, from an .npz or a .safetensors file. Raises InputError where it is neither."""
    if isinstance(dump, Mapping):
        return {name: np.asarray(values) for name, values in dump.items()}
    path = existing_file(dump)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file: {error}") from error
    except Exception as error:  # as above
        raise InputError(f"{path} is no .npz or .safetensors file: {' '.join(str(error).split())}") from error


def existing_file(path: PathLike) -> Path:
    """The path of a file. Raises InputError where there is none."""
    file = Path(os.fspath(path))
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    return file
