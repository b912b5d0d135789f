"""What stands between, before and behind figures: signs, ranges, powers, fractions; and the figures that are left."""

from __future__ import annotations

import re

from omniggml.text.english.abbreviations import BEFORE_FIGURES
from omniggml.text.english.numbers import NUMBER, cardinal, ordinal, power, quantity
from omniggml.text.english.rule import Rule, either, rule, said

_DASH = "[-\u2013\u2014]"
_MINUS = "[-\u2212]"


def _grade(found: re.Match[str]) -> str:
    return f"{found[1].lower()} minus"


def _fraction(found: re.Match[str]) -> str:
    if found[1] is None and found[2] == found[3]:
        return said(cardinal(found[2]), cardinal(found[3]))
    return said(quantity(found[0]))


def _scientific(found: re.Match[str]) -> str:
    return said(cardinal(found[1]), "times ten", f"to the power of {_signed(found[2])}")


def _signed(figures: str) -> str:
    sign = "minus " if figures[0] in "-\u2212" else ""
    return sign + cardinal(figures.lstrip("+-\u2212"))


def _number(found: re.Match[str]) -> str:
    figures = found[0]
    return said(cardinal(figures.rstrip("."))) + ("." if figures.endswith(".") else "")


DECIMAL_COMMAS: tuple[Rule, ...] = (
    # Where a unit or the points before it leave no doubt.
    rule(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d\d)(?!\d)", lambda found: f"{found[1].replace('.', '')}.{found[2]}"),
    rule(r"(?<![\d.,])(\d+),(\d{1,2})(?=\s?[%\u2030\u00b0\u20ac])", lambda found: f"{found[1]}.{found[2]}"),
)

VARIABLES: tuple[Rule, ...] = (
    # Grades and variables: behind these a hyphen is a minus.
    rule(r"(?<![\w'.-])([A-F])-(?=[\s.,;:!?)]|$)(?!\s*(?:,|and\b|or\b|to\b)\s*\w+-\w)", _grade),
    rule(r"(?<![\w'.-])((?:\d+ ?)?[a-z])-(?=\d+(?![\w-]))", lambda found: f"{found[1]} minus "),
    rule(r"(?<!\S)(-{1,2})(?=[A-Za-z])", lambda found: said(*["dash"] * len(found[1]))),
)

RANGES: tuple[Rule, ...] = (
    # What stands between two figures is "to".
    rule(rf"(?:(?<=[\d%])|(?<=\u00b0[CF])|(?<=[ap]m)|(?<=\d[kKM]))(?:{_DASH}|\s\u2013\s)(?=[$\u00a3\u20ac]?\d)", "to"),
)

SIGNS: tuple[Rule, ...] = (
    rule(r"(?<=[\w)])\^\(?([-+\u2212]?\d+)\)?", lambda found: said(power(found[1]))),
    rule(r"(?<=\d)\s+[-\u2212]\s+(?=\d)|(?<=\d)\u2212(?=\d)", "minus"),
    rule(rf"(?<![\w.)\]]){_MINUS}(?=\.?\d|[$\u00a3\u20ac\u00a5]\d)", "minus"),
)

NUMBERED: tuple[Rule, ...] = (
    rule(r"(?<![\w.)\]])[~\u2248]\s?(?=\d)", "about"),
    rule(r"#(?=\d)", "number"),
    rule(r"#(?=[^\W\d])", "hashtag"),
    rule(
        rf"\b({either(BEFORE_FIGURES)})\.\s*(?=\d)",
        lambda found: f"{BEFORE_FIGURES[found[1]]} ",
    ),
)

SCIENTIFIC: tuple[Rule, ...] = (rule(rf"(?<![\w.])({NUMBER})[eE]([-+\u2212]?\d+)\b", _scientific),)

FRACTIONS: tuple[Rule, ...] = (
    rule(r"(?<![\w.])(\d+)(?:[xX]|\u00d7)(?![\w\u00d7]|\s*\d)", lambda found: said(cardinal(found[1]), "times")),
    rule(r"(?<=\d)\s*[*\u00d7]\s*(?=\d)|(?<=\w) \* (?=\w)", "times"),
    rule(r"(?<![\w./])(?:(\d+) )?(\d+)/(\d+)(?![\w/])", _fraction),
)

ORDINALS: tuple[Rule, ...] = (
    rule(
        r"\b((?:\d{1,3}(?:,\d{3})+|\d{1,9}))(?:st|nd|rd|th)\b",
        lambda found: said(ordinal(int(found[1].replace(",", "")))),
    ),
)

REST: tuple[Rule, ...] = (
    rule(r"<=|\u2264", "less than or equal to"),
    rule(r">=|\u2265", "greater than or equal to"),
    rule(r"!=", "is not equal to"),
    rule(r"->|=>", "arrow"),
    # What is left of the figures.
    rule(rf"(?<![\d.]){NUMBER}(?:\.(?=\D|$))?|\.\d+", _number),
    rule(r"\d+", lambda found: said(cardinal(found[0]))),
)
