"""The end of a process that has nothing to lose."""

from __future__ import annotations

import os


def leave(number: int, _: object) -> None:
    """A handler of signals while nothing is begun: no traceback, no cleaning up."""
    os.write(2, b"interrupted\n")
    os._exit(128 + number)
