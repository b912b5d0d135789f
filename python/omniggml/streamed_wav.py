"""WAV files that were written to a pipe: their data has the size 0, and goes on to the end of the file."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

_HEADER = 12  # RIFF, size, WAVE
_CHUNK = 8  # name, size
_MOST_CHUNKS = 64
_TO_THE_END = 0xFFFFFFFF
"""As a size libsndfile reads what there is."""


def with_length(source: str | bytes | BinaryIO) -> str | bytes | BinaryIO | io.RawIOBase:
    """What to give to libsndfile: `source` itself, a path or an open file, or such a file with a size that is read to
    its end, which closes with what is returned. Raises OSError.
    """
    if isinstance(source, (str, bytes)):
        path = Path(os.fsdecode(source))
        with path.open("rb") as file:
            at = _unknown_size(file)
        return source if at is None else _Sized(path.open("rb"), at)
    at = _unknown_size(source)
    source.seek(0)
    return source if at is None else _Sized(source, at)


def _unknown_size(file: BinaryIO) -> int | None:
    """Where the size of data stands that is 0, though data follow."""
    header = file.read(_HEADER)
    if header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return None
    end = file.seek(0, os.SEEK_END)
    at = _HEADER
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        chunk = file.read(_CHUNK)
        if len(chunk) < _CHUNK:
            return None
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            return at + 4 if size == 0 and at + _CHUNK < end and not _are_chunks(file, at + _CHUNK, end) else None
        at += _CHUNK + size + size % 2
    return None


def _are_chunks(file: BinaryIO, at: int, end: int) -> bool:
    """Whether what follows empty data is chunks again, to the end of the file."""
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        chunk = file.read(_CHUNK)
        if len(chunk) < _CHUNK or not (chunk[:4].isascii() and chunk[:4].decode("ascii").isprintable()):
            return False
        size = int.from_bytes(chunk[4:], "little")
        at += _CHUNK + size + size % 2
        if at >= end:
            return at - size % 2 <= end
    return False


class _Sized(io.RawIOBase):
    """A file in which four bytes say that its data go on to the end."""

    def __init__(self, file: BinaryIO, at: int) -> None:
        super().__init__()
        self._file, self._at = file, at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        start = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        for i, byte in enumerate(struct.pack("<I", _TO_THE_END)):
            if 0 <= self._at + i - start < len(data):
                data[self._at + i - start] = byte
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
