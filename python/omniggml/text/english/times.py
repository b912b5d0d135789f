"""Hours, minutes and seconds."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import cardinal
from omniggml.text.english.rule import Rule, rule, said, stop

_HALF_DAY = r"(?P<half>[aApP])\.?\s?[mM]\b(?P<dot>\.?)"


def _clock(found: re.Match[str]) -> str:
    hour, minute, second, half = (int(found["hour"]), int(found["minute"] or 0), found["second"], found["half"])
    if hour > 24 or minute > 59:
        return said(cardinal(hour), "to", cardinal(found["minute"] or "0"))
    if second:
        return said(f"{_counted(hour, 'hour')},", _counted(minute, "minute"), "and", _counted(int(second), "second"))
    return said(_time(hour, minute, half)) + (stop(found) if found["dot"] else "")


def _time(hour: int, minute: int, half: str | None) -> str:
    if minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half:
        words = cardinal(hour)
    else:
        words = f"{cardinal(hour)} hundred" if hour > 12 else f"{cardinal(hour)} o'clock"
    return f"{words} {half.lower()} m" if half else words


def _hours_and_minutes(found: re.Match[str]) -> str:
    return said(_counted(int(found[1]), "hour"), _counted(int(found[2]), "minute"))


def _counted(value: int, unit: str) -> str:
    return f"{cardinal(value)} {unit}{'' if value == 1 else 's'}"


def _offset(found: re.Match[str]) -> str:
    """From the time of Greenwich."""
    minutes = cardinal(int(found[4])) if found[4] and int(found[4]) else ""
    sign = "plus" if found[2] == "+" else "minus"
    return said(*found[1].lower(), sign, cardinal(int(found[3])), minutes)


_BOOKS = """Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth Samuel Kings Chronicles Ezra Nehemiah Esther
Job Psalm Psalms Proverbs Ecclesiastes Isaiah Jeremiah Lamentations Ezekiel Daniel Hosea Joel Amos Obadiah Jonah Micah
Nahum Habakkuk Zephaniah Haggai Zechariah Malachi Matthew Luke Acts Romans Corinthians Galatians Ephesians Philippians
Colossians Thessalonians Timothy Titus Philemon Hebrews James Peter Jude Revelation Surah Quran Qur'an Gen Exod Lev Num
Deut Josh Judg Sam Kgs Ps Prov Eccl Isa Jer Ezek Dan Matt Rom Cor Gal Eph Phil Col Thess Tim Heb Jas Pet Rev Lk Mk Jn"""


def _verse(found: re.Match[str]) -> str:
    last = ["to", cardinal(found[4])] if found[4] else []
    return said(found[1], f"{cardinal(found[2])},", cardinal(found[3]), *last)


def _instant(found: re.Match[str]) -> str:
    """As people write it: the day, the time, what it is counted from."""
    second = f":{found[4]}" if found[4] and int(found[4]) else ""
    zone = f" UTC{found[5].removeprefix('Z')}" if found[5] else ""
    return f"{found[1]}, {found[2]}:{found[3]}{second}{zone}"


def _exact(found: re.Match[str]) -> str:
    """With thousandths, as captions, logs and stopwatches have it: what is zero goes."""
    hours, minutes = int(found[1] or 0), int(found[2])
    seconds = f"{int(found[3])}.{found[4] or found[5]}".rstrip("0").rstrip(".")
    parts = [_counted(hours, "hour")] * (hours > 0) + [_counted(minutes, "minute")] * (minutes > 0)
    if seconds != "0" or not parts:
        parts.append(f"{cardinal(seconds)} second{'' if seconds == '1' else 's'}")
    return said(", ".join(parts[:-1]) + (" and " if parts[:-1] else "") + parts[-1])


_EXACT = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]\d)(?:,(\d{3})|\.(\d{1,6}))"

INSTANTS: tuple[Rule, ...] = (
    # As servers log it.
    rule(
        r"\b(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d)\b",
        lambda found: f"{found[1]} {found[2]} {found[3]}, {found[4]}",
    ),
    rule(rf"(?<![\w:.,])({_EXACT})\s*-->\s*(?=\d)", lambda found: f"{found[1]} to "),
    rule(rf"(?<![\w:.,]){_EXACT}(?![\d:])", _exact),
    rule(r"(?<![\w-])(\d{4}-\d\d-\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[-+]\d\d(?::?\d\d)?)?(?![\w:])", _instant),
    rule(rf"\b({'|'.join(_BOOKS.split())})\.? (\d+):(\d+)(?:[-\u2013](\d+))?(?![\w:])", _verse),
)

RULES: tuple[Rule, ...] = (
    # No hour, and no picometres either: the minutes of one that was parted.
    rule(r"(?<![\d:.,])([2-5]\d)\s+([ap])m\b", lambda found: said(cardinal(found[1]), found[2], "m")),
    rule(r"\b(UTC|GMT)\s?([-+\u2212\u2013])(\d{1,2})(?::?(\d\d))?(?!\d)", _offset),
    rule(rf"(?<![\d:.,])(?P<hour>1?\d)\.(?P<minute>[0-5]\d)(?P<second>)\s?{_HALF_DAY}", _clock),
    rule(r"\b12:00\s+(noon|midnight)", lambda found: said("twelve", found[1])),
    rule(rf"(?<![\d:.])(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?!\d)(?:\s?{_HALF_DAY})?", _clock),
    rule(rf"(?<![\d:.,])(?P<hour>1?\d)(?P<minute>)(?P<second>)\s?{_HALF_DAY}", _clock),
    rule(r"(?<=\d):(?=\d)", "to"),
    rule(r"(?<![\w.])(\d+)\s?h\s?(\d+)(?:\s?m(?:in)?)?\b", _hours_and_minutes),
)
