"""Numbers with what they count behind them."""

from __future__ import annotations

import re

from omniggml.text.english import unit_names
from omniggml.text.english.numbers import NUMBER, QUANTITY, cardinal, quantity
from omniggml.text.english.rule import Rule, either, rule, said, stop

_UNITS = either(unit_names.UNITS)
_PEOPLE = """people users customers visitors viewers downloads subscribers followers views copies jobs workers homes
households voters residents patients children refugees barrels votes deaths cases cars passengers"""
_ALONE = r"\s*(?:$|[^\w\s]|(?:or|and|to|of|long|wide|tall|high|deep|x|by)\b)"
_SIZE = rf"(?:\d{{1,9}} \d{{1,9}}/\d{{1,9}}|\d(?:[\d.,/]{{0,20}}\d)?)(?:\"|\s?(?:{_UNITS}|feet)\b|[kK]\b)?"


def _unit(found: re.Match[str]) -> str:
    one, many = unit_names.UNITS[found["unit"]]
    figures = found["amount"]
    per = f" per {unit_names.UNITS[found['per']][0]}" if found["per"] else ""
    single = figures == "1" or found["hyphen"] == "-" or ("/" in figures and " " not in figures)
    return said(quantity(figures), (one if single else many) + per) + (stop(found) if found["dot"] else "")


def _feet_and_inches(found: re.Match[str]) -> str:
    return said(cardinal(found[1]), "foot", cardinal(found[2]))


def _square(found: re.Match[str]) -> str:
    one, many = unit_names.UNITS[found[0]]
    return said(one if re.search(r"(?:\bper|\ba|/)\s*$", found.string[: found.start()]) else many)


def _inches(found: re.Match[str]) -> str:
    # Behind a figure within quotation marks it is the closing one.
    if found.string.count('"', 0, found.start()) % 2:
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


RULES: tuple[Rule, ...] = (
    # Between sizes: by. 0x1F is none.
    rule(r"(?<![\w.'])(\d+(?:\.\d+)?)'(?=\s?[xX\u00d7]\s?\d)", lambda found: f"{found[1]} feet "),
    rule(rf"(?<![\w.,/])(?!0[xX]){_SIZE}(?:\s*[xX]\s*{_SIZE})+", _by),
    rule(r"(?<![\w.])(\d+)'\s?(\d+)(?:\"|'')", _feet_and_inches),
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
        rf"(?<![\w./])(?P<amount>{QUANTITY})(?P<hyphen>[ \u00a0\u202f-]?)(?P<unit>{_UNITS})(?:/(?P<per>{_UNITS}))?"
        r"(?![\w\u00b2\u00b3/])(?P<dot>\.(?=\s|$|[,;:)]))?",
        _unit,
    ),
    rule(r"(?<!\w)[kcm]?m[\u00b2\u00b3](?!\w)", _square),
    rule(rf"(?<![\w.])({NUMBER})(k|M|bn)\b", _magnitude),
)
