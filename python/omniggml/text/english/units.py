"""Numbers with what they count behind them."""

from __future__ import annotations

import re

from omniggml.text.english.compound_units import COMPOUND, FACTOR, unit_words
from omniggml.text.english.numbers import NUMBER, QUANTITY, cardinal, quantity
from omniggml.text.english.rule import Rule, either, rule, said, stop
from omniggml.text.english.unit_names import LENGTHS, UNITS

_UNITS = either(UNITS)
_PEOPLE = """people users customers visitors viewers downloads subscribers followers views copies jobs workers homes
households voters residents patients children refugees barrels votes deaths cases cars passengers"""
_ALONE = r"\s*(?:$|[^\w\s]|(?:or|and|to|of|long|wide|tall|high|deep|x|by)\b)"
_SIZE = rf"(?:\d{{1,9}} \d{{1,9}}/\d{{1,9}}|\d(?:[\d.,/]{{0,20}}\d)?)(?:\"|\s?(?:{_UNITS}|feet)\b|[kK]\b)?"


def _unit(found: re.Match[str]) -> str:
    figures = found["amount"]
    single = figures == "1" or found["hyphen"] == "-" or _is_less_than_one(figures)
    return said(quantity(figures), unit_words(found["unit"], single=single)) + (stop(found) if found["dot"] else "")


def _is_less_than_one(figures: str) -> bool:
    """Of fractions: half a kilometre, but 120/80 millimetres."""
    top, slash, bottom = figures.partition("/")
    return bool(slash) and " " not in top and int(top) < int(bottom)


def _per_unit(found: re.Match[str]) -> str:
    return said("per", unit_words(found[1], single=True))


def _feet_and_inches(found: re.Match[str]) -> str:
    return said(cardinal(found[1]), "foot", quantity(found[2]))


def _spoons(found: re.Match[str]) -> str:
    name = {"t": "teaspoon", "T": "tablespoon", "c": "cup"}[found[2]]
    return said(quantity(found[1]), name if found[1] == "1" or _is_less_than_one(found[1]) else f"{name}s")


def _unit_alone(found: re.Match[str]) -> str:
    single = re.search(r"(?:\bper|\ba|/)\s*$", found.string[max(0, found.start() - 5) : found.start()])
    return said(unit_words(found[0], single=single is not None))


def _in_quotation(before: str) -> bool:
    """Whether a quotation mark is open; one behind a figure opens none."""
    opened = False
    for mark in re.finditer('"', before):
        opened = not opened and not before[: mark.start()][-1:].isdigit()
    return opened


def _inches(found: re.Match[str]) -> str:
    # Behind a figure within quotation marks it is the closing one.
    if _in_quotation(found.string[: found.start()]):
        return found[0]
    # Before a noun it is one: a fifteen inch screen.
    alone = found[1] != "1" and re.match(_ALONE, found.string[found.end() :])
    return said(quantity(found[1]), "inches" if alone else "inch")


def _magnitude(found: re.Match[str]) -> str:
    return said(cardinal(found[1]), {"k": "thousand", "M": "million", "bn": "billion"}[found[2]])


def _by(found: re.Match[str]) -> str:
    between = "times" if re.match(r"\s*=", found.string[found.end() :]) else "by"
    return re.sub(r"\s*[xX]\s*(?=\d)", f" {between} ", found[0])


def _feet(found: re.Match[str]) -> str:
    # Behind an opening quotation mark it is the closing one.
    if re.search(r"(?<!\w)'\w[^']*$", found.string[: found.start()] + found[1]):
        return found[0]
    alone = found[1] != "1" and re.match(_ALONE, found.string[found.end() :])
    return said(cardinal(found[1]), "feet" if alone else "foot")


def _abbreviated_inches(found: re.Match[str]) -> str:
    return said(quantity(found[1]), "inch" if found[1] == "1" else "inches") + stop(found)


