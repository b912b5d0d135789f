"""Links in a checkpoint's directory: the hub's cache is made of them, and clearing it leaves some that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omniggml.errors import ConversionError


def check_links(paths: Iterable[Path]) -> None:
    """Raises ConversionError for a link that leads nowhere, which would look as if nothing had that name, and for a
    name that no file can have."""
    for path in sorted(paths):
        try:
            leads_nowhere = path.is_symlink() and not path.exists()
        except OSError as error:
            raise ConversionError(f"{path} can't be read: {error.strerror or error}") from error
        if leads_nowhere:
            raise ConversionError(f"{path} is a link that leads to no file; put the file itself in its place")
