"""Text from files and strangers, fit for one line of a terminal."""

from __future__ import annotations

import reprlib
import unicodedata
from itertools import islice
from typing import Any

LONGEST_SHOWN = 560
"""Characters of a message; the middle of a longer one is left out."""

_MOST_BITS = 4096
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


class _Bounded(reprlib.Repr):
    """As `repr`, and it looks no deeper and no further than is shown: lists of lists of lists have an end, and numbers
    of a million digits are not written out."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.maxlevel = 6
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = most
        self._most = most

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[: self._most + 1])

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x[: self._most + 1])

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        pairs = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in islice(x.items(), self._most)]
        return "{" + ", ".join(pairs) + "}"

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < _MOST_BITS else f"a number of {x.bit_length()} bits"

    def repr_instance(self, x: object, level: int) -> str:
        kind = type(x)
        if isinstance(x, (str, bytes, bytearray)):
            return repr(x[: self._most + 1])
        if kind.__repr__ is object.__repr__:
            return f"<{kind.__qualname__}>"  # an address says nothing to anybody
        try:
            return repr(x)
        except (RecursionError, ValueError):
            return f"<{kind.__qualname__}>"


def shown(value: object, most: int = 80) -> str:
    """The beginning of a value's `repr`, for a message about it."""
    return _Bounded(most).repr(value)[:most]
