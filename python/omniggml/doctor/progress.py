"""What is being tried, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from omniggml.doctor import thresholds as bounds

T = TypeVar("T")


class Progress:
    """`announce` is told what begins, and every second what goes on."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._said_at = time.monotonic()

    def begins(self, words: str) -> None:
        self._said_at = time.monotonic()
        self._announce(words)

    def through(self, every: Iterable[T], of: int, words: str) -> Iterator[T]:
        """The same, one after the other, with words about how many are done: "tried 120 changes of 400"."""
        for number, one in enumerate(every):
            if time.monotonic() - self._said_at > bounds.WORDS_SECONDS:
                self.begins(f"{words}: {number} of {of}")
            yield one
