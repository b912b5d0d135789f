"""PyAV, which reads what libsndfile doesn't, and videos: only formats that name no other files, and damaged files told
apart from what a signal's handler raises meanwhile."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from omniggml.undisturbed import undisturbed

T = TypeVar("T")

# Playlists and the like name other files and addresses; nothing that is heard or seen may.
_FORMATS = (
    "mov,mp4,m4a,3gp,matroska,webm,aac,ac3,eac3,amr,asf,avi,caf,flv,mpeg,mpegts,mp3,ogg,flac,wav,aiff,wv,tta,gif,apng"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file,pipe"}


@contextmanager
def opened(source: str | io.BytesIO) -> Iterator[Any]:
    """A container that PyAV reads. Raises Failed."""
    import av

    container = asked(partial(av.open, source, "r", options=_OPTIONS))
    try:
        yield container
    finally:
        undisturbed(container.close)


def read(items: Iterator[T], at_once: int = 1) -> Iterator[T]:
    """Items that something that PyAV decodes becomes, so many at once. Raises Failed, and what `items` raises on
    purpose."""
    while some := asked(lambda: list(islice(items, at_once))):
        yield from some


def asked(call: Callable[[], T]) -> T:
    """What PyAV answers. Raises Failed."""
    import av

    # Beside its own errors it raises these of damaged files: IndexError where a stream appears that the header did not
    # tell of.
    damaged = (av.FFmpegError, OSError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError)
    return undisturbed(call, damaged)