BEFORE_SIGNS: tuple[Rule, ...] = (
    rule(rf"(?<![\w.])(\d+)'\s?-?\s?({QUANTITY})(?:\"|'')", _feet_and_inches),
    # The ends of a strand.
    rule(
        r"(?<![\w.])([35])'(?=-[A-Z]{2})|(?<=[A-Z]{2}-)([35])'",
        lambda found: said(cardinal(found[1] or found[2]), "prime"),
    ),
    rule(r"(?<![\w./])(\d+/\d+) c(?= [a-z]{3})", lambda found: said(quantity(found[1]), "cup")),
    # Of ovens and fevers.
    rule(
        r"(?<![\w.])(\d{3}|\d{2}\.\d)([CF])(?![\w\u00b0.]\w|\w)",
        lambda found: said(cardinal(found[1]), "degrees", "celsius" if found[2] == "C" else "fahrenheit"),
    ),
    # The minutes of a match, behind a name.
    rule(
        r"(?:(?<=[a-z] )|(?<=[',] ))(\d{1,3})(?:\+(\d{1,2}))?'(?=[,;)]|\s+(?:pen|og|o\.g)\b)",
        lambda found: said(*(part for part in (cardinal(found[1]), found[2] and f"plus {cardinal(found[2])}") if part)),
    ),
    rule(rf"(?<=[a-z])/(?=\d+(?:\.\d+)?\s?(?:{_UNITS})(?![\w/]))", "per"),
    # A count by something: 16/min, 10^9/L.
    rule(rf"(?<=\d)/(?=[LhsK]\b|\w\w|m\^|m[23]\b)({FACTOR})(?![\w^/])", _per_unit),
)
"""Before a hyphen or a stroke is looked at."""

RULES: tuple[Rule, ...] = (
    # Between sizes: by. 0x1F is none.
    rule(r"(?<![\w.'])(\d+(?:\.\d+)?)'(?=\s?[xX\u00d7]\s?\d)", lambda found: f"{found[1]} feet "),
    rule(rf"(?<![\w.,/])(?!0[xX]){_SIZE}(?:\s*[xX]\s*{_SIZE})+", _by),
    # Of recipes: small for teaspoons, large for tablespoons; "2 t. The" weighs.
    rule(rf"(?<![\w./])({QUANTITY})\s?([tTc])\.(?=\s+[a-z])", _spoons),
    rule(rf"(?<![\w./])({QUANTITY}) (T)(?=\s+[a-z])", _spoons),
    rule(r"(?<![\w.'])(\d+(?:\.\d+)?)'(?![\w'\"])", _feet),
    rule(rf"(?<![\w./])({QUANTITY})\"", _inches),
    rule(rf"(?<![\w./])({QUANTITY})\s?in\.(?=\s+[a-z]|\s*$|[,;)])", _abbreviated_inches),
    rule(
        rf"(?<![\w.])({NUMBER})m(?= (?:{'|'.join(_PEOPLE.split())})\b)",
        lambda found: said(cardinal(found[1]), "million"),
    ),
    rule(
        r"(?<![\w.])(\d+)[kK](?= (?:runs?|races?|walks?|jogs?|runners?|events?)\b)",
        lambda found: said(cardinal(found[1]), "k"),
    ),
    rule(
        rf"(?<![\w./])(?<![A-Z]-)(?P<amount>{QUANTITY})(?P<hyphen>[ \u00a0\u202f-]?)(?P<unit>{COMPOUND})"
        r"(?![\w^/])(?P<dot>\.(?=\s|$|[,;:)]))?",
        _unit,
    ),
    rule(rf"(?<![\w^])(?:{either(LENGTHS)})\^[23](?!\w)", _unit_alone),
    rule(rf"(?<![\w^/-])(?:{FACTOR}[\u00b7\u22c5 ])*{FACTOR}(?<=\^-\d)(?![\w^/-])", _unit_alone),
    rule(
        rf"(?<![\w^/-])(?=\w\w|\w\^|m/s|[JN][\u00b7/]){FACTOR}"
        rf"(?:[\u00b7\u22c5]{FACTOR}(?:/{FACTOR})?|(?:/{FACTOR}){{1,2}})(?![\w^/-])",
        _unit_alone,
    ),
    rule(rf"(?<![\w.])({NUMBER})(k|M|bn)\b", _magnitude),
)
