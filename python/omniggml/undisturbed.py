"""Calls of C libraries that call Python back, where whatever a signal's handler raises would be lost."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")

_LOOKED_AGAIN = 1.0  # seconds


class Failed(Exception):
    """What was called raised an error that was expected of it, the `__cause__`. One that a handler raises, of whatever
    class, is never taken for it."""


def undisturbed(call: Callable[[], T], expected: tuple[type[Exception], ...] = ()) -> T:
    """What `call` returns or raises, run to its end. Python runs signals' handlers in the main thread, so that there
    the call gets a thread of its own; what a handler raises meanwhile is raised once the call is over.

    Raises Failed where the call raises what is `expected` of it.
    """
    return _run(partial(_told_apart, call, expected) if expected else call)


def _told_apart(call: Callable[[], T], expected: tuple[type[Exception], ...]) -> T:
    try:
        return call()
    except expected as error:
        raise Failed(str(error)) from error


def _run(call: Callable[[], T]) -> T:
    if threading.current_thread() is not threading.main_thread():
        return call()
    results: list[T] = []
    errors: list[BaseException] = []
    over = threading.Lock()
    over.acquire()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        over.release()

    # No `Thread`: what is raised while one is started or joined leaves it in doubt whether it runs. Here it runs once
    # anything but the refusal is raised, and is over when it has left something, whoever holds the lock.
    raised: BaseException | None = None
    try:
        _thread.start_new_thread(run, ())
    except BaseException as error:
        # The system gives no more threads, or the interpreter ends; what a handler raises has a frame of its own.
        if isinstance(error, RuntimeError) and error.__traceback__ is not None and error.__traceback__.tb_next is None:
            return call()
        raised = error
    while True:
        try:
            while not results and not errors:
                over.acquire(timeout=_LOOKED_AGAIN)
            break
        except BaseException as error:
            raised = error
    if raised is not None:
        raise raised
    if errors:
        raise errors[0]
    return results[0]
