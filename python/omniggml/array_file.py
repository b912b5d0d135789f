"""Arrays in files that anybody made: .npy, .npz, .safetensors, .pt. Nothing is unpickled that could run code, and
nothing is expanded before it is known how large it becomes."""

from __future__ import annotations

import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from omniggml.containers.safetensors_header import header_of
from omniggml.containers.zip_layout import check_layout
from omniggml.errors import InputError
from omniggml.gguf.bfloat16 import from_bfloat16
from omniggml.paths import as_path
from omniggml.plain_file import open_plain
from omniggml.printable import shown

PathLike = str | os.PathLike[str]
AnyArray = npt.NDArray[Any]

KINDS = ".npy, .npz, .safetensors or .pt"
FREE_BYTES = 256 << 20
"""Bytes that a compressed file may become whatever its own size."""

MOST_EXPANSION = 50
"""Times its own size that a larger one may become; arrays of numbers compress to a tenth at best."""

# What parsers of headers and archives raise. A TimeoutError is an OSError that no file raises: a signal's handler may.
_DAMAGED = (
    ValueError, TypeError, KeyError, IndexError, EOFError, SyntaxError, OverflowError, RecursionError, MemoryError,
    NotImplementedError, RuntimeError, AttributeError, struct.error, zlib.error, zipfile.BadZipFile,
    tokenize.TokenError,
)  # fmt: skip

_MAGIC = (
    (b"\x93NUMPY", "npy"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "an archive with nothing in it"),
    (b"RIFF", "WAV audio"), (b"fLaC", "FLAC audio"),
    (b"OggS", "Ogg audio"), (b"ID3", "MP3 audio"), (b"GGUF", "a GGUF file"), (b"\x89PNG", "a picture"),
    (b"\x89HDF", "an HDF5 file"), (b"\x80\x02", "a Python pickle"), (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"), (b"\x80\x05", "a Python pickle"), (b"\x1f\x8b", "a gzip file"),
)  # fmt: skip
_SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?", "BF16": "<u2",
}  # fmt: skip


def existing_file(path: PathLike) -> Path:
    """The path of a regular file. Raises InputError where there is none, saying what is there instead."""
    try:
        file = as_path(path)
        mode = file.stat().st_mode
    except PermissionError as error:
        raise InputError(f"{path!s}: {error.strerror}") from error
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path!s}: no such file") from None
    if stat.S_ISREG(mode):
        try:
            open_plain(file).close()
        except OSError as error:
            raise InputError(f"{path!s}: {error.strerror or error}") from error
        return file
    if stat.S_ISDIR(mode):
        raise InputError(f"{path!s} is a directory; name a file in it")
    if stat.S_ISFIFO(mode):
        raise InputError(f"{path!s} is a pipe; write what comes through it to a file, and name that")
    raise InputError(f"{path!s} is not a regular file")


def read_array_file(path: PathLike) -> dict[str, AnyArray]:
    """Name -> array; one array without a name is called "". Raises InputError where the file holds none that can be
    read, saying what it is instead."""
    file = existing_file(path)
    try:
        return _read(file)
    except TimeoutError:
        raise
    except (OSError, *_DAMAGED) as error:
        raise InputError(f"{file} is no {KINDS} file of numbers: {_reason(error)}") from error


def _read(path: Path) -> dict[str, AnyArray]:
    with path.open("rb") as file:
        start = file.read(16)
        kind = _kind(start)
        if path.suffix == ".safetensors" or _is_safetensors(start):
            return _read_safetensors(path)
        if kind == "npy":
            file.seek(0)
            return {"": _read_npy(file, path.stat().st_size)}
        if kind == "zip":
            with zipfile.ZipFile(file) as archive:
                return _read_archive(path, file, archive)
    raise ValueError(f"it is {kind}")


def _kind(start: bytes) -> str:
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    return "empty" if not start else "text" if start.isascii() and start.decode("ascii").isprintable() else "unknown"


def _is_safetensors(start: bytes) -> bool:
    """The size of a header, then JSON."""
    return start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < FREE_BYTES


def _reason(error: BaseException) -> str:
    said = " ".join(str(error).split())[:200]
    return said or ("not enough memory" if isinstance(error, MemoryError) else type(error).__name__)


# --- NumPy's formats --------------------------------------------------------------------------------------------------


def _read_npy(file: IO[bytes], size: int) -> AnyArray:
    """An array from a stream of `size` bytes in all, which are counted before any are allocated."""
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its format is of version {version[0]}.{version[1]}")
    try:
        shape, by_column, dtype = readers[version](file)
    except ValueError as error:
        raise ValueError("its header is not one that NumPy writes of numbers") from error
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise ValueError(f"it says that its shape is {list(shape)[:8]}")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded; save numbers alone")
    nbytes = prod(shape) * dtype.itemsize
    if nbytes > size:
        raise ValueError(f"it says that its shape is {list(shape)[:8]}, and has {size} bytes")
    data = file.read(nbytes)
    if len(data) < nbytes:
        raise EOFError("it is cut short")
    if file.read(1):
        raise ValueError("it goes on behind its array")
    # What ml_dtypes saves of bfloat16, NumPy reads as two bytes of nothing it knows.
    array = from_bfloat16(np.frombuffer(data, "<u2")) if dtype.str == "|V2" else np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).transpose() if by_column else array.reshape(shape)


def _read_archive(path: Path, file: IO[bytes], archive: zipfile.ZipFile) -> dict[str, AnyArray]:
    check_layout(file, archive)
    members = archive.infolist()
    size, expanded = path.stat().st_size, sum(member.file_size for member in members)
    most = max(FREE_BYTES, MOST_EXPANSION * size)
    if expanded > most:
        raise ValueError(f"its {size} bytes would become {expanded}")
    if any(member.filename.endswith("data.pkl") for member in members):
        from omniggml.torch_file import read_torch_archive

        return read_torch_archive(archive, most)
    arrays = {}
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"it is an archive with {shown(member.filename)} in it")
        with archive.open(member) as content:
            arrays[member.filename.removesuffix(".npy")] = _read_npy(content, member.file_size)
    return arrays


# --- safetensors ------------------------------------------------------------------------------------------------------


def _read_safetensors(path: Path) -> dict[str, AnyArray]:
    from safetensors import SafetensorError, deserialize  # type: ignore[attr-defined,unused-ignore]

    arrays: dict[str, AnyArray] = {}
    data = path.read_bytes()
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"as safetensors it is damaged: {error}") from None
    # The library keeps the last of two tensors of one name, and passes over keys that it doesn't know.
    header_of(data[8 : 8 + int.from_bytes(data[:8], "little")])
    for name, entry in entries:
        type_ = _SAFETENSORS_TYPES.get(entry["dtype"])
        if type_ is None:
            raise ValueError(f"{shown(name)} is of the type {entry['dtype']}")
        values = np.frombuffer(entry["data"], type_)
        arrays[name] = (from_bfloat16(values) if entry["dtype"] == "BF16" else values).reshape(entry["shape"])
    return arrays
