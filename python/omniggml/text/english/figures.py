"""What stands between, before and behind figures: signs, ranges, powers, fractions; and the figures that are left."""

from __future__ import annotations

import re

from omniggml.text.english import signs
from omniggml.text.english.abbreviations import BEFORE_FIGURES
from omniggml.text.english.compound_units import COMPOUND, unit_words
from omniggml.text.english.numbers import NUMBER, cardinal, ordinal, power, quantity
from omniggml.text.english.rule import ANY_CASE, Rule, either, rule, said

_BEHIND_NAMES = frozenset(
    ("is", "was", "are", "were", "in", "on", "of", "and", "or", "has", "had", "at", "to", "by", "for", "with", "from")
)
_JUDGED = (
    r"(?:[rR]at(?:ed?|ing)|[sS]cor(?:ed?|ing|es)|[gG]rade[ds]?|[gG]ave|[gG]ives?|[gG]ot|[eE]arned|[rR]eview(?:ed)?)"
)


def _grade(found: re.Match[str]) -> str:
    return f"{found[1].lower()} minus"


def _fraction(found: re.Match[str]) -> str:
    if found[1] is None and found[2] == found[3]:
        return said(cardinal(found[2]), cardinal(found[3]))
    return said(quantity(found[0]))


def _out_of(found: re.Match[str]) -> str:
    return found[1] + said(cardinal(found[2]), "out of", cardinal(found[3]))


def _scientific(found: re.Match[str]) -> str:
    unit = unit_words(found["unit"], single=False) if found["unit"] else ""
    return said(cardinal(found[1]), "times ten", f"to the power of {_signed(found[2])}", unit)


def _signed(figures: str) -> str:
    sign = "minus " if figures[0] in "-\u2212" else ""
    return sign + cardinal(figures.lstrip("+-\u2212"))


def _number(found: re.Match[str]) -> str:
    figures = found[0]
    return said(cardinal(figures.rstrip("."))) + ("." if figures.endswith(".") else "")


def _by_thousands(found: re.Match[str]) -> str:
    """Grouped as the rules know it, whatever it was grouped by."""
    groups = re.split(r"\D", found[0])
    address = len(groups) == 4 and all(group == str(int(group)) and int(group) < 256 for group in groups)
    return found[0] if address else f"{int(''.join(groups)):,}"


def _mixed(found: re.Match[str]) -> str:
    """ "1-1/2": a number and a fraction, written with a hyphen."""
    return f"{found[1]} {found[2]}/{found[3]}" if int(found[2]) < int(found[3]) else found[0]


def _point(found: re.Match[str]) -> str:
    """A decimal comma as a point."""
    return f"{found[1].replace('.', '')}.{found[2]}"


def _minus_behind(found: re.Match[str]) -> str:
    return f"{found[1]} minus "


def _before_figure(found: re.Match[str]) -> str:
    # "He said no. 5 people left."
    behind = re.match(r"\s*\d+(?:[.,]\d+)*\s+([a-z]+)", found.string[found.end(1) + 1 :])
    if found[1] == "no" and behind and behind[1] not in _BEHIND_NAMES:
        return found[0]
    return f"{BEFORE_FIGURES[found[1]]} "


def _named_sign(found: re.Match[str]) -> str:
    name = signs.IN_ADDRESSES.get(found[2]) or signs.SIGNS.get(found[2]) or _BRACES.get(found[2])
    return f", {name}, " if name else found[0]


_BRACES = {"{": "opening brace", "}": "closing brace"}


def _stars(found: re.Match[str]) -> str:
    full, all_of_them = found[0].count("\u2605"), len(found[0])
    return said(cardinal(full), *(["of", cardinal(all_of_them)] if full < all_of_them else []), "stars")


def _raised_letters(found: re.Match[str]) -> str:
    return said("to the power of", "minus" if found[1] else "", found[2].lower())


GROUPS: tuple[Rule, ...] = (
    rule(r"(?<!\w)(\d+|[a-z])!(?=\s*[-=+*/)])(?!=)", lambda found: f"{found[1]} factorial "),
    rule(r"(?<![\w.,])\d{1,3}(?:_\d{3})+(?!\w)", _by_thousands),
    rule(r"(?<![\w'.,])\d{1,3}(?:'\d{3})+(?![\w'])", _by_thousands),
    rule(r"(?<![\w.,])\d{1,2}(?:,\d\d)+,\d{3}(?![\w,])", _by_thousands),
    rule(r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?!\w|[.,]\d)", _by_thousands),
    rule(r"(?<![\w/-])(\d+)-(\d+)/(\d+)(?![\w/])", _mixed),
    # A decimal comma, where a unit or the points before it leave no doubt.
    rule(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d,])", _point),
    rule(r"(?<=[$\u00a3\u20ac])(\s?\d+),(\d\d)(?![\d,])", _point),
    rule(
        r"(?<![\d.,])(\d+),(\d{1,2})(?=\s?(?:[%\u2030\u00b0\u20ac]|(?:Euro|EUR|kr|k[mg]|cm|mm|ml)\b|z\u0142|K\u010d))",
        _point,
    ),
)

TRAILING: tuple[Rule, ...] = (
    rule(r"(?<![\w.)\]])[~\u2248]\s?(?=[A-Z]{0,2}[$\u00a3\u20ac\u00a5\u20b9]\s?\.?\d)", "about"),
    # A sign that is spoken of.
    rule(r"(?<!\w)(['\"`])([^\w\s'\"`])\1(?!\w)", _named_sign),
    rule("\\+\\s?/\\s?[-\u2212\u2013]|(?<!\\w)\\+[-\u2212](?=\\s?\\d)", lambda found: "\u00b1"),
    # As accounts write it, behind the amount; "a 3- or 4-fold rise" and a price "5,-" have a dash.
    rule(r"(\d[.,]\d\d)[-\u2212](?=\s*(?:[.,;)\n]|$)|\s+(?!(?:or|and|to|bis|und)\b)[A-Z\d])", _minus_behind),
    rule(r"(\d)[-\u2212](?=\s*(?:[;)]|\.?\s*$))", _minus_behind),
    rule("(?<=\\()[-\u2212](?=\\))", "minus"),
    rule("[-\u2212]/[-\u2212](?!\\w)", "minus slash minus"),
    # Of programs.
    rule(
        r"(?<![\w-])([A-Za-z]\w*(?=--(?:\s*[;,.)\]]|\s*$))|[a-z](?=--\s))--", lambda found: f"{found[1]} minus minus "
    ),
    rule(r"(?<![\w-])--(?=[a-z]\s*[;,)\]])", "minus minus"),
    rule(r"[-](?==\s)", "minus"),
    rule(r"(?<![\w+-])([-+\u2212])ve\b", lambda found: " positive " if found[1] == "+" else " negative "),
)

VARIABLES: tuple[Rule, ...] = (
    rule(r"\bT-(?=\d+(?::\d|\s?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|s|min|h)\b))", "t minus"),
    # Grades and variables: behind these a hyphen is a minus.
    rule(r"(?<![\w'.-])([A-F])-(?=[\s.,;:!?)]|$)(?!\s*(?:,|and\b|or\b|to\b)\s*\w+-\w)", _grade),
    # An option's name; behind an operator it is a sign.
    rule(r"(?<!\S)(?<![=<>*/+^]\s)(-{1,2})(?=[A-Za-z])", lambda found: said(*["dash"] * len(found[1]))),
)

SIGNS: tuple[Rule, ...] = (
    rule(r"(?<=\d)\s+[-\u2212]\s+(?=[-+\u2212]?\.?[\d(])|(?<=\d)\u2212(?=\d)", "minus"),
    rule(r"([$\u00a3\u20ac])[-\u2212](?=\.?\d)", lambda found: f" minus {found[1]}"),
    rule(r"(?<![\w.)\]^])[-\u2212\u2013](?=\.?\d|[A-Z]{0,2}[$\u00a3\u20ac\u00a5\u20b9]\.?\d)", "minus"),
)

