"""Paths as callers hand them over, and names of files that belong together."""

from __future__ import annotations

import os
import re
from pathlib import Path

from omniggml.errors import InputError
from omniggml.printable import shown

_MEMBER = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.gguf")


def as_path(path: object) -> Path:
    """A text or a path as a path. Raises InputError for anything else, the empty text among it."""
    if isinstance(path, (str, os.PathLike)):
        found = os.fspath(path)
        if isinstance(found, str) and found:
            return Path(found)
        if not found:
            raise InputError("'' is no path of a file: it is empty; expected a text or a pathlib.Path that names one")
    raise InputError(f"{shown(path)} is no path of a file; expected a text or a pathlib.Path")


def member_of(name: str) -> tuple[str, int, int] | None:
    """ "x-00002-of-00003.gguf" -> ("x", 2, 3); None for the name of a file that is no part of a split one."""
    found = _MEMBER.fullmatch(name)
    return None if found is None else (found[1], int(found[2]), int(found[3]))


def member_name(stem: str, number: int, count: int) -> str:
    """The name of a part; `number` counts from 1."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def all_members(path: Path) -> list[Path]:
    """The file, and where it is one of several that a model was split into, all of them that there may be."""
    found = member_of(path.name)
    if found is None:
        return [path]
    stem, _, count = found
    return [path.with_name(member_name(stem, number, count)) for number in range(1, count + 1)]
