"""Float32 values -> the bytes of a GGUF tensor type, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType
from gguf.quants import quant_shape_to_byte_shape, quantize

from omniggml.convert.bfloat16 import to_bfloat16
from omniggml.convert.precision import BF16, F16, F32, Q8_0, Q8_0_BLOCK
from omniggml.convert.safetensors_reader import Checkpoint
from omniggml.convert.tensor_plan import PlannedTensor
from omniggml.errors import ConversionError

_VALUE_TYPE: dict[GGMLQuantizationType, np.dtype[Any]] = {
    F32: np.dtype("<f4"),
    F16: np.dtype("<f2"),
    BF16: np.dtype("<u2"),
}


def encoded_size(tensor: PlannedTensor) -> int:
    """Bytes of the tensor's values in the file, without padding."""
    if tensor.type in _VALUE_TYPE:
        return prod(tensor.shape) * _VALUE_TYPE[tensor.type].itemsize
    return int(prod(quant_shape_to_byte_shape(tensor.shape, tensor.type)))


def encode(checkpoint: Checkpoint, tensor: PlannedTensor) -> npt.NDArray[np.uint8]:
    """The tensor's bytes, flat uint8; only these and one block of values are in memory at a time.

    Raises ConversionError, naming the tensor, when a value doesn't fit the type.
    """
    data = np.empty(encoded_size(tensor), dtype=np.uint8)
    position = 0
    for values in _rows(checkpoint, tensor):
        piece = _encode_block(values, tensor.type, tensor.name)
        data[position : position + piece.size] = piece
        position += piece.size
    return data


def _rows(checkpoint: Checkpoint, tensor: PlannedTensor) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of whole rows, [n, row length]; a source's own blocks may end within a row."""
    width = tensor.shape[-1]
    for source in tensor.sources:
        rest = np.empty(0, dtype=np.float32)
        for block in checkpoint.blocks(source):
            joined = np.concatenate([rest, block]) if rest.size else block
            whole = joined.size // width * width
            yield joined[:whole].reshape(-1, width)
            rest = joined[whole:]


def _encode_block(values: npt.NDArray[np.float32], type_: GGMLQuantizationType, name: str) -> npt.NDArray[np.uint8]:
    if type_ == F32:
        return _bytes(values.astype("<f4", copy=False))
    if type_ == BF16:
        return _bytes(to_bfloat16(values).astype("<u2", copy=False))
    if type_ == F16:
        with np.errstate(over="ignore"):
            halves = values.astype("<f2")
        _check_fits(values, np.isfinite(halves), name, "F16", 65504.0)
        return _bytes(halves)
    if type_ == Q8_0:
        # A block's scale is its largest value over 127, kept in F16.
        limit = 65504.0 * 127
        _check_fits(values, np.abs(values) <= limit, name, "Q8_0", limit)
        assert values.shape[-1] % Q8_0_BLOCK == 0
        return _bytes(np.asarray(quantize(values, Q8_0)))
    raise NotImplementedError(f"{name}: no encoder for {type_.name}")


def _check_fits(
    values: npt.NDArray[np.float32], fits: npt.NDArray[np.bool_], name: str, type_name: str, limit: float
) -> None:
    if not fits.all():
        found = values[~fits].flat[0]
        raise ConversionError(
            f"tensor {name} holds {found:g}, {type_name} ends at {limit:g}: choose --type f32 or bf16"
        )


def _bytes(array: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
