"""How a file wants its text written: a model that has only read words has to be given words, not figures.

A file names one of these in its metadata (`docs/gguf.md`); a file that names none is given the text as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omniggml.errors import ModelFileError
from omniggml.text.spoken_english import spoken_text

KEY = "text_normalization"
"""Key in `generation_config.json`, and the last part of the GGUF keys."""

NORMALIZATIONS: dict[str, Callable[[str], str]] = {"spoken_english": spoken_text}


def normalization_of(metadata: Mapping[str, Any], key: str, path: str) -> Callable[[str], str]:
    """The function that the file's metadata names; one that changes nothing where it names none.

    Raises ModelFileError for a name that this version doesn't know.
    """
    name = metadata.get(key)
    if name is None:
        return str
    if not isinstance(name, str) or name not in NORMALIZATIONS:
        known = ", ".join(NORMALIZATIONS)
        raise ModelFileError(f"{path} wants its text written by {key} = {name!r:.80}; known are: {known}")
    return NORMALIZATIONS[name]
