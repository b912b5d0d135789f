"""Links in a checkpoint's directory: the hub's cache is made of them, and clearing it leaves some that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omniggml.errors import ConversionError


def check_links(paths: Iterable[Path]) -> None:
    """Raises ConversionError for a link that leads nowhere, which would look as if nothing had that name."""
    for path in sorted(paths):
        if path.is_symlink() and not path.exists():
            raise ConversionError(f"{path} is a link that leads to no file; put the file itself in its place")
