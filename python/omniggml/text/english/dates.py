"""Days, months and years."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from omniggml.text.english.numbers import NUMBER, cardinal, decade, ordinal, year
from omniggml.text.english.rule import ANY_CASE, Rule, rule, said

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_CAPITAL_MONTHS = "|".join(rf"{name[:3]}(?:{name[3:]})?".capitalize() for name in MONTHS)
_SMALL_MONTHS = "|".join(name for name in MONTHS if name not in ("march", "may"))
_ANY_MONTH = rf"(?:(?:Sept|{_CAPITAL_MONTHS})\b\.?|(?:{_SMALL_MONTHS}|{_SMALL_MONTHS.upper()})\b)"
_MONTH = rf"(?P<month>{_ANY_MONTH})"
_DAY = "|".join(rf"{day.capitalize()}|{day[:3].capitalize()}" for day in WEEKDAYS)
_SHORT_DAY = "|".join(f"{day[:3].capitalize()}|{day[:3].upper()}" for day in WEEKDAYS)
_TO = r"\s?[-\u2013\u2014]\s?"
_SUFFIX = r"(?:st|nd|rd|th)?"
_YEAR = r"(?:1[1-9]\d\d|20\d\d)"
_ANY_YEAR = r"(?:1\d\d\d|20\d\d)"  # behind a month


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name.lower().rstrip(".")[:3]))


def _iso_date(found: re.Match[str]) -> str:
    return _date(int(found["day"]), int(found["number"]), found["year"]) or found[0]


def _date(day: int, month: int, figures: str) -> str:
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return ""
    return said(MONTHS[month - 1], f"{ordinal(day)},", year(figures))


def _slashed_date(found: re.Match[str]) -> str:
    """Day or month first, where one of them is no month; else nobody knows, and the numbers are read."""
    one, other, figures = int(found[1]), int(found[3]), found[4]
    if len(figures) == 2:
        figures = ("19" if int(figures) > 50 else "20") + figures
    if found[2] == "." or one > 12:
        words = _date(one, other, figures)
    elif other > 12:
        words = _date(other, one, figures)
    else:
        words = ""
    return words or said(f"{cardinal(one)},", f"{cardinal(other)},", year(figures))


def _without_year(found: re.Match[str]) -> str:
    """A zero before the day or month tells that it is a date; which of them comes first is known where one is no
    month. Two that are both months are read as they stand."""
    one, other = int(found[1]), int(found[2])
    day, month = (one, other) if one > 12 else (other, one)
    if day > 12 and 1 <= month <= 12 and day <= 31:
        return said(MONTHS[month - 1], ordinal(day))
    return said(cardinal(found[1]), "slash", cardinal(found[2]))


def _days_of_month(found: re.Match[str]) -> str:
    """Several days of one month, either before the other."""
    first, last = int(found["day"]), int(found["last"])
    if not 1 <= first < last <= 31:
        return found[0]
    figures, month = found["year"], _month(found["month"])
    behind = [year(figures)] if figures else []
    if found.start("month") < found.start("day"):
        return said(month, ordinal(first), "to", ordinal(last) + ("," if figures else ""), *behind)
    return said(ordinal(first), "to", ordinal(last), "of", month, *behind)


def _from_to(known: Iterable[str]) -> Callable[[re.Match[str]], str]:
    """Names of days, or of months."""

    def full(name: str) -> str:
        return next(full for full in known if full.startswith(name.lower()[:3]))

    return lambda found: said(full(found[1]), "to", full(found[2]), year(found[3]) if found[3] else "")


def _to(found: re.Match[str]) -> str:
    return f"{found[1]} to "


def _day_without_year(found: re.Match[str]) -> str:
    """Where one of them is no month; else nobody knows, and both are read."""
    one, other = int(found[1]), int(found[2])
    day, month = (one, other) if one > 12 else (other, one)
    if day > 12:
        return said("on", MONTHS[month - 1], ordinal(day)) if 1 <= month <= 12 and day <= 31 else found[0]
    return said("on", cardinal(one), "slash", cardinal(other))


def _by_a_day(found: re.Match[str]) -> str:
    day = next((day for day in WEEKDAYS if day.startswith(found[1].lower().rstrip("., "))), found[1].rstrip())
    return f"{day} " + said(MONTHS[int(found[2]) - 1], ordinal(int(found[3])))


def _season(found: re.Match[str]) -> str:
    if (int(found[1]) + 1) % 100 != int(found[2]):
        return found[0]
    return said(year(found[1]), "to", cardinal(found[2]))


def _month_day(found: re.Match[str]) -> str:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return found[0]
    figures = found["year"]
    return said(_month(found["month"]), ordinal(day) + ("," if figures else ""), *([year(figures)] if figures else []))


def _day_month(found: re.Match[str]) -> str:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return found[0]
    figures = found["year"]
    return said(ordinal(day), "of", _month(found["month"]), *([year(figures)] if figures else []))


def _month_year(found: re.Match[str]) -> str:
    return said(_month(found["month"]) + (found["comma"] or ""), year(found["year"]))


def _weekday(found: re.Match[str]) -> str:
    return next(day for day in WEEKDAYS if day.startswith(found[1].lower())) + ","


def _quarter(name: str) -> list[str]:
    return [cardinal(letter) + "," if letter.isdecimal() else letter.lower() for letter in name]


def _era(found: re.Match[str]) -> str:
    figures = found[1].replace(",", "")
    return said(year(figures) if len(figures) == 4 else cardinal(figures), *found[2].replace(".", "").lower())


DAYS: tuple[Rule, ...] = (
    rule(rf"\b({_DAY}){_TO}({_DAY})\b()(?!-)", _from_to(WEEKDAYS)),
    rule(rf"\b({_YEAR})[-\u2013](?=(?:present|now|today|date|current)\b)", lambda found: said(year(found[1]), "to")),
    rule(rf"\b({_ANY_MONTH}){_TO}({_ANY_MONTH})(?:,?\s+({_YEAR})\b)?", _from_to(MONTHS)),
    rule(
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}}){_SUFFIX}{_TO}(?P<last>\d{{1,2}}){_SUFFIX}(?![\w:%-])"
        rf"(?:,?\s+(?P<year>{_YEAR})\b)?",
        _days_of_month,
    ),
    rule(
        rf"(?<![\w-])(?P<day>\d{{1,2}}){_SUFFIX}{_TO}(?P<last>\d{{1,2}}){_SUFFIX}\s+{_MONTH}"
        rf"(?:,?\s+(?P<year>{_YEAR})\b)?",
        _days_of_month,
    ),
    rule(rf"\b({_ANY_MONTH}\s+\d{{1,2}}{_SUFFIX}){_TO}(?={_ANY_MONTH})", _to),
    rule(rf"\b(\d{{1,2}}{_SUFFIX}\s+{_ANY_MONTH}){_TO}(?=\d{{1,2}}{_SUFFIX}\s+{_ANY_MONTH})", _to),
    rule(r"(?<![\w./-])(1[3-9]|2\d|3[01])/(1[0-2])(?![\w/-]|[.,]\d|\s*[=+*\u00d7])", _without_year),
    rule(r"(?<![\w./-])(?=0|\d+/0)([0-3]?\d)/([0-3]?\d)(?![\w/-]|[.,]\d)", _without_year),
    # "by 3/31": no fraction, behind a word that a day follows.
    rule(
        rf"\b((?:by|due|until|till|before|after|since|expires?|exp\.|starting|ending|{_DAY})\.?,? )"
        r"(1[0-2]|[1-9])/(1[3-9]|2\d|3[01])(?![\w/\"]|[.,]\d|\s+of\b)",
        _by_a_day,
    ),
    rule(r"\b[oO]n (\d{1,2})/(\d{1,2})(?![\w/])(?!\s+of\b)", _day_without_year),
    rule(rf"(?<![\w/])({_YEAR})/(\d\d)(?![\w/])", _season),
    # Small ones are words, too ("sat, he"), as the Sun is: only in front of a whole date.
    rule(rf"(?<!the )(?<!The )\b({_SHORT_DAY})\.?,(?=\s+(?:\d|{_ANY_MONTH}))", _weekday),
    rule(
        rf"\b({_SHORT_DAY.lower()})\.?,(?=\s+(?:\d{{1,2}}{_SUFFIX}\s+{_ANY_MONTH}|{_ANY_MONTH}\s+\d))",
        _weekday,
        ANY_CASE,
    ),
    rule(r"(?<![\d-])(?P<year>\d{4})(?P<mark>[-/])(?P<number>\d\d)(?P=mark)(?P<day>\d\d)(?![\d-])", _iso_date),
    rule(r"(?<![\d./])(\d{1,2})([./])(\d{1,2})\2(\d{4})(?![\d/])", _slashed_date),
    rule(r"(?<![\w./])(\d{1,2})(/)(\d{1,2})/(\d{2})(?![\w/])", _slashed_date),
    rule(r"(?<![\w./])([0-3]\d)(\.)([01]\d)\.(\d{2})(?!\w|\.\d)", _slashed_date),
    rule(
        rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:|\.\d\d\s?[ap]\.?m)"
        rf"(?:,?\s+(?P<year>{_ANY_YEAR})\b)?(?!\s*%)",
        _month_day,
    ),
    rule(rf"\b(?P<day>\d{{1,2}})\s+{_MONTH}(?:,?\s+(?P<year>{_ANY_YEAR})\b)?", _day_month),
    rule(rf"\b{_MONTH}(?P<comma>,)?\s+(?P<year>{_ANY_YEAR})\b(?![-\u2013]\d)", _month_year),
)

DECADES: tuple[Rule, ...] = (
    rule(r"(?<!\w)'?00'?s\b", "two thousands"),
    rule(r"(?<!\w)'?((?:1[1-9]|20)\d0|[2-9]0)'?s\b", lambda found: said(decade(found[1]))),
)

YEARS: tuple[Rule, ...] = (
    rule(rf"\b(Q[1-4]|H[12]|FY)[ -]?({_YEAR})\b", lambda found: said(*_quarter(found[1]), year(found[2]))),
    rule(rf"(?<![\w.,])({NUMBER})\s?(AD|BCE|BC|CE|A\.D\.|B\.C\.)(?!\w)", _era),
    rule(
        rf"\b((?:from|between)\s+)({_YEAR})(\s+(?:to|and)\s+)({_YEAR})\b",
        lambda found: f"{found[1]}{year(found[2])}{found[3]}{year(found[4])}",
        ANY_CASE,
    ),
    rule(
        rf"(?<![\w,.])({_YEAR})( +to +)({_YEAR})(?!\w|,\d)", lambda found: f"{year(found[1])}{found[2]}{year(found[3])}"
    ),
    rule(
        rf"(?<![\w,.])({_YEAR})( +to +)(\d\d)(?!\w|,\d)",
        lambda found: f"{year(found[1])}{found[2]}{cardinal(found[3])}",
    ),
    rule(
        rf"(?<=\b[iI]n )(1[1-9]\d\d|20[1-9]\d)(?!\w|[.,]\d)|(?<=\()({_YEAR})(?=\))", lambda found: said(year(found[0]))
    ),
    # Behind these it may be a number, too: "by 2030", but "by 2030 people".
    rule(
        r"\b((?:by|of|during|for|after|before|through|spring|summer|autumn|fall|winter) )(19\d\d|20[0-4]\d)"
        r"(?=[.;:!?)](?!\d)|,(?!\d)|\s*$| (?:and|to|or|was|is|in|the|with|as|at)\b)",
        lambda found: found[1] + year(found[2]),
        ANY_CASE,
    ),
    rule(
        r"\b((?:since|until|till|circa|year|early|late|mid)[ -])(1\d\d\d|20\d\d)(?![\w,]|\.\d)",
        lambda found: found[1] + year(found[2]),
        ANY_CASE,
    ),
    rule(rf"(?<=\u00a9 )({_YEAR})\b", lambda found: said(year(found[0]))),
)
