"""What a GGUF file says of itself: metadata and a list of tensors, no values."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.gguf.foreign_bytes import why_not_gguf
from omniggml.gguf.metadata import Metadata, ValueType
from omniggml.gguf.planned_tensor import PlannedTensor
from omniggml.gguf.split_file import members_of
from omniggml.gguf.type_names import shown
from omniggml.paths import as_path


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the file lists it. `shape` is in PyTorch's order, slowest axis first. `member`: number of the file
    that it lies in, of those that a split file is made of, and `offset` its place there."""

    name: str
    shape: tuple[int, ...]
    type: str
    nbytes: int
    member: int = 0
    offset: int = field(default=0, compare=False)

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The header of one file, or of all that it was split into. `native` is what the engine reads; `members` are the
    open files, one or more."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]
    native: _native.GgufFile = field(repr=False, compare=False)
    members: tuple[_native.GgufFile, ...] = field(repr=False, compare=False)

    @property
    def architecture(self) -> str:
        """What `general.architecture` says, "" where it says nothing of use."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""

    @property
    def paths(self) -> list[bytes]:
        """Of the members."""
        return [os.fsencode(member.path) for member in self.members]

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)

    def entries(self) -> Metadata:
        """The metadata in the types that the file has. An empty list can't be written, and says nothing."""
        entries: Metadata = {}
        types = self.members[0].value_types()
        for key, value in self.metadata.items():
            if value != []:
                type_, element = types[key]
                is_list = type_ == ValueType.ARRAY.value
                entries[key] = (value, ValueType(type_), ValueType(element) if is_list else None)
        return entries

    def read(self, stored: StoredTensor, start: int = 0, nbytes: int | None = None) -> bytes:
        """Bytes of a tensor's values, all of them or some from `start` on. Raises ModelFileError where it was cut."""
        length = stored.nbytes - start if nbytes is None else nbytes
        return self.members[stored.member].read(stored.offset + start, length)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Open a file, with its siblings where it is one of several. Raises ModelFileError where it is no sound GGUF
    file, or not complete."""
    where = as_path(path)
    with suppress(OSError, ValueError):  # which opening says too
        if reason := why_not_gguf(where):
            raise ModelFileError(reason)
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{os.fspath(path)!r} holds letters that no path has") from error
    first = _native.GgufFile(name)
    members = members_of(where, first, first.metadata())
    tensors: dict[str, StoredTensor] = {}
    for number, member in enumerate(members):
        for entry in member.tensors():
            stored = StoredTensor(
                entry["name"], tuple(entry["shape"]), shown(entry["type"]), entry["nbytes"], number, entry["offset"]
            )
            tensors[stored.name] = stored
    native = members[0] if len(members) == 1 else _joined(members, tensors)
    return Header(where, members[0].metadata(), tensors, native, tuple(members))


def _joined(members: list[_native.GgufFile], tensors: dict[str, StoredTensor]) -> _native.GgufFile:
    """The members as one file."""
    plan = [PlannedTensor(one.name, one.shape, ((one.member, one.name, 0, 1),)) for one in tensors.values()]
    return _native.PlannedFile([os.fsencode(member.path) for member in members], {}, plan)
