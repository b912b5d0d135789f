"""What a file's bytes are read as: ways to undo it, and ways to do it to our samples.

Each keeps the audio and hides it: what is undone rightly equals ours, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

_FULL = 32768
_HEADERS = (b"RIFF", b"LIST")


@dataclass(frozen=True)
class Rewriting:
    """`clause`: "..., when CLAUSE". `kind`: what it is for programs. `theirs` and `ours` bring both to the same."""

    clause: str
    kind: str
    theirs: Callable[[Samples], Samples] = lambda x: x
    ours: Callable[[Samples], Samples] = lambda x: x


def as_int16(x: Samples) -> npt.NDArray[np.int16]:
    """Samples as a 16-bit file holds them."""
    return np.clip(np.round(np.nan_to_num(x) * _FULL), -_FULL, _FULL - 1).astype("<i2")


def _read_as(dtype: str, full: float, skipped: int = 0) -> Callable[[Samples], Samples]:
    def undo(x: Samples) -> Samples:
        data, size = as_int16(x).tobytes()[skipped:], np.dtype(dtype).itemsize
        with np.errstate(all="ignore"):
            values = np.frombuffer(data[: len(data) // size * size], dtype).astype(np.float64) / full
            return np.where(np.abs(values) <= 1, values, 0.0)

    return undo


def _read_as_24_bits(x: Samples) -> Samples:
    data = np.frombuffer(as_int16(x).tobytes(), np.uint8)
    triples = data[: len(data) // 3 * 3].reshape(-1, 3)
    whole = np.zeros((len(triples), 4), np.uint8)
    whole[:, 1:] = triples
    return np.asarray(whole.reshape(-1).view("<i4").astype(np.float64) / 2**31)


def _bytes_as_16_bits(x: Samples) -> Samples:
    data = np.clip(np.round(x * 128), -128, 127).astype(np.int8).tobytes()
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float64) / _FULL


def _top_bit_turned(x: Samples) -> Samples:
    return np.asarray((as_int16(x) ^ np.int16(-_FULL)).astype(np.float64) / _FULL)


def _pairs_exchanged(x: Samples) -> Samples:
    return x[: len(x) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)


def _alternating(x: Samples) -> Samples:
    return x * (1 - 2 * (np.arange(len(x)) % 2))


def _reread(source: str, target: str, full: float) -> Callable[[Samples], Samples]:
    """Ours in one type, read as another and cut at the limits as a file is."""

    def make(x: Samples) -> Samples:
        values = as_int16(x) if source == "<i2" else x
        data = values.astype(source).tobytes()
        size = np.dtype(target).itemsize
        with np.errstate(all="ignore"):
            read = np.frombuffer(data[: len(data) // size * size], target).astype(np.float64)
            return np.clip(np.nan_to_num(read, posinf=full, neginf=-full) / full, -1, 1)

    return make


def _expanded(x: Samples) -> Samples:
    """Of mu-law that was taken for linear."""
    return np.asarray(np.sign(x) * (256 ** np.minimum(np.abs(x), 1) - 1) / 255)


SWAPPED = Rewriting("the bytes of each sample are swapped", "bytes", _read_as(">i2", _FULL))

REWRITINGS = (
    SWAPPED,
    Rewriting("32-bit floats are read as 16-bit integers", "bytes", _read_as("<f4", 1.0)),
    Rewriting("32-bit integers are read as 16-bit integers", "bytes", _read_as("<i4", 2.0**31)),
    Rewriting("24-bit integers are read as 16-bit integers", "bytes", _read_as_24_bits),
    Rewriting("16-bit integers are read as bytes", "bytes", _bytes_as_16_bits),
    Rewriting("unsigned integers are read as signed ones", "bytes", _top_bit_turned),
    Rewriting("mu-law is read as if it were linear", "bytes", _expanded),
    Rewriting("16-bit integers are read as 32-bit integers", "bytes", ours=lambda x: x[1::2]),
    Rewriting("16-bit integers are read as floats", "bytes", ours=_reread("<i2", "<f4", 1.0)),
    Rewriting("32-bit floats are read as 32-bit integers", "bytes", ours=_reread("<f4", "<i4", 2.0**31)),
    Rewriting("64-bit floats are read as 32-bit floats", "bytes", ours=_reread("<f8", "<f4", 1.0)),
    Rewriting("every second sample is lost", "rate", ours=lambda x: x[::2]),
    Rewriting("one channel's samples are taken for two channels'", "channels", ours=lambda x: np.repeat(x, 2)),
    *(
        Rewriting(f"one sample of {n} is held for all", "filtered", ours=lambda x, n=n: np.repeat(x[::n], n))  # type: ignore[misc]
        for n in (2, 3, 4)
    ),
    Rewriting("every second sample has its sign turned", "filtered", _alternating),
    Rewriting("each two samples are exchanged", "order", _pairs_exchanged),
    Rewriting("each sample is taken without its sign", "formula", ours=np.abs),
    Rewriting("it runs backwards", "order", lambda x: x[::-1]),
)
"""Ways in which right samples become others."""

SLIPS = (
    Rewriting("a byte is lost or added", "bytes", _read_as("<i2", _FULL, 1)),
    SWAPPED,
)
"""Those that may begin anywhere."""


def headers_in(x: Samples) -> Iterator[int]:
    """Samples at which a sound file's chunk begins, in what a 16-bit file holds."""
    data = as_int16(x).tobytes()
    for word in _HEADERS:
        at = data.find(word)
        while at >= 0:
            # Of "RIFF", what follows the length says what it is; of "LIST" as well.
            if data[at + 8 : at + 12] in (b"WAVE", b"INFO"):
                yield at // 2
            at = data.find(word, at + 1)
