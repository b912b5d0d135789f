"""Units that are made of others: km/h, m^2, mol*L^-1, W/(m^2*K)."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import power
from omniggml.text.english.rule import either
from omniggml.text.english.unit_names import LENGTHS, MEASURED, UNITS

_MINUS = "[-\u2212]"
_POWER = rf"(?:\^{_MINUS}?[1-9]|\^\({_MINUS}?[1-9]\))(?!\d)"
_KELVIN = {"K": ("kelvin", "kelvins")}
# Capitals that are units only where others are beside them.
_CAPITALS = {
    "A": ("amp", "amps"), "C": ("coulomb", "coulombs"), "F": ("farad", "farads"), "H": ("henry", "henrys"),
    "J": ("joule", "joules"), "N": ("newton", "newtons"),
}  # fmt: skip
_NAMES = UNITS | _KELVIN | _CAPITALS
_PRODUCT = "[*\u00b7\u22c5\u2219]"
_COUNTED = (
    "second|minute|hour|day|night|week|month|quarter|year|person|capita|head|user|seat|serving|tablet|capsule|dose|"
    "page|piece|item|unit|pack|box|bottle|litre|liter|metre|meter|foot|inch|mile|gallon|pound|ounce|wk|mo|yr|hr|d|sqft"
)
_SHORT = {"d": "day", "wk": "week", "mo": "month", "yr": "year", "hr": "hour", "sqft": "square foot"}
# A glued K is a thousand, or a film's resolution.
FACTOR = (
    rf"(?:(?:{either(LENGTHS)})(?:{_POWER}|[23](?!\d))"
    rf"|(?:{either(UNITS)}|(?<![\d-])K|[ACFHJN](?=[/*\u00b7\u22c5]))(?:{_POWER})?)"
)
_BEHIND = rf"{_PRODUCT}{FACTOR}|[ ](?:{either(UNITS)})\^\(?{_MINUS}[1-9]\)?(?!\d)"
_BELOW = rf"(?:{FACTOR}|(?:{_COUNTED})\b|\({FACTOR}(?:{_PRODUCT}{FACTOR}){{0,3}}\))"
COMPOUND = rf"{FACTOR}(?:{_BEHIND}){{0,4}}(?:/{_BELOW}(?![\w^])){{0,3}}"
"""A unit as it is written behind a number."""

_PARTS = re.compile(
    rf"(?P<below>/)|(?P<name>(?:{_COUNTED})(?![A-Za-z])|{either({**_NAMES, **LENGTHS})})(?P<power>{_POWER}|[23])?"
)


def unit_words(written: str, *, single: bool) -> str:
    """ "km/h" -> "kilometres per hour", with `single` "kilometre per hour"."""
    above: list[str] = []
    below: list[str] = []
    behind_stroke = False
    for part in _PARTS.finditer(written):
        if part["below"]:
            behind_stroke = True
            below.append("per")
            continue
        exponent = (part["power"] or "").strip("^()").replace("\u2212", "-")
        if exponent.startswith("-"):
            below += ["per", _factor(part["name"], exponent[1:].replace("1", ""), single=True)]
        elif behind_stroke:
            below.append(_factor(part["name"], exponent, single=True))
        else:
            above.append(_factor(part["name"], exponent, single=True))
            last = part["name"], exponent
    if above and not single:
        above[-1] = _factor(*last, single=False)
    return " ".join([*above, *below])


def _factor(name: str, exponent: str, *, single: bool) -> str:
    one, many = _NAMES.get(name) or (_SHORT.get(name, name),) * 2
    if name == "in":
        one, many = "inch", "inches"
    words = one if single else many
    if name in LENGTHS and exponent in ("2", "3"):
        return f"{'square' if exponent == '2' else 'cubic'} {words}"
    return f"{words} {power(exponent)}" if exponent not in ("", "1") else words


def measured(written: str) -> str:
    """What it measures, as far as that is known: "mass", "length", and so on; "" for other units and compound ones."""
    words = UNITS.get(written, ("",))[0]
    return next((kind for kind, ends in MEASURED.items() if words.endswith(ends)), "")
