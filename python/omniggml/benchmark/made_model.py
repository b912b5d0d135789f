"""Random speech files to measure with: speed needs only the shapes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omniggml.errors import InputError
from omniggml.printable import shown

if TYPE_CHECKING:
    from omniggml.gguf.output import Progress

SIZES = ("real", "mini")
"""The published geometry, and one of a thousandth of its size."""


def make_model(size: str, type: str = "q8_0", progress: Progress | None = None) -> Path:
    """The speech file of the published geometry ("real") or of the small one ("mini"), with random weights in the types
    of a quantization policy.

    Written once into the user's cache directory and found there afterwards; delete it at will. `progress` is called as
    (tensor name, bytes written, bytes in all). Raises InputError for an unknown size or policy, ConversionError where
    the file can't be written.
    """
    if size not in SIZES:
        raise InputError(f"there is no size {shown(size)}: choose one of {', '.join(SIZES)}")
    # The only door to random models in the product: nobody else should load them.
    from omniggml.synthetic.geometries import GEOMETRIES, PUBLISHED_GEOMETRY
    from omniggml.synthetic.random_speech import write_random_speech

    path = cache_directory() / f"random-{size}-{Path(type).stem}-speech.gguf"
    if not path.exists():
        write_random_speech(path, PUBLISHED_GEOMETRY if size == "real" else GEOMETRIES[size], type, progress=progress)
    return path


def cache_directory() -> Path:
    """Where the system keeps what can be made again; XDG_CACHE_HOME chooses another."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "omniggml"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "omniggml"
