"""Waiting, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def within(seconds: float, wanted: Awaitable[Result]) -> Result:
    """What is waited for, where it comes in so many seconds; else asyncio.TimeoutError, and it is cancelled.

    `asyncio.wait_for` loses a cancellation that comes together with the result before Python 3.12: who was interrupted
    would speak on.
    """
    task = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
