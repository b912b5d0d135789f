"""Paths as callers hand them over."""

from __future__ import annotations

import os
from pathlib import Path

from omniggml.errors import InputError
from omniggml.printable import shown


def as_path(path: object) -> Path:
    """A text or a path as a path. Raises InputError for anything else, the empty text among it."""
    if isinstance(path, (str, os.PathLike)):
        found = os.fspath(path)
        if isinstance(found, str) and found:
            return Path(found)
    raise InputError(f"{shown(path)} is no path of a file; expected a text or a pathlib.Path")
