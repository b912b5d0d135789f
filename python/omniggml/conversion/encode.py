"""Float32 values -> the bytes of a GGUF tensor type, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from omniggml.conversion.output_tensors import StackedTensor
from omniggml.conversion.whole_rows import whole_rows
from omniggml.errors import ConversionError
from omniggml.files.families import SNAKE_EPSILON, Layout
from omniggml.gguf.bfloat16 import to_bfloat16
from omniggml.gguf.type_names import LARGEST_F16, quantize_rows

_FOLDED: dict[Layout, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]] = {
    Layout.EXPONENTIAL: lambda alpha: np.exp(alpha),
    Layout.RECIPROCAL: lambda beta: (1 / (np.exp(beta) + SNAKE_EPSILON)).astype(np.float32),
}

_LARGEST = {"F16": LARGEST_F16, "Q8_0": LARGEST_F16 * 127}
"""F16 ends there; a block of Q8_0 has its largest value over 127 in F16."""


class ValueSource(Protocol):
    """Where values come from: a checkpoint, or a generator of random ones."""

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """Values of a checkpoint's tensor in order, float32, flat, in blocks of any size."""
        ...


def encoded(source: ValueSource, tensor: StackedTensor) -> Iterator[memoryview]:
    """The tensor's bytes; one block of values is in memory at a time.

    Raises ConversionError, naming the tensor, when a value doesn't fit the type.
    """
    for values in _rows(source, tensor):
        yield memoryview(_encode_block(values, tensor.type, tensor.name))


def _rows(source: ValueSource, tensor: StackedTensor) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of whole rows, [n, row length]."""
    for name in tensor.sources:
        for rows in whole_rows(source.blocks(name), tensor.shape[-1]):
            yield folded(rows) if (folded := _FOLDED.get(tensor.layout)) else rows


def _encode_block(values: npt.NDArray[np.float32], type_: str, name: str) -> bytes:
    _check_fits(values, type_, name)
    if type_ == "F32":
        return values.astype("<f4", copy=False).tobytes()
    if type_ == "BF16":
        return to_bfloat16(values).astype("<u2", copy=False).tobytes()
    if type_ == "F16":
        return values.astype("<f2").tobytes()
    return quantize_rows(np.ascontiguousarray(values), type_)


def _check_fits(values: npt.NDArray[np.float32], type_: str, name: str) -> None:
    limit = _LARGEST.get(type_)
    # What rounds down to the largest F16 fits as well, so rounding decides there.
    with np.errstate(over="ignore"):
        fits = np.isfinite(values.astype("<f2")) if type_ == "F16" else np.abs(values) <= (limit or np.inf)
    if not fits.all():
        raise ConversionError(
            f"tensor {name} holds {values[~fits].flat[0]:g}, {type_} ends at {limit:g}: choose --type f32 or bf16"
        )
