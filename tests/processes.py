"""What other processes do: those they have started, what they have written so far."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SANITIZED = any(name in os.environ.get("LD_PRELOAD", "") for name in ("libasan", "libtsan"))
"""Whether the tests run under a sanitizer that reserves terabytes, and whose allocator keeps its locks in a child that
was forked beside other threads."""

ROUNDS = int(os.environ.get("OMNIGGML_TEST_ROUNDS", "1"))
"""How often what depends on luck is tried: speeches at random, forks, ends of processes. CONTRIBUTING.md has commands
for many."""


def others_environment() -> dict[str, str]:
    """For other people's programs: without the sanitizers' libraries, which hang in a browser."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def below(pid: int, title: bytes) -> list[int]:
    """Those below `pid` whose command line holds `title`."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        for child in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
            waiting.append(child)
            if title in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def written_aside(directory: Path) -> int:
    """Bytes of the largest file in it that isn't whole yet. One of no bytes comes and goes while a command looks
    whether it may write there."""
    sizes = [0]
    for path in directory.glob(".*.part"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)
