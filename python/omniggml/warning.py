"""Warnings that point at the line of the caller's program, however deep in here they are raised."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_HEARD: ContextVar[list[str] | None] = ContextVar("omniggml.heard", default=None)
_HERE = str(Path(__file__).parent)


@contextmanager
def heard(kept: list[str]) -> Iterator[None]:
    """Keep what is warned of in the block, and in threads that are given its context: of one text among many that are
    spoken at once, which the filters of Python's own warnings don't tell apart."""
    token = _HEARD.set(kept)
    try:
        yield
    finally:
        _HEARD.reset(token)


def warn(message: str) -> None:
    """A UserWarning at the innermost line that isn't ours; also kept where somebody has `heard`."""
    kept = _HEARD.get()
    if kept is not None:
        kept.append(message)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
