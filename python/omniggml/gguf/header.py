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
from omniggml.gguf.type_names import shown


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the file lists it. `shape` is in PyTorch's order, slowest axis first."""

    name: str
    shape: tuple[int, ...]
    type: str
    nbytes: int

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The header of one file. `native` is the open file."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]
    native: _native.GgufFile = field(repr=False, compare=False)

    @property
    def architecture(self) -> str:
        """What `general.architecture` says, "" where it says nothing of use."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""


def read_header(path: str | os.PathLike[str]) -> Header:
    """Open a file. Raises ModelFileError where it is no sound GGUF file."""
    with suppress(OSError):  # which opening says too
        if reason := why_not_gguf(Path(os.fspath(path))):
            raise ModelFileError(reason)
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{os.fspath(path)!r} holds letters that no path has") from error
    native = _native.GgufFile(name)
    tensors = {
        entry["name"]: StoredTensor(entry["name"], tuple(entry["shape"]), shown(entry["type"]), entry["nbytes"])
        for entry in native.tensors()
    }
    return Header(Path(os.fspath(path)), native.metadata(), tensors, native)
