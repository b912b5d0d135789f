"""GGUF files read with the gguf package, changed, and written again, soundness not required."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFValueType

_FORMATS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass
class Entry:
    """A metadata value of a type; for an array, `element` is the type of its elements."""

    type: int
    value: Any
    element: int = 0


@dataclass
class Tensor:
    """`ne` in ggml's order, fastest axis first. `offset`: as the header states it; None: where the data really is."""

    name: str | bytes
    ne: list[int]
    type: int
    data: bytes
    offset: int | None = None


@dataclass
class GgufEdit:
    """The content of one file. Change it in place, then `write` it."""

    metadata: list[tuple[str | bytes, Entry]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    version: int = 3
    alignment: int = 32

    @classmethod
    def read(cls, path: Path) -> GgufEdit:
        reader = gguf.GGUFReader(path)
        edit = cls()
        for key, entry in reader.fields.items():
            if key.startswith("GGUF."):
                continue
            element = int(entry.types[1]) if entry.types[0] == GGUFValueType.ARRAY else 0
            edit.metadata.append((key, Entry(int(entry.types[0]), entry.contents(), element)))
        for tensor in reader.tensors:
            ne = [int(extent) for extent in tensor.shape]
            edit.tensors.append(Tensor(tensor.name, ne, int(tensor.tensor_type), tensor.data.tobytes()))
        return edit

    # --- metadata ---------------------------------------------------------------------------------------------------

    def entry(self, key: str) -> Entry:
        return next(entry for name, entry in self.metadata if name == key)

    def remove(self, key: str) -> GgufEdit:
        self.metadata = [(name, entry) for name, entry in self.metadata if name != key]
        return self

    def set(self, key: str, value: Any, type_: int | None = None, element: int = 0) -> GgufEdit:
        """Change a value, and its type where one is given; a key that is not there is added."""
        for name, entry in self.metadata:
            if name == key:
                entry.value = value
                if type_ is not None:
                    entry.type, entry.element = type_, element
                return self
        assert type_ is not None, f"{key} is not in the file; give its type"
        return self.append(key, value, type_, element)

    def append(self, key: str | bytes, value: Any, type_: int, element: int = 0) -> GgufEdit:
        """Add an entry, even where its key is there already."""
        self.metadata.append((key, Entry(type_, value, element)))
        return self

    # --- tensors ----------------------------------------------------------------------------------------------------

    def tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def drop(self, name: str) -> GgufEdit:
        self.tensors.remove(self.tensor(name))
        return self

    def rename(self, name: str, other: str | bytes) -> GgufEdit:
        self.tensor(name).name = other
        return self

    def reshape(self, name: str, ne: Sequence[int]) -> GgufEdit:
        """Another shape and zeros to fill it."""
        tensor = self.tensor(name)
        tensor.ne = list(ne)
        tensor.data = bytes(_nbytes(tensor.type, ne))
        return self

    def retype(self, name: str, type_: int) -> GgufEdit:
        """Another type, all bytes zero: zeros, or nearly, in each."""
        tensor = self.tensor(name)
        tensor.type = type_
        tensor.data = bytes(_nbytes(type_, tensor.ne))
        return self

    def values(self, name: str) -> npt.NDArray[np.float32]:
        """A float32 tensor's values, to be changed and given to `put`."""
        return np.frombuffer(self.tensor(name).data, np.float32).copy()

    def put(self, name: str, values: npt.NDArray[Any]) -> GgufEdit:
        self.tensor(name).data = values.tobytes()
        return self

    # --- output -----------------------------------------------------------------------------------------------------

    def header(self, n_tensors: int | None = None, n_metadata: int | None = None) -> bytes:
        """The bytes before the data; the counts as they are, or as they are said to be."""
        counts = (
            len(self.tensors) if n_tensors is None else n_tensors,
            len(self.metadata) if n_metadata is None else n_metadata,
        )
        out = b"GGUF" + struct.pack("<IQQ", self.version, *counts)
        for key, entry in self.metadata:
            out += _string(key) + struct.pack("<I", entry.type) + _value(entry)
        offset = 0
        for tensor in self.tensors:
            place = offset if tensor.offset is None else tensor.offset
            out += _string(tensor.name) + struct.pack("<I", len(tensor.ne))
            out += struct.pack(f"<{len(tensor.ne)}QIQ", *tensor.ne, tensor.type, place)
            offset += _padded(len(tensor.data), self.alignment)
        return out

    def write(self, path: Path) -> Path:
        out = bytearray(self.header())
        for tensor in self.tensors:
            out += bytes(_padded(len(out), self.alignment) - len(out)) + tensor.data
        path.write_bytes(bytes(out))
        return path


def _nbytes(type_: int, ne: Sequence[int]) -> int:
    block, size = gguf.GGML_QUANT_SIZES[GGMLQuantizationType(type_)]
    return int(np.prod(ne)) // block * size


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _value(entry: Entry) -> bytes:
    if entry.type == GGUFValueType.ARRAY:
        items = b"".join(_value(Entry(entry.element, value)) for value in entry.value)
        return struct.pack("<IQ", entry.element, len(entry.value)) + items
    if entry.type == GGUFValueType.STRING:
        return _string(entry.value)
    if entry.type in _FORMATS:
        return struct.pack("<" + _FORMATS[GGUFValueType(entry.type)], entry.value)
    return bytes(entry.value)
