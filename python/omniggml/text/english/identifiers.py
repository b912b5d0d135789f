"""Figures that name something instead of counting it: identifiers, telephones and versions."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import by_figures, cardinal, figure_by_figure
from omniggml.text.english.rule import Rule, rule, said


def _telephone(found: re.Match[str]) -> str:
    return said("plus" if found[0].startswith("+") else "", by_figures(found[0]))


def _vanity(found: re.Match[str]) -> str:
    """A number that spells a word."""
    words = [by_figures(part) if part.isdecimal() else part.lower() for part in re.findall(r"\d+|[A-Z]+", found[2])]
    return said(f"{by_figures(found[1])},", *words)


def _version(found: re.Match[str]) -> str:
    return said("version", " point ".join(map(cardinal, found[1].split("."))))


def _dotted(found: re.Match[str]) -> str:
    return said(" point ".join(cardinal(str(int(part))) for part in found[0].split(".")))


def _by_characters(found: re.Match[str]) -> str:
    """Character by character, groups apart."""
    groups = re.split("[-: ]", found[0])
    return said(", ".join(" ".join(figure_by_figure(c) if c.isdecimal() else c.lower() for c in g) for g in groups))


_HEX = "[0-9A-Fa-f]"

CHARACTERS: tuple[Rule, ...] = (
    rule(rf"(?<![\w-]){_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![\w-])", _by_characters),
    rule(
        rf"(?<![\w:-])(?=[\d:-]*[A-Fa-f]){_HEX}{{2}}(?:([:-]){_HEX}{{2}})(?:\1{_HEX}{{2}}){{1,6}}(?![\w:-])",
        _by_characters,
    ),
    rule(r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b", _by_characters),
    # Of letters and figures mixed; "2e10" is a number.
    rule(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])(?!\d+e\d{1,3}\b)[0-9a-f]{7,64}\b", _by_characters),
)

RULES: tuple[Rule, ...] = (
    rule(r"\+\d[\d ().\u2010-\u2013-]{6,}\d", _telephone),
    rule(r"(?<![\w-])((?:1-)?(?:8\d\d|900))-((?:[A-Z0-9]+-)*[A-Z0-9]*[A-Z][A-Z0-9-]*)(?![\w-])", _vanity),
    rule(r"(?<![\d-])(?:1-)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d-])\d{3}-(?!\d\d00)\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d.,])0\d{1,4}(?:[ -]\d{3,4}){1,3}(?![\d.,])", _telephone),
    # Groups of figures that are no date: a range has two ends.
    rule(r"(?<![\w-])\d+(?:-\d+){2,}(?![\w-]|\s?=)", _telephone),
    rule(r"(?<![\w/])0\d{1,4}/\d{4,}(?![\w/])", _telephone),
    rule(r"\(0\d{2,4}\) ?\d{3,4}(?:[ -]?\d{3,4})?(?![\w-])", _telephone),
    rule(r"(?<![\w-])\d{5}-\d{4}(?![\w-])", _telephone),
    rule(r"(?<![\w-])\d{4}(?: \d{4}){3}(?![\w-]| \d)", _telephone),
    rule(r"(?<=\b[cC]all )\d{3}\b(?![.,]?\d| [a-z]+s\b)|(?<=\b[dD]ial )\d{3}\b(?![.,]?\d)", _telephone),
    rule(r"(?<![\w.,])(?!\d+000\b)\d{10,}(?![\w,]|\.\d)", _telephone),
    rule(r"\b[vV](?:ersion )?(\d+(?:\.\d+)*)(?!\d)", _version),
    rule(r"(?<![\d.])\d+(?:\.\d+){2,}(?!\.?\d)", _dotted),
)
