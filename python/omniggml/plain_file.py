"""Files to be read, once it is known that they are files: a pipe would be waited for, and /dev/zero never ends."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import IO

MOST_TEXT = 256 << 20
"""Bytes of a text file that is read whole; the largest of a published checkpoint has 20 MB."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def open_plain(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file to read bytes. Raises OSError for anything else, too."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a zero byte, or letters that no path has
        raise OSError(errno.EINVAL, "not a path", repr(path)) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or (status.st_size == 0 and _is_a_stream(handle)):
        os.close(handle)
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise OSError(errno.EINVAL, what, os.fspath(path))
    return os.fdopen(handle, "rb")


def _is_a_stream(handle: int) -> bool:
    """Of a file that has no size, whether something comes all the same, now or later: the system's logs call themselves
    files."""
    try:
        return os.read(handle, 1) != b""
    except BlockingIOError:
        return True


def read_plain(path: str | os.PathLike[str], most: int = MOST_TEXT) -> bytes:
    """All of a regular file's bytes. Raises OSError, also where there are more than `most`."""
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB", os.fspath(path))
    return data


def read_plain_or_piped(path: str | os.PathLike[str], most: int = MOST_TEXT) -> bytes:
    """As `read_plain`, and all that comes through a pipe that somebody names, such as <(command) and /dev/stdin."""
    if not is_pipe(path):
        return read_plain(path, most)
    with Path(path).open("rb") as pipe:
        data = pipe.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most >> 20} MiB", os.fspath(path))
    return data


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether a pipe has that name; False too for what can't be a name."""
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def read_text(path: str | os.PathLike[str]) -> str:
    """A file of UTF-8. Raises OSError, UnicodeDecodeError."""
    return read_plain(path).decode("utf-8").replace("\r\n", "\n")


def decoded(data: bytes) -> str:
    """Text by its byte order mark, else as UTF-8. Raises UnicodeDecodeError."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    return data.decode("utf-8")


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a regular file of that name; False too for what can't be a name."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
