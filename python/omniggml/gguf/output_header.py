"""The bytes of a GGUF file before its tensors' values, and where each tensor's values lie behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter

from omniggml.errors import ConversionError
from omniggml.gguf.metadata import Metadata

_ALIGNMENT = 32
"""GGUF's own where the key `general.alignment` says nothing, and our files don't have that key."""


@dataclass(frozen=True)
class OutputTensor:
    """A tensor to be written. `shape` is PyTorch's; `type` a ggml type in capitals; `nbytes`, unpadded."""

    name: str
    shape: tuple[int, ...]
    type: str
    nbytes: int


def header_bytes(architecture: str, metadata: Metadata, tensors: Sequence[OutputTensor]) -> bytes:
    """Metadata in its order, then the list of tensors in theirs, padded to where the first one's values begin.

    Raises ConversionError where the system's directory for temporary files has no room for it.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:  # the writer wants a file
            header = _written(Path(directory) / "header", architecture, metadata, tensors)
    except OSError as error:
        reason = error.strerror or error
        raise ConversionError(f"the directory for temporary files can't be written to: {reason}") from error
    except UnicodeEncodeError as error:
        raise ConversionError(f"{error.object!r:.80} is to be written, which is not valid Unicode") from error
    return header + bytes(padded(len(header)) - len(header))


def _written(path: Path, architecture: str, metadata: Metadata, tensors: Sequence[OutputTensor]) -> bytes:
    writer = GGUFWriter(path, architecture)
    for key, (value, type_, element_type) in metadata.items():
        if isinstance(value, (list, tuple)) and len(value) == 0:
            raise ConversionError(f"{key} is to be written, which has nothing in it")
        element = None if element_type is None else GGUFValueType(element_type.value)
        writer.add_key_value(key, value, GGUFValueType(type_.value), element)
    for tensor in tensors:
        # The NumPy type only has to differ from uint8, which makes the shape one of bytes; the raw type counts.
        kind = np.dtype(np.float32)
        writer.add_tensor_info(
            tensor.name, tensor.shape, kind, tensor.nbytes, raw_dtype=GGMLQuantizationType[tensor.type]
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path.read_bytes()


def offsets(header: bytes, tensors: Sequence[OutputTensor]) -> list[int]:
    """Where each tensor's values begin in the file; one more entry says where the file ends."""
    places = [len(header)]
    for tensor in tensors:
        places.append(places[-1] + padded(tensor.nbytes))
    return places


def padded(size: int) -> int:
    """The size, up to the next whole number of alignments."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT
