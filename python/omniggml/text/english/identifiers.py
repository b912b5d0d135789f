"""Figures that name something instead of counting it: telephones and versions."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import by_figures, cardinal
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


RULES: tuple[Rule, ...] = (
    rule(r"\+\d[\d ().\u2010-\u2013-]{6,}\d", _telephone),
    rule(r"(?<![\w-])((?:1-)?(?:8\d\d|900))-((?:[A-Z0-9]+-)*[A-Z0-9]*[A-Z][A-Z0-9-]*)(?![\w-])", _vanity),
    rule(r"(?<![\d-])(?:1-)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d-])\d{3}-(?!\d\d00)\d{4}(?![\d-])", _telephone),
    rule(r"(?<![\d.,])0\d{1,4}(?:[ -]\d{3,4}){1,3}(?![\d.,])", _telephone),
    rule(r"\b[vV](?:ersion )?(\d+(?:\.\d+)*)(?!\d)", _version),
    rule(r"(?<![\d.])\d+(?:\.\d+){2,}(?!\.?\d)", _dotted),
)
