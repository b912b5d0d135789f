"""How `<say-as>` wants a text read: the same in letters, figures and words that are read so."""

from __future__ import annotations

import re
from collections.abc import Callable

from omniggml.text.english.dates import MONTHS
from omniggml.text.english.numbers import roman
from omniggml.text.english.signs import IN_ADDRESSES

_DATE_PARTS = {"d": r"(?P<d>\d{1,2})", "m": r"(?P<m>\d{1,2})", "y": r"(?P<y>\d{4})"}


def _letters(text: str) -> str:
    return " ".join(" ".join(IN_ADDRESSES.get(letter, letter) for letter in word) for word in text.split())


def _digits(text: str) -> str:
    sign = "minus " if text.strip()[:1] in ("-", "\u2212") else ""
    return sign + " ".join("point" if figure == "." else figure for figure in re.findall(r"\w|(?<=\d)\.(?=\d)", text))


def _telephone(text: str) -> str:
    """Figure by figure, a pause between groups. What spells a word stays."""
    if re.search(r"[A-Za-z]", text):
        return text
    groups = [" ".join(group) for group in re.findall(r"\d+", text)]
    return ("plus " if text.strip().startswith("+") else "") + ", ".join(groups)


def _number(text: str) -> str:
    value = roman(text.strip())
    return text if value is None else str(value)


def _ordinal(text: str) -> str:
    figures = _number(text).strip()
    if not figures.isdecimal():
        return text
    ending = "th" if figures[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(figures[-1], "th")
    return f"{figures}{ending}"


def _date(text: str, form: str) -> str | None:
    """By the order of day, month and year; None for another form, and for what isn't written so."""
    if not form or len(set(form)) != len(form) or not set(form) <= set(_DATE_PARTS):
        return None
    found = re.fullmatch(r"\s*" + r"[-/. ]".join(_DATE_PARTS[part] for part in form) + r"\s*", text)
    if found is None:
        return None
    parts = found.groupdict()
    month, day, year = parts.get("m"), parts.get("d"), parts.get("y")
    if month is not None and not 1 <= int(month) <= 12:
        return None
    name = "" if month is None else MONTHS[int(month) - 1].capitalize()
    return " ".join(filter(None, [name, day and str(int(day)), year])).replace(
        f" {year}", f", {year}" if day else f" {year}"
    )


_WAYS: dict[str, Callable[[str], str]] = {
    "characters": _letters, "spell-out": _letters, "verbatim": _letters, "digits": _digits, "ordinal": _ordinal,
    "cardinal": _number, "number": _number, "telephone": _telephone,
}  # fmt: skip
_AS_WRITTEN = frozenset(["date", "time", "currency", "unit", "fraction", "address"])
"""What writing-out reads rightly as it stands."""


def read_as(text: str, way: str, form: str) -> tuple[str, str]:
    """The text as `interpret-as` and `format` want it, and what of them changes nothing here, or ""."""
    if way in ("date",) and form:
        date = _date(text, form.lower())
        return (text, f'say-as format="{form}"') if date is None else (date, "")
    if way in _WAYS:
        return _WAYS[way](text), f'say-as format="{form}"' if form and way != "telephone" else ""
    if way in _AS_WRITTEN:
        return text, f'say-as format="{form}"' if form else ""
    return text, f'say-as interpret-as="{way}"'
