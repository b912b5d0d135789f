"""Random checkpoints and their conversions, made when first asked for."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from omniggml import convert
from omniggml.synthetic.random_checkpoint import write_random_checkpoint


class ModelFiles:
    """Files of every geometry and type below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.checkpoint = cache(self._checkpoint)
        self.gguf = cache(self._gguf)

    def _checkpoint(self, geometry: str) -> Path:
        return write_random_checkpoint(geometry, self._root / geometry)

    def _gguf(self, geometry: str, type_: str) -> tuple[Path, Path]:
        speech, thinker = convert(self.checkpoint(geometry), self._root, type=type_, name=f"{geometry}-{type_}")
        return speech, thinker


def digest(directory: Path) -> str:
    """SHA-256 of the names and bytes of all files: which weights these are."""
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
