"""The order in which figures and signs are looked for: what another rule would take a part of comes first."""

from __future__ import annotations

from omniggml.text.english import (
    addresses,
    chemistry,
    dates,
    expressions,
    figures,
    identifiers,
    money,
    ranges,
    times,
    units,
    words,
)
from omniggml.text.english.rule import Rule

RULES: tuple[Rule, ...] = (
    *addresses.RULES,
    *identifiers.CHARACTERS,
    *words.FIXED,
    *money.FIXED,
    *figures.GROUPS,
    *chemistry.RULES,
    *figures.TRAILING,
    *figures.VARIABLES,
    *times.INSTANTS,
    *identifiers.DAYS,
    *dates.DAYS,
    *identifiers.RULES,
    *identifiers.SERIALS,
    *units.BEFORE_SIGNS,
    *ranges.SCORES,
    *expressions.RULES,
    *ranges.RULES,
    *times.RULES,
    *figures.SIGNS,
    *money.RULES,
    *figures.NUMBERED,
    *dates.DECADES,
    *figures.SCIENTIFIC,
    *units.RULES,
    *figures.FRACTIONS,
    *figures.ORDINALS,
    *dates.YEARS,
    *words.RULES,
    *figures.REST,
)

OF_LETTERS = frozenset((*addresses.RULES, *words.FIXED, *chemistry.RULES, *figures.TRAILING, *dates.DAYS, *words.RULES))
"""Those that find something where there are only letters and the marks of sentences. The other ones, which are most of
them, look for a figure or a sign."""