NUMBERED: tuple[Rule, ...] = (
    rule(r"(?<![\w.)\]])[~\u2248]\s?(?=\d)", "about"),
    rule(r"#(?=\d|\s+of\b)", "number"),
    rule(r"#(?=[^\W\d])", "hashtag"),
    rule(rf"\b({either(BEFORE_FIGURES)})\.[^\S\n]*(?=\d)", _before_figure),
    rule(r"[\u2605\u2606]{2,}", _stars),
)

SCIENTIFIC: tuple[Rule, ...] = (
    rule(rf"(?<![\w.])({NUMBER})[eE]([-+\u2212]?\d{{1,3}})\b(?:\s?(?P<unit>{COMPOUND})(?![\w^/]))?", _scientific),
)

_OF_SEVERAL = (
    "page|part|lap|day|step|slide|episode|chapter|round|stage|week|level|match|question|task|tweet|thread|photo|image|"
    "sheet|file|item|retry|try|attempt|chunk|batch|epoch|disc|disk|track|volume|hole|night|session|lesson|module"
)

FRACTIONS: tuple[Rule, ...] = (
    # "page 3/10", "(1/3)" is a fraction.
    rule(
        rf"\b({_OF_SEVERAL}) (\d{{1,4}})/(\d{{1,4}})(?![\w/]|[.,]\d)",
        lambda found: f"{found[1]} " + said(cardinal(found[2]), "of", cardinal(found[3])),
        ANY_CASE,
    ),
    # Powers of what is no expression.
    rule(r"(?<=[\w)])\^\(?([-+\u2212]?\d+)\)?", lambda found: said(power(found[1]))),
    rule(r"(?<=[\w)])\^\(?([-\u2212]?)([A-Za-z]+)\)?", _raised_letters),
    rule(rf"\b({_JUDGED}\b[^.\d/]{{0,20}})(\d+(?:\.\d+)?)/(5|10|20|100)(?![\w/])", _out_of),
    rule(r"(?<![\w./])()(10|5|100)/(\2)(?![\w/])", _out_of),
    rule(
        rf"(?<![\w.])({NUMBER})(?:[xX]|\u00d7)(?:/([a-z]+))?(?![\w\u00d7]|\s*\d)",
        lambda found: said(cardinal(found[1]), "times", *(["per", found[2]] if found[2] else [])),
    ),
    rule(r"(?<=\d)\s*[*\u00d7]\s*(?=\d)|(?<=\w)(?<![A-Za-z]{2}) \* (?=\w)(?![A-Za-z]{2})", "times"),
    rule(r"(?<![\w./])(?:(\d+) )?(\d+)/(\d+)(?![\w/])", _fraction),
)

ORDINALS: tuple[Rule, ...] = (
    rule(
        r"\b((?:\d{1,3}(?:,\d{3})+|\d{1,9}))(?:st|nd|rd|th)\b",
        lambda found: said(ordinal(int(found[1].replace(",", "")))),
    ),
)

REST: tuple[Rule, ...] = (
    # A dash between words; that between figures was said.
    rule(r"(?<=\S)\s+(?:-{1,3}|\u2013)\s+(?=\S)", lambda found: ", "),
    rule(r"<=|\u2264", "less than or equal to"),
    rule(r">=|\u2265", "greater than or equal to"),
    rule(r"!=|(?<=[\w ])<>(?=[\w ])", "is not equal to"),
    rule(r"->|=>", "arrow"),
    # The number of a note, or part of a name.
    rule(r"(?<=[a-z])\.(?=\d+(?:\s+[A-Z]|\s*$))", lambda found: ". "),
    rule(r"(?<=[A-Za-z])(?<!approx)\.(?=\d)", "dot"),
    # What is left of the figures.
    rule(rf"(?<![\d.]){NUMBER}(?:\.(?=\D|$))?|\.\d+", _number),
    rule(r"\d+", lambda found: said(cardinal(found[0]))),
)
