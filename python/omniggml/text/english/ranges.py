"""What stands between two figures: mostly "to"."""

from __future__ import annotations

import re

from omniggml.text.english.rule import ANY_CASE, Rule, either, rule
from omniggml.text.english.unit_names import UNITS

# Bounded, since what is tried again and again of a long text takes for ever.
_NUMERAL = r"\d[\d,]{0,30}(?:\.\d{1,30})?"
_DASH = "[-\u2013\u2014]"
_CURRENCY = "[$\u00a3\u20ac\u20b9]"
_SIZE = "(?:[%\u00b0kKmM\u20ac\u00a3]|bn)?"
_AMOUNT = r"(?=[$\u00a3\u20ac\u20b9]?\.?\d)"


def _ascends(one: str, other: str) -> bool:
    return float(one.replace(",", "")) < float(other.replace(",", ""))


def _spaced(found: re.Match[str]) -> str:
    """Between numbers that grow it is "to", unless something is computed."""
    computed = re.search(r"[-=+*/\u00d7\u00f7^<>\u221a\u2212]\s*$", found.string[: found.start()]) or re.match(
        r"\s*[=+*/\u00d7\u00f7^<>]|\s+[-\u2212]\s", found.string[found.end(3) :]
    )
    return f"{found[1]} to " if not computed and _ascends(found[2], found[3]) else found[0]


def _two_hyphens(found: re.Match[str]) -> str:
    return f"{found[1]} {'to' if _ascends(found[1], found[2]) else 'minus minus'} {found[2]}"


def _computed(found: re.Match[str]) -> str:
    return found[0].replace("-", " minus ")


def _to(found: re.Match[str]) -> str:
    return f"{found[1]} to "


_SPORT = (
    "won|lost|wins?|beats?|beaten|defeat(?:ed)?|drew|leads?|leading|led|scored?|final|ft|ht|victory|loss|trailing|"
    "trailed"
)
SCORES: tuple[Rule, ...] = (
    rule(rf"\b((?:{_SPORT})\b[^.\d\n]{{0,25}}\d{{1,3}}) - (?=\d{{1,3}}(?![\d=]|\s?=))", _to, ANY_CASE),
    rule(r"\b([A-Z][a-z]+ \d{1,3}) - (?=\d{1,3} [A-Z][a-z])", _to),
)
"""Goals and points, in either order."""

RULES: tuple[Rule, ...] = (
    # What is computed is no range.
    rule(rf"(?<![\w.,-]){_NUMERAL}(?:[-+*/]{_NUMERAL}){{1,20}}(?=\s?=)", _computed),
    rule(
        rf"(?<![\w.,-]){_NUMERAL}(?:[-+*]{_NUMERAL}){{0,20}}[+*]{_NUMERAL}(?:[-+*]{_NUMERAL}){{1,20}}(?!\w)", _computed
    ),
    rule(rf"(?<![\w.,])({_NUMERAL})--({_NUMERAL})(?!\w)", _two_hyphens),
    rule(rf"(?<![\w.,])(({_NUMERAL})\s?{_SIZE}) +- +(?={_CURRENCY}?({_NUMERAL})\s?{_SIZE}(?![\w-]))", _spaced),
    rule(r"(?<=[\d%\u00b0])\u2013(?=[-\u2212][\d.])", "to"),
    # What is behind the first of the figures may be a unit.
    rule(
        r"(?:(?<=[\d%\u00b0])|(?<=\u00b0[CF])|(?<=[apAP][mM])|(?<=[ap]\.m\.)|(?<=\d[kKMm])|(?<=\dbn)|(?<=\d0s)"
        rf"|(?<=\d(?:st|nd|rd|th))|(?<=\d[$\u00a3\u20ac\u00a2]))(?:{_DASH}|\s\u2013\s){_AMOUNT}",
        "to",
    ),
    rule(rf"(\d\s?(?:{either(UNITS)}))(?:{_DASH}|\s+[-\u2013]\s+){_AMOUNT}(?![^=.;]{{1,20}}=)", _to),
    rule(r"(?<![\w-])(([A-Za-z]+)\d+)[-\u2013](?=\2\d)", _to),
    rule(r"(\d\s?(?:BCE|BC|AD|CE))\s?[-\u2013]\s?(?=\d|AD|BC|CE)", _to),
    rule(r"(?<=\d)[-\u2013]\s+(?=\d+/\d)|(?<=\d)\.{2,3}(?=\d)", "to"),
    # Such a dash behind anything with a figure, or between letters.
    rule(r"(?<=\d[a-zA-Z\"'])\u2013(?=[\w$\u00a3\u20ac])", "to"),
    rule(r"(?<![\w'])([A-Za-z])\u2013(?=[A-Za-z](?![\w']))", _to),
)
