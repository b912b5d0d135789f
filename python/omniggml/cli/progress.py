"""Progress through a known number of bytes, for a terminal."""

from __future__ import annotations

import sys
import time

from omniggml.printable import printable

_PERIOD = 0.1  # seconds between two lines


class ByteProgress:
    """Called as (name, bytes done, bytes in all); writes one line on stderr, over and over."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._start: tuple[float, int] | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown < _PERIOD:
            return
        self._shown = now
        # What an earlier run has written took this one no time.
        start, before = self._start = self._start or (now, done)
        left = f"{(now - start) * (total - done) / (done - before):5.0f} s left" if done > before else " " * 12
        size = f"{done / 2**20:.0f} of {total / 2**20:.0f} MiB"
        print(
            f"\r{100 * done // max(total, 1):3d} %  {size}  {left}  {printable(name)[-40:]:40}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """End the line."""
        print(file=sys.stderr)


def on_terminal() -> ByteProgress | None:
    """A progress line, where standard error is a terminal."""
    return ByteProgress() if sys.stderr.isatty() else None
