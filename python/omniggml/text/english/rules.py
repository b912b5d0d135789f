"""The order in which figures and signs are looked for: what another rule would take a part of comes first."""

from __future__ import annotations

from omniggml.text.english import addresses, dates, figures, identifiers, money, times, units, words
from omniggml.text.english.rule import Rule

RULES: tuple[Rule, ...] = (
    *addresses.RULES,
    *words.FIXED,
    *figures.DECIMAL_COMMAS,
    *figures.VARIABLES,
    *dates.DAYS,
    *identifiers.RULES,
    *figures.RANGES,
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
