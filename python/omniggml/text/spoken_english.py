"""Any English text -> the lower-case words and few marks that a voice can be trained on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_APOSTROPHES, _QUOTES, _DASHES = "\u2018\u2019\u02bc", '"\u201c\u201d\u2013', "\u2014;:()"
_MARKS = str.maketrans(
    dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_QUOTES, " ") | dict.fromkeys(_DASHES, ", ") | {"\u2026": ". "}
)
_SIGNS = {"&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "\u00d7": "times", "*": "times"}
_CURRENCIES = {"$": ("dollar", "dollars"), "£": ("pound", "pounds"), "€": ("euro", "euros")}
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MONEY = re.compile(r"([$£€])(\d+)(?:\.(\d\d))?(?!\d)")
_CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)\b")
_ORDINAL = re.compile(r"\b(\d{1,9})(?:st|nd|rd|th)\b")
_YEAR = re.compile(r"(?<=\bin )(1[1-9]\d\d|20[1-9]\d)\b")
_MINUS = re.compile(r"(?<=\d)\s+[-\u2212]\s+(?=\d)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LONGEST = 18


def spoken_text(text: str) -> str:
    """Write out figures and signs, lower the case, and leave only a to z, apostrophes and . , ? !

    Letters with accents lose them; what can't be said is dropped. The result is empty when nothing can be said.
    """
    text = _GROUPED.sub("", text.lower())
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    text = _MINUS.sub(" minus ", text).translate(_MARKS)
    text = _NUMBER.sub(_number, text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"[^a-z'.,?!]+", " ", plain)
    plain = re.sub(r"\s*([.,?!])[\s.,?!]*", r"\1 ", plain)
    return plain.strip(" ,'")


@lru_cache(maxsize=1)
def _engine() -> Any:
    # Most texts have no figures, and need not wait for the import.
    import inflect

    return inflect.engine()


def _words(value: int | str) -> str:
    return f" {_engine().number_to_words(value)} "


def _number(found: re.Match[str]) -> str:
    if len(found[0]) > _LONGEST:
        return " ".join(_words(int(figure)).strip() for figure in found[0] if figure != ".")
    return _words(found[0])


def _ordinal(found: re.Match[str]) -> str:
    return _words(_engine().ordinal(int(found[1])))


def _year(found: re.Match[str]) -> str:
    century, rest = divmod(int(found[1]), 100)
    if rest == 0:
        return f"{_words(century)}hundred "
    return f"{_words(century)}{'oh ' if rest < 10 else ''}{_words(rest).strip()} "


def _clock(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    if minute == 0:
        return _words(hour)
    return f"{_words(hour)}{'oh ' if minute < 10 else ''}{_words(minute).strip()} "


def _money(found: re.Match[str]) -> str:
    one, many = _CURRENCIES[found[1]]
    whole, rest = int(found[2]), int(found[3] or 0)
    said = f"{_words(whole)}{one if whole == 1 else many}"
    return f"{said} {_words(rest)}" if rest else f"{said} "


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (_MONEY, _money),
    (_CLOCK, _clock),
    (_ORDINAL, _ordinal),
    (_YEAR, _year),
)
