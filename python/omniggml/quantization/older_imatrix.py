"""Importance matrices as llama.cpp wrote them before it had a GGUF format for them: a count, then name, number of calls
and mean squares times that number, for each tensor; after these the last chunk and the data set's name."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml.errors import InputError
from omniggml.plain_file import open_plain, read_plain

_MOST_ENTRIES = 100_000
_LONGEST_NAME = 1024
_MOST_BYTES = 4 << 30


def read_older_imatrix(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.float64]] | None:
    """Tensor -> mean square of each input, the experts of a tensor one after another; None where the file begins as no
    such file does. Raises InputError for one that begins so and is damaged."""
    try:
        with open_plain(path) as file:
            start = file.read(8)
    except OSError:
        return None
    count, length = struct.unpack("<ii", start) if len(start) == 8 else (0, 0)
    if not 1 <= count <= _MOST_ENTRIES or not 1 <= length <= _LONGEST_NAME or start.startswith(b"GGUF"):
        return None
    try:
        return _entries(read_plain(path, _MOST_BYTES), count)
    except (struct.error, ValueError, OSError) as error:
        raise InputError(f"{Path(path)} is no importance matrix: {error}") from error


def _entries(data: bytes, count: int) -> dict[str, npt.NDArray[np.float64]]:
    found: dict[str, npt.NDArray[np.float64]] = {}
    at = 4
    for _ in range(count):
        (length,) = struct.unpack_from("<i", data, at)
        if not 1 <= length <= _LONGEST_NAME:
            raise ValueError(f"a tensor's name has {length} bytes")
        name = data[at + 4 : at + 4 + length].decode("utf-8")
        calls, size = struct.unpack_from("<ii", data, at + 4 + length)
        at += 12 + length
        if not 1 <= size <= (len(data) - at) // 4:
            raise ValueError(f"{name!r:.80} has {size} values, and {len(data) - at} bytes are left")
        values = np.frombuffer(data, "<f4", size, at).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise ValueError(f"{name!r:.80} holds no sums of squares")
        if name in found:
            raise ValueError(f"{name!r:.80} is in it twice")
        found[name] = values / max(calls, 1)
        at += 4 * size
    _check_end(data[at:])
    return found


def _check_end(rest: bytes) -> None:
    """Raises ValueError for more than the last chunk and a name."""
    length = struct.unpack_from("<i", rest, 4)[0] if len(rest) >= 8 else 0
    if len(rest) not in (0, 4) and len(rest) != 8 + length:
        raise ValueError(f"{len(rest)} bytes behind its last tensor are not the name of a data set")
