"""One tensor in a safetensors file, and its values in the types that checkpoints have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.errors import ConversionError
from omniggml.gguf.bfloat16 import from_bfloat16
from omniggml.plain_file import open_plain

PLAIN_TYPES: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""safetensors' names of the types that weights have, and how NumPy reads them."""

STORED_TYPES: dict[str, np.dtype[Any]] = {
    **PLAIN_TYPES,
    "F8_E4M3": np.dtype("u1"),
    "F8_E8M0": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
"""And those of quantized weights and of what stands beside them."""


@dataclass(frozen=True)
class CheckpointTensor:
    """Where one tensor lies: `offset` counts from the start of `path`, in bytes; `type` is safetensors' name.
    `stored_as`: its own name there, or that of the stack that it is a part of."""

    path: Path
    type: str
    shape: tuple[int, ...]
    offset: int
    stored_as: str = ""


def read_values(tensor: CheckpointTensor, start: int = 0, count: int | None = None) -> npt.NDArray[Any]:
    """Values from number `start` on, flat; all of them, without `count`, in the tensor's shape. Floats as float32.

    Raises ConversionError where the file was cut, or for a type that is none of `STORED_TYPES`.
    """
    dtype = STORED_TYPES.get(tensor.type)
    if dtype is None:
        raise ConversionError(
            f"{tensor.path}: tensor {tensor.stored_as} is of the type {tensor.type}, which can't be read"
        )
    n = prod(tensor.shape) if count is None else count
    with open_plain(tensor.path) as file:
        file.seek(tensor.offset + start * dtype.itemsize)
        data = file.read(n * dtype.itemsize)
    if len(data) < n * dtype.itemsize:
        raise ConversionError(f"{tensor.path} was cut while it was read")
    values = as_numbers(np.frombuffer(data, dtype), tensor.type)
    return values.reshape(tensor.shape) if count is None else values


def as_numbers(stored: npt.NDArray[Any], type_: str) -> npt.NDArray[Any]:
    """Floats of any type as float32; integers as they are."""
    if type_ == "BF16":
        return from_bfloat16(stored)
    if type_ == "F8_E4M3":
        numbers: npt.NDArray[np.float32] = _e4m3()[stored]
        return numbers
    if type_ == "F8_E8M0":
        return np.exp2(stored.astype(np.float32) - 127)
    with np.errstate(over="ignore"):  # infinity is refused where weights are read
        return stored.astype(np.float32) if stored.dtype.kind == "f" else stored


@cache
def _e4m3() -> npt.NDArray[np.float32]:
    """The number of every byte: a sign, 4 bits of exponent about 7, 3 of fraction; no infinity, and one NaN."""
    codes = np.arange(256)
    exponent, fraction = (codes >> 3) & 15, codes & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    size[(codes & 127) == 127] = np.nan
    return np.where(codes < 128, size, -size).astype(np.float32)
