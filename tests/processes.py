"""Processes that a process has started."""

from __future__ import annotations

from pathlib import Path


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
