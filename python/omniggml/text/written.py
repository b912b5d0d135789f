"""A text as it is given to a model, and what of it can't be."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_NAMED = 5


@dataclass(frozen=True)
class Written:
    """`text`: what is said. `left_out`: the characters of the original that there are no sounds for, each once."""

    text: str
    left_out: str = ""


def warning_of(left_out: str) -> str:
    """One sentence that names them."""
    names = [f"{letter!r} ({unicodedata.name(letter, f'U+{ord(letter):04X}').lower()})" for letter in left_out[:_NAMED]]
    more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    return f"this voice has no sounds for {', '.join(names)}{more}; they are left out"
