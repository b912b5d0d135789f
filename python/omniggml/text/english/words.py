"""Words that are written otherwise than they are said: abbreviations, titles, Roman numerals, capitals."""

from __future__ import annotations

import re

from omniggml.text.english.abbreviations import ANYWHERE, ENDINGS, ROMAN_AFTER, RULERS, TITLES
from omniggml.text.english.acronyms import words_of_capitals
from omniggml.text.english.numbers import cardinal, ordinal, roman, year
from omniggml.text.english.rule import Rule, either, rule, said, stop
from omniggml.text.english.signs import EMOTICONS

_BEHIND_THE_FIRST = r"\W*$|[.,;:)']| (?:of|was|is|had|has|became|died|reigned|ruled|and|who)\b"


def _ending(found: re.Match[str]) -> str:
    # "St. James" is a saint, "James St." a street.
    word = ENDINGS[found[1]]
    if (
        found[1] == "St"
        and re.match(r"\s+[A-Z]", found.string[found.end() :])
        and not found.string[: found.start()].strip()
    ):
        return "saint"
    if found[1] == "St" and re.match(r"\s+[A-Z]", found.string[found.end() :]):
        before = re.search(r"([A-Za-z]+)\s*$", found.string[: found.start()])
        if before is None or not before[1][0].isupper():
            return "saint"
    return word + (stop(found) if found[0].endswith(".") else "")


def _roman(found: re.Match[str]) -> str:
    word, letters = found[1], found[2]
    value = roman(letters)
    if value is None:
        return found[0]
    if word.lower() in ROMAN_AFTER:
        return f"{word} {cardinal(value)}"
    if word.lower() in RULERS and (letters != "I" or re.match(_BEHIND_THE_FIRST, found.string[found.end() :])):
        return f"{word} the {ordinal(value)}"
    if len(letters) > 1 and word[0].isupper() and value < 40:
        return f"{word} {cardinal(value)}"
    return found[0]


def _romans(found: re.Match[str]) -> str:
    """From one to the other: such a dash tells, or the word before it."""
    values = roman(found[3]), roman(found[5])
    one = (found[2] or "").lower()
    if None in values or (found[4] == "-" and one not in ROMAN_AFTER and one.removesuffix("s") not in ROMAN_AFTER):
        return found[0]
    return f"{found[1] or ''}{cardinal(values[0] or 0)} to {cardinal(values[1] or 0)} "


def _roman_number(found: re.Match[str]) -> str:
    value = roman(found[0].upper())
    return found[0] if value is None else cardinal(value)


def _roman_year(found: re.Match[str]) -> str:
    value = roman(found[1])
    return found[0] if value is None else said(year(str(value)))


def _roman_century(found: re.Match[str]) -> str:
    value = roman(found[1])
    return found[0] if value is None else f"{ordinal(value)} century"


def _dotted_letters(found: re.Match[str]) -> str:
    # Behind these a capital is mostly a name: the U.S. Army.
    return said(*found[0].replace(".", "").lower()) + ("." if found.end() == len(found.string) else "")


def _initials(found: re.Match[str]) -> str:
    return said(*re.findall("[A-Z]", found[0])).lower()


FIXED: tuple[Rule, ...] = (
    rule(rf"(?<![^\s(])(?:{either(EMOTICONS)})(?=[\s.,;!?)]|$)", lambda found: f", {EMOTICONS[found[0]]}, "),
    rule(r"(?<![\w|])\|([^\s|](?:[^|]{0,40}[^\s|])?)\|(?![\w|])", lambda found: f" absolute value of {found[1]} "),
    rule(
        "[\u2016\u2225]([^\\s\u2016\u2225][^\u2016\u2225\\n]{0,40})[\u2016\u2225]",
        lambda found: f" norm of {found[1]} ",
    ),
    # What is known before what is asked for; between other words it is a bar.
    rule(r"\b([A-Z])\(([^()|\n]{1,30})\|([^()|\n]{1,30})\)", lambda found: f"{found[1]}({found[2]} given {found[3]})"),
    rule(r"(?<=[\w)])\|(?=[\w(])", "bar"),
    *(rule(pattern, words) for pattern, words in ANYWHERE.items()),
    rule(
        r"\b([A-Z]{1,3})&([A-Z]{1,3})('s)?\b",
        lambda found: said(" ".join(found[1].lower()), "and", " ".join(found[2].lower()) + (found[3] or "")),
    ),
    rule("(\u00b0[CF])\\s?/\\s?(?=\\d)", lambda found: f"{found[1]} slash "),
)

_LOUD_TITLES = {title.upper(): words for title, words in TITLES.items()}

RULES: tuple[Rule, ...] = (
    rule(rf"\b({either(_LOUD_TITLES)})\.(?=\s+[A-Z])", lambda found: _LOUD_TITLES[found[1]]),
    rule(rf"\b({either(TITLES)})\.(?=\s+(?:[A-Z]|and\b|&))", lambda found: TITLES[found[1]]),
    rule(r"\b(Dr|Mr|Mrs|Ms|Prof)(?=\s+[A-Z])", lambda found: TITLES[found[1]]),
    rule(r"\bSt(?=\s+[A-Z])", "saint"),
    rule(rf"\b({either(ENDINGS)})\.", _ending),
    rule(r"\b(([A-Za-z]+) )?([IVXLC]+)([-\u2013])([IVXLC]+)\b", _romans),
    rule(r"\b([A-Za-z]+) ([IVXLCDM]+)\b(?!'(?!s\b))", _roman),
    rule(r"^([IVX]+)(?=\. [A-Z])", _roman_number),
    rule(r"(?<=\bpage )([ivxlc]+)\b|(?<=\bpages )([ivxlc]+)\b", _roman_number),
    rule(r"\b(M[MDCLXVI]{3,})\b", _roman_year),
    rule(r"\b([IVX]+) century\b", _roman_century),
    rule(r"\b(?:[A-Za-z]\.){2,}", _dotted_letters),
    rule(r"\b(?:[A-Z]\. ){2,}(?=[A-Z])|^[A-HJ-Z]\. (?=[A-Z][a-z])", _initials),
    rule(r"\b([A-Z][a-z]+) ([A-Z])\.(?= [A-Z][a-z])", lambda found: f"{found[1]} {found[2].lower()}"),
    rule(r"\bI(?=,? (?:and |or |to )?II\b)", "one"),
    rule(r"(?<![A-Za-z_])([A-Z]{2,5})('?s|)(?![A-Za-z'])", words_of_capitals),
    # Names of files, options, and so on.
    rule(r"(?<=[A-Za-z0-9])\.(?=[a-z])|(?<![\w.)\]\"'!?])\.(?=[A-Za-z])", "dot"),
    rule(r":(?=\\)", "colon"),
)
