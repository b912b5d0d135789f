"""Figures that name something instead of counting it: identifiers, telephones and versions."""

from __future__ import annotations

import re

from omniggml.text.english import chemistry
from omniggml.text.english.numbers import by_figures, cardinal, figure_by_figure
from omniggml.text.english.rule import Rule, rule, said


def _telephone(found: re.Match[str]) -> str:
    sign = {"+": "plus", "-": "minus", "\u2212": "minus"}.get(found[0][0], "")
    return said(sign, by_figures(found[0]))


def _vanity(found: re.Match[str]) -> str:
    """A number that spells a word."""
    words = [by_figures(part) if part.isdecimal() else part.lower() for part in re.findall(r"\d+|[A-Z]+", found[2])]
    return said(f"{by_figures(found[1])},", *words)


def _version(found: re.Match[str]) -> str:
    return said("version", " point ".join(map(cardinal, found[1].split("."))))


def _dotted(found: re.Match[str]) -> str:
    return said(" point ".join(cardinal(part) for part in found[0].split(".")))


def _by_characters(found: re.Match[str]) -> str:
    """Character by character, groups apart."""
    return _by_characters_of(found[0])


def _by_characters_of(name: str) -> str:
    return said(", ".join(map(_spelled, re.split("[-: ]", name))))


def _serial(found: re.Match[str]) -> str:
    """Capitals and figures mixed, unless they are a formula, a year or an amount."""
    name = found[0]
    groups = re.findall(r"\d+|[A-Za-z]+", name)
    figures = max(len(group) for group in groups if group.isdecimal())
    mixed = len(groups) > 3 and any(len(part) > 3 or len(groups) > 6 for part in name.split("-"))
    if chemistry.is_formula(name) or not (mixed or figures > 4 or (figures > 3 and not re.search(_A_YEAR, name))):
        return found[0]
    return _by_characters(found)


def _hex(found: re.Match[str]) -> str:
    return said("zero x", _spelled(found[1]))


def _colour(found: re.Match[str]) -> str:
    return said("hash", _spelled(found["hex"]))


def _spelled(characters: str) -> str:
    return " ".join(figure_by_figure(c) if c.isdecimal() else c.lower() for c in characters)


def _ip_v6(found: re.Match[str]) -> str:
    if "::" not in found[0] and found[0].count(":") < 7:
        return found[0]
    parts = re.findall(r"::|:|\w+", found[0])
    return said(*({"::": "colon colon", ":": "colon"}.get(part) or _spelled(part) for part in parts))


def _day(found: re.Match[str]) -> str:
    """Eight figures that are a day, as files are named: read as the rules know it."""
    year, month, day = found[0][:4], int(found[0][4:6]), int(found[0][6:])
    return f"{year}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def _reference(found: re.Match[str]) -> str:
    before = "p o number" if found[1] == "PO" else "reference" if (found[1] or "").startswith("Ref") else "number"
    return f" {before}{_by_characters_of(found[2])}"


def _numbered(found: re.Match[str]) -> str:
    return found[1].replace("#", " number ") + said(figure_by_figure(found[2]))


_A_YEAR = r"(?<!\d)(?:19|20)\d\d(?!\d)"
_HEX = "[0-9A-Fa-f]"
_NAMED = (
    "PIN|pin|[iI][dD]|ID|[cC]ode|[aA]ccount|[oO]rder|[iI]nvoice|[tT]icket|[sS]erial|[tT]racking|[rR]eference|"
    "[rR]ef|[zZ][iI][pP]|[pP]hone|[tT]el|[fF]ax|[pP]assword|[cC]onfirmation|[bB]ooking|[mM]embership|[pP]assport|"
    "SKU|SN|S/N"
)
"""Words behind which figures name something."""

CHARACTERS: tuple[Rule, ...] = (
    rule(rf"(?<![\w-]){_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![\w-])", _by_characters),
    rule(
        rf"(?<![\w:-])(?=[\d:-]*[A-Fa-f]){_HEX}{{2}}(?:([:-]){_HEX}{{2}})(?:\1{_HEX}{{2}}){{1,6}}(?![\w:-])",
        _by_characters,
    ),
    rule(rf"(?<![\w:.])(?=[0-9A-Fa-f]{{0,4}}:)(?:{_HEX}{{0,4}}:){{2,7}}{_HEX}{{0,4}}(?![\w:.])", _ip_v6),
    rule(rf"\b0[xX]({_HEX}{{1,64}})\b", _hex),
    rule(
        rf"(?<![\w#])#(?=[A-Fa-f]{{0,7}}\d|([fF])\1+\b|0)(?!\d{{1,5}}\b)(?P<hex>{_HEX}{{8}}|{_HEX}{{6}}|{_HEX}{{3}})\b",
        _colour,
    ),
    rule(r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b", _by_characters),
    # Of letters and figures mixed; "2e10" is a number.
    rule(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])(?!\d+e\d{1,3}\b)[0-9a-f]{7,64}\b", _by_characters),
)

