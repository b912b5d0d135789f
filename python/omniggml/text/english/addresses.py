"""Addresses of pages and people, of which nothing else may take a part."""

from __future__ import annotations

import re

from omniggml.text.english import signs
from omniggml.text.english.numbers import by_figures, cardinal
from omniggml.text.english.rule import ANY_CASE, Rule, rule, said

_TOP_LEVEL = "com|org|net|io|dev|edu|gov|info|co|uk|de|fr|eu|ai|app|ca|jp|ch|nl|se"


def _address(found: re.Match[str]) -> str:
    address = re.sub(r"^(?:https?|ftp)://|^mailto:", "", found[0], flags=re.IGNORECASE)
    kept = address.rstrip(".,;:!?'\")]")
    words = []
    for part in re.findall(r"\d+|[^\W\d_]+|.", kept.rstrip("/")):
        if part.isdecimal():
            words.append(cardinal(part) if len(part) < 4 else by_figures(part))
        elif part.lower() == "www":
            words.append("w w w")
        else:
            words.append(signs.IN_ADDRESSES.get(part, part.lower()))
    return said(*words) + address[len(kept) :]


RULES: tuple[Rule, ...] = (
    rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _address),
    rule(r"(?:https?://|ftp://|mailto:|\bwww\.)[^\s<>\"]+", _address, ANY_CASE),
    rule(rf"(?<![\w.])(?:[\w-]+\.)+(?:{_TOP_LEVEL})\b(?:[:/][^\s<>\"]*)?(?!\.?\w)", _address, ANY_CASE),
    rule(r"\blocalhost:\d+[^\s<>\"]*", _address),
)
