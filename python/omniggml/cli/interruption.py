"""Ctrl-C, SIGTERM and SIGHUP end a command alike: what was made so far is kept, and there is no traceback."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from omniggml.cli.leave import leave

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_SAME_WISH = 1.0
"""Seconds in which further signals ask for the same: a closing terminal sends several, an impatient hand too."""


class InterruptedBySignal(KeyboardInterrupt):
    """Raised in the main thread. `number`: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Asked:
    """`at`: when the last signal was obeyed; `later`: whether one now would come at a bad moment."""

    at = -math.inf
    later = False


@contextmanager
def interruptible() -> Iterator[None]:
    """In this block the signals raise InterruptedBySignal; one that the process was started to ignore stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if handler in (signal.SIG_DFL, signal.default_int_handler, leave):
            before[number] = handler
            signal.signal(number, _interrupt)
    _Asked.at = -math.inf
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is done in this block is soon over, and lost where it isn't finished: signals are passed over."""
    before, _Asked.later = _Asked.later, True
    try:
        yield
    finally:
        _Asked.later = before


def _interrupt(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if not _Asked.later and now - _Asked.at > _SAME_WISH:
        _Asked.at = now
        raise InterruptedBySignal(number)