DAYS: tuple[Rule, ...] = (rule(r"(?<![A-Za-z\d.,+$-])(?:19|20)\d\d[01]\d[0-3]\d(?![A-Za-z\d,]|[.-]\d)", _day),)
"""Before dates are looked for."""

RULES: tuple[Rule, ...] = (
    # Two groups are no range where they are called a number.
    rule(r"(?:\b(No\.|Nr\.|no\.|PO|Ref\.?)\s?|#)#?\s?((?:[A-Z]{1,5}-)?\d+(?:-\d+)+)(?![\w-]|\.\d)", _reference),
    rule(r"(?<![\w-])[A-Z]{1,5}(?:-\d+){2,4}(?![\w-])", _by_characters),
    rule(rf"\b((?:{_NAMED})(?: (?:number|no\.|nr\.|code|is|ID))?\s?[:#]?\s?)(\d{{4,20}})(?!\w|[.,:/-]\d)", _numbered),
    rule(r"(?<![\w-])\d{4}(?: \d{4}){3}(?![\w-]| \d)|(?<![\w-])3\d{3} \d{6} \d{5}(?![\w-]| \d)", _telephone),
    rule(r"\+\d[\d ().\u2010-\u2013-]{6,}\d", _telephone),
    rule(r"(?<![\w-])((?:1-)?(?:8\d\d|900))-((?:[A-Z0-9]+-)*[A-Z0-9]*[A-Z][A-Z0-9-]*)(?![\w-])", _vanity),
    rule(r"(?<![\d-])(?:1-)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d-])\d{3}-(?!\d\d00)\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d.,])(?<!\d )0\d{1,4}(?:[ -]\d{3,8}){1,3}(?!\d|[.,]\d)", _telephone),
    rule(r"(?<![\d.,])0\d(?:[ .]\d\d){4}(?!\d|[.,]\d)|(?<![\d.,])00\d{1,3}(?: \d{2,8}){2,5}(?!\d|[.,]\d)", _telephone),
    rule(r"(?<![\w.,])1 \d{3} \d{3} \d{4}(?!\w|[.,]\d)|(?<![\w.,])\d{5} \d{5}(?!\w|[., ]\d)", _telephone),
    # Groups of figures that are no date: a range has two ends.
    rule(r"(?<![\w-])\d+(?:-\d+){2,}(?![\w-]|\s?=)", _telephone),
    rule(r"(?<![\w/])0\d{1,4}/\d{4,}(?![\w/])", _telephone),
    rule(r"\(0\d{1,4}\) ?\d{3,4}(?:[ -]?\d{3,4})?(?![\w-])", _telephone),
    rule(r"(?<![\w-])(?:\d{5}-\d{4}|\d\d-\d{7})(?![\w-])", _telephone),
    rule(r"(?<=\b[cC]all )\d{3}\b(?![.,]?\d| [a-z]+s\b)|(?<=\b[dD]ial )\d{3}\b(?![.,]?\d)", _telephone),
    rule(r"(?<![\w.,])(?:(?<!\w)[-\u2212])?(?!\d+000\b)\d{10,}(?!\w|[.,]\d)", _telephone),
    # "V8" is an engine, "V600E" a mutation.
    rule(r"\b(?:v|V(?=\d+\.)|[vV]ersion )(\d+(?:\.\d+)*)(?![A-Za-z\d])", _version),
    rule(r"(?<![\d.])\d+(?:\.\d+){2,}(?!\.?\d)", _dotted),
)

_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|PR"
)

SERIALS: tuple[Rule, ...] = (
    # Post codes.
    rule(rf"\b({_STATES}) (\d{{5}})(?!\w|[.,]\d)", lambda found: said(*found[1].lower(), by_figures(found[2]))),
    rule(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b", _by_characters),
    rule(r"(?<![\w-])(?=[A-Z\d-]{0,40}\d)(?=[\d-]{0,40}[A-Z])[A-Z\d]{1,40}(?:-[A-Z\d]{1,40}){0,8}(?![\w-])", _serial),
    # A key: too long for a word with a figure.
    rule(r"(?<![\w-])(?=[A-Za-z]{0,64}\d)(?=\d{0,64}[A-Za-z])[A-Za-z\d]{16,512}(?![\w-])", _by_characters),
)
