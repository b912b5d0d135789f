"""A file written aside and renamed, so that its name never stands for half of it."""

from __future__ import annotations

import secrets
from pathlib import Path

from omniggml.errors import InputError


def write_whole(target: Path, data: bytes) -> Path:
    """Write `data` to `target`. Raises InputError where it can't be written."""
    aside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if target.is_dir():
            raise InputError(f"{target} is a directory; name a file to write")
        aside.write_bytes(data)
        aside.replace(target)
    except OSError as error:
        raise InputError(f"{target} can't be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
    return target
