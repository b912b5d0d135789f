"""How a file wants its text written: a model that has only read words has to be given words, not figures.

A file names one of these in its metadata (`docs/gguf.md`); a file that names none is given the text as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from omniggml.errors import ModelFileError
from omniggml.text.spoken_english import plain_text, write_out
from omniggml.text.written import Written

KEY = "text_normalization"
"""Key in `generation_config.json`, and the last part of the GGUF keys."""


@dataclass(frozen=True)
class Normalization:
    """`plain` takes the markup out of a whole text; `write` writes out a sentence or more of what is left."""

    plain: Callable[[str], str]
    write: Callable[[str], Written]

    def written(self, text: str) -> Written:
        """Both."""
        return self.write(self.plain(text))


AS_IT_IS = Normalization(str, Written)

NORMALIZATIONS: dict[str, Normalization] = {"spoken_english": Normalization(plain_text, write_out)}


def normalization_of(metadata: Mapping[str, Any], key: str, path: str) -> Normalization:
    """The one that the file's metadata names; one that changes nothing where it names none.

    Raises ModelFileError for a name that this version doesn't know.
    """
    name = metadata.get(key)
    if name is None:
        return AS_IT_IS
    if not isinstance(name, str) or name not in NORMALIZATIONS:
        known = ", ".join(NORMALIZATIONS)
        raise ModelFileError(f"{path} wants its text written by {key} = {name!r:.80}; known are: {known}")
    return NORMALIZATIONS[name]
