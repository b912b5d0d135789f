"""Text from files and strangers, fit for one line of a terminal."""

from __future__ import annotations

import unicodedata

LONGEST_SHOWN = 560
"""Characters of a message; the middle of a longer one is left out."""

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, text direction, lone surrogates, ends of lines


def printable(text: str, most: int = LONGEST_SHOWN) -> str:
    """The text with escapes for what would move a cursor or hide, and without its middle where it is too long."""
    if len(text) > most:
        text = f"{text[: most * 2 // 3]} ... {text[len(text) - most // 4 :]}"
    if text.isascii() and text.isprintable():
        return text
    shown = "".join(_escaped(letter) if unicodedata.category(letter) in _HIDDEN else letter for letter in text)
    return shown if len(shown) <= most else f"{shown[: most * 2 // 3]} ... {shown[len(shown) - most // 4 :]}"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
