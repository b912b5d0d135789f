"""Calls that take long, several at once, and what they return in the order in which they were begun."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

One = TypeVar("One")
Result = TypeVar("Result")

_AHEAD = 2
"""Calls that wait for each thread, so that none is idle."""


def side_by_side(call: Callable[[One], Result], every: Iterable[One], threads: int) -> Iterator[tuple[One, Result]]:
    """Each with what `call` returns of it. With two threads or more each product of matrices takes one of them; what
    was begun for nothing, where the caller looks no further, is waited for."""
    if threads < 2:
        for one in every:
            yield one, call(one)
        return
    waiting: deque[tuple[One, Future[Result]]] = deque()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        try:
            for one in every:
                # NumPy keeps in the context what it says of overflows.
                waiting.append((one, pool.submit(contextvars.copy_context().run, call, one)))
                if len(waiting) > _AHEAD * threads:
                    first, begun = waiting.popleft()
                    yield first, begun.result()
            for first, begun in waiting:
                yield first, begun.result()
        finally:
            for _, begun in waiting:
                begun.cancel()
