"""Quantized weights of a checkpoint, read as the numbers that they stand for.

Read are 8-bit floats and integers with scales, and integers packed in words of 32 bits, as compressed-tensors and
transformers' FP8 save them: one scale for a tensor, a row, a stretch of a row, or a block. What else quantizes is told
from these by `QuantizedTensor.of` finding none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.conversion.checkpoint_tensor import CheckpointTensor, read_values
from omniggml.errors import ConversionError

FloatArray = npt.NDArray[np.float32]

SCALES = ("weight_scale_inv", "weight_scale")
PACKED = "weight_packed"
FURTHER = ("weight_zero_point", "weight_shape", "weight_g_idx", "input_scale", "input_zero_point", "output_scale")
"""What stands beside a quantized weight. How activations were to be quantized is of no interest here."""

_EIGHT_BITS = ("F8_E4M3", "I8")
_WORD = 32
_ROW_VALUES = 1 << 20  # values made at a time


@dataclass(frozen=True)
class QuantizedTensor:
    """`weight` [out, in], or [out, words] where `bits` of each value are packed. `scale`: broadcast over blocks."""

    name: str
    shape: tuple[int, int]
    weight: CheckpointTensor
    scale: CheckpointTensor
    zero: CheckpointTensor | None
    groups: CheckpointTensor | None
    bits: int
    block: tuple[int, int]

    @classmethod
    def of(cls, module: str, tensors: Mapping[str, CheckpointTensor], block: tuple[int, int]) -> QuantizedTensor | None:
        """The weight of a module, None where it isn't quantized in a way that can be read."""
        scale = next((tensors[f"{module}{name}"] for name in SCALES if f"{module}{name}" in tensors), None)
        packed, plain = tensors.get(f"{module}{PACKED}"), tensors.get(f"{module}weight")
        weight = packed or plain
        if scale is None or weight is None or len(weight.shape) != 2:
            return None
        zero, groups = (tensors.get(f"{module}{name}") for name in ("weight_zero_point", "weight_g_idx"))
        name = f"{module}weight"
        if packed is None:
            shape = (weight.shape[0], weight.shape[1])
            return cls(name, shape, weight, scale, zero, groups, 8, block) if weight.type in _EIGHT_BITS else None
        listed = tensors.get(f"{module}weight_shape")
        bits = 0 if listed is None or weight.type != "I32" else _bits(read_values(listed), weight.shape)
        if listed is None or not bits:
            return None
        rows, columns = (int(extent) for extent in read_values(listed))
        return cls(name, (rows, columns), weight, scale, zero, groups, bits, block)

    def rows(self) -> Iterator[FloatArray]:
        """Values in order, some rows at a time, flat. Raises ConversionError where scales don't fit the weight."""
        scales = self._fitted(_grid(read_values(self.scale)), "scales")
        zeros = None if self.zero is None else self._fitted(self._zeros(self.zero), "zero points")
        step = max(1, _ROW_VALUES // max(self.shape[1], 1))
        for first in range(0, self.shape[0], step):
            last = min(first + step, self.shape[0])
            values = self._stored_rows(first, last)
            if zeros is not None:
                values = values - self._spread(zeros, first, last)
            yield (values * self._spread(scales, first, last)).ravel()

    def _stored_rows(self, first: int, last: int) -> FloatArray:
        width = self.weight.shape[1]
        stored = read_values(self.weight, first * width, (last - first) * width).reshape(last - first, width)
        return stored.astype(np.float32) if self.bits == 8 and width == self.shape[1] else self._unpacked(stored)

    def _unpacked(self, words: npt.NDArray[np.generic]) -> FloatArray:
        values = _unpacked(words.astype(np.int64), self.bits)[:, : self.shape[1]]
        return values.astype(np.float32)

    def _zeros(self, zero: CheckpointTensor) -> FloatArray:
        stored = read_values(zero)
        if zero.type != "I32" or stored.ndim != 2:
            return _grid(stored)
        # Packed along the rows.
        return _unpacked(stored.astype(np.int64).T, self.bits).T[: self.scale.shape[0]].astype(np.float32)

    def _fitted(self, grid: FloatArray, what: str) -> FloatArray:
        sizes = self._sizes(grid)
        if any(
            blocks != -(-extent // size) for blocks, extent, size in zip(grid.shape, self.shape, sizes, strict=True)
        ):
            raise ConversionError(
                f"{self.weight.path}: tensor {self.name} of shape {list(self.shape)} has {what} of shape "
                f"{list(grid.shape)}, which don't fit it"
            )
        return grid

    def _sizes(self, grid: FloatArray) -> tuple[int, int]:
        """Rows and columns of a block. Floats have blocks of a given size, the last of which may be cut short; all else
        is cut evenly."""
        rows, columns = self.shape
        if self.weight.type == "F8_E4M3" and grid.size > 1 and len(grid) != rows:
            return self.block
        return max(1, rows // max(len(grid), 1)), max(1, columns // max(grid.shape[1], 1))

    def _spread(self, grid: FloatArray, first: int, last: int) -> FloatArray:
        """A block's number for each of its values in some rows."""
        height, width = self._sizes(grid)
        rows, columns = np.arange(first, last) // height, np.arange(self.shape[1]) // width
        if self.groups is not None and grid.shape[1] > 1:
            columns = np.clip(read_values(self.groups).astype(np.int64), 0, grid.shape[1] - 1)
        spread: FloatArray = grid[rows][:, columns]
        return spread


def _bits(shape: npt.NDArray[np.generic], stored: tuple[int, ...]) -> int:
    """Of a value, by how many words a row has; 0 where it doesn't follow."""
    if shape.size != 2:
        return 0
    columns = int(shape[1])
    return next((bits for bits in (4, 8) if stored[1] == -(-columns // (_WORD // bits))), 0)


def _unpacked(words: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """[rows, words] -> [rows, values]; the lowest bits are the first value, and each is above its middle."""
    shifts = np.arange(0, _WORD, bits, dtype=np.int64)
    values = (words[:, :, np.newaxis] >> shifts) & (2**bits - 1)
    numbers: npt.NDArray[np.int64] = values.reshape(len(words), -1) - 2 ** (bits - 1)
    return numbers


def _grid(values: npt.NDArray[np.generic]) -> FloatArray:
    """As a matrix: one number is one block, a vector has one for each row."""
    return values.astype(np.float32).reshape(values.shape[0] if values.ndim else 1, -1)
