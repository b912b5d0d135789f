"""Amounts of money, the sign before them or behind."""

from __future__ import annotations

import re

from omniggml.text.english.compound_units import COMPOUND, unit_words
from omniggml.text.english.numbers import NUMBER, cardinal
from omniggml.text.english.rule import Rule, either, rule, said

CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "US$": ("u s dollar", "u s dollars", "cent", "cents"),
    "AU$": ("australian dollar", "australian dollars", "cent", "cents"),
    "CA$": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "MX$": ("mexican peso", "mexican pesos", "centavo", "centavos"),
    "NT$": ("taiwan dollar", "taiwan dollars", "cent", "cents"),
    "A$": ("australian dollar", "australian dollars", "cent", "cents"),
    "C$": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "NZ$": ("new zealand dollar", "new zealand dollars", "cent", "cents"),
    "HK$": ("hong kong dollar", "hong kong dollars", "cent", "cents"),
    "$": ("dollar", "dollars", "cent", "cents"),
    "\u00a3": ("pound", "pounds", "penny", "pence"),
    "\u20ac": ("euro", "euros", "cent", "cents"),
    "\u00a5": ("yen", "yen", "", ""),
    "\uffe5": ("yen", "yen", "", ""),
    "\u20b9": ("rupee", "rupees", "paisa", "paise"),
    "\u20bd": ("rouble", "roubles", "kopeck", "kopecks"),
    "\u20a9": ("won", "won", "", ""),
    "\u20ba": ("lira", "liras", "", ""),
    "\u20aa": ("shekel", "shekels", "", ""),
    "\u20b4": ("hryvnia", "hryvnias", "", ""),
    "\u20ab": ("dong", "dong", "", ""),
    "\u0e3f": ("baht", "baht", "", ""),
    "\u20bf": ("bitcoin", "bitcoins", "", ""),
    "USD": ("u s dollar", "u s dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "CHF": ("swiss franc", "swiss francs", "rappen", "rappen"),
    "CAD": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "AUD": ("australian dollar", "australian dollars", "cent", "cents"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "\u20a6": ("naira", "naira", "kobo", "kobo"),
    "\u20b5": ("cedi", "cedis", "pesewa", "pesewas"),
    "\u20b8": ("tenge", "tenge", "", ""),
    "\u20b1": ("peso", "pesos", "centavo", "centavos"),
    "\u20a1": ("colon", "colones", "", ""),
    "\u20ad": ("kip", "kip", "", ""),
    "\u20ae": ("tugrik", "tugriks", "", ""),
    "\u20b2": ("guarani", "guaranies", "", ""),
    "\u20bc": ("manat", "manat", "", ""),
    "\u20be": ("lari", "lari", "", ""),
    "\u09f3": ("taka", "taka", "", ""),
    "R$": ("real", "reais", "centavo", "centavos"),
    "S$": ("singapore dollar", "singapore dollars", "cent", "cents"),
    "BTC": ("bitcoin", "bitcoins", "", ""),
}
"""Sign or code -> one, many, one hundredth, many hundredths."""

MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mm": "million", "MM": "million",
    "mn": "million", "bn": "billion", "b": "billion",
    "B": "billion", "tn": "trillion", "T": "trillion",
}  # fmt: skip
"""Letters behind an amount of money."""

_SIGN = either(sign for sign in CURRENCIES if not sign.isalpha())
_CODE = either(sign for sign in CURRENCIES if sign.isalpha())
IN_WORDS = "thousand|million|billion|trillion|lakhs?|crores?"
_MAGNITUDE = rf"(?:\s?(?P<magnitude>(?:{IN_WORDS})\b|(?:{either(MAGNITUDES)})\b))?"


def _money(found: re.Match[str]) -> str:
    one, many, *_ = currency = CURRENCIES[found["sign"]]
    if found["noun"]:
        return said(cardinal(found["amount"]), one, found["noun"])
    if found["to"] or found["magnitude"]:
        size = found["magnitude"] or ""
        words = [cardinal(found["amount"]), *(["to", cardinal(found["to"])] if found["to"] else [])]
        return _per(found, said(*words, MAGNITUDES.get(size, size), many))
    return _per(found, said(_amount(found["amount"], currency)))


def _per(found: re.Match[str], words: str) -> str:
    if found["per_unit"]:
        return f"{words}per {unit_words(found['per_unit'], single=True)} "
    return f"{words}per {found['per'].lower()} " if found["per"] else words


def _amount(figures: str, currency: tuple[str, str, str, str]) -> str:
    one, many, cent, cents = currency
    whole, _, rest = figures.replace(",", "").partition(".")
    whole = whole or "0"
    if len(rest) != 2 or not cent:
        return f"{cardinal(figures)} {one if figures == '1' else many}"
    small = f"{cardinal(int(rest))} {cent if int(rest) == 1 else cents}"
    large = f"{cardinal(whole)} {one if whole == '1' else many}"
    if not int(rest):
        return large
    return f"{large} and {small}" if int(whole) else small


def _money_behind(found: re.Match[str]) -> str:
    figures = found["amount"]
    currency = CURRENCIES[found["sign"]]
    size = found["magnitude"]
    if size:
        return _per(found, said(cardinal(figures), MAGNITUDES.get(size, size), currency[1]))
    return _per(found, said(_amount(figures, currency)))


_PER = rf"(?:(?:/| per )(?P<per_unit>{COMPOUND})(?![\w^])|/(?P<per>[A-Za-z]+))?"

FIXED: tuple[Rule, ...] = (
    rule(rf"\b({_CODE})/({_CODE})\b", lambda found: said(*found[1].lower(), "slash", *found[2].lower())),
    # "Rs. 500/-": a stroke that nothing can be added behind.
    rule(r"\b(?:Rs\.?|\u20a8)\s?(?=\d)", lambda found: "\u20b9"),
    rule(r"(\u20b9\s?\d[\d,.]*)/-(?!\w)", lambda found: found[1]),
)

RULES: tuple[Rule, ...] = (
    rule(
        rf"(?<!\d)(?P<sign>{_SIGN}|(?:{_CODE})(?=\s?\d))\s?(?P<amount>{NUMBER}|\.\d+)(?: to (?P<to>{NUMBER}))?"
        rf"(?!\d|/\d){_MAGNITUDE}{_PER}(?: (?P<noun>bill|note|coin)\b)?",
        _money,
    ),
    rule(rf"(?<![\d.])(?P<amount>{NUMBER}){_MAGNITUDE}\s?(?P<sign>{_SIGN}|(?:{_CODE})\b){_PER}(?!\d)", _money_behind),
    rule(r"\$+", "dollars"),
)
