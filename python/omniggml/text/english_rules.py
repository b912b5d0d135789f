"""Which figures and signs in a text stand for what, and what is said for them: patterns, tried one after the other.

No rule's words hold a figure, a capital or a sign, so that no later rule takes them for its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from omniggml.text import english_signs as signs
from omniggml.text.english_numbers import (
    NUMBER,
    by_figures,
    cardinal,
    decade,
    fraction,
    ordinal,
    power,
    roman,
    year,
)

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _either(words: object) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))  # type: ignore[call-overload]


_CAPITAL_MONTHS = "|".join(rf"{name[:3]}(?:{name[3:]})?".capitalize() for name in signs.MONTHS)
_SMALL_MONTHS = "|".join(name for name in signs.MONTHS if name not in ("march", "may"))
_MONTH = rf"(?P<month>(?:Sept|{_CAPITAL_MONTHS})\b\.?|(?:{_SMALL_MONTHS}|{_SMALL_MONTHS.upper()})\b)"
_YEAR = r"(?:1[1-9]\d\d|20\d\d)"
_DASH = "[-\u2013\u2014]"
_MINUS = "[-\u2212]"
_SIGN = _either(sign for sign in signs.CURRENCIES if not sign.isalpha())
_CODE = _either(sign for sign in signs.CURRENCIES if sign.isalpha())
_MAGNITUDE = rf"(?:\s?(?P<magnitude>(?:thousand|million|billion|trillion)\b|(?:{_either(signs.MAGNITUDES)})\b))?"
_HALF_DAY = r"(?P<half>[aApP])\.?\s?[mM]\b(?P<dot>\.?)"


def _said(*words: str) -> str:
    return f" {' '.join(words)} "


def _stop(found: re.Match[str]) -> str:
    """The full stop of an abbreviation ends a sentence too, where the text or a capital follows."""
    rest = found.string[found.end() :]
    return "." if re.match(r"\s*$|\s+[\"'(]?[A-Z]", rest) else ""


# --- addresses --------------------------------------------------------------------------------------------------------


def _address(found: re.Match[str]) -> str:
    address = re.sub(r"^(?:https?|ftp)://|^mailto:", "", found[0], flags=re.IGNORECASE)
    kept = address.rstrip(".,;:!?'\")]")
    words = []
    for part in re.findall(r"\d+|[^\W\d_]+|.", kept.rstrip("/")):
        if part.isdecimal():
            words.append(cardinal(part) if len(part) < 4 else by_figures(part))
        elif part.lower() == "www":
            words.append("w w w")
        else:
            words.append(signs.IN_ADDRESSES.get(part, part.lower()))
    return _said(*words) + address[len(kept) :]


# --- dates ------------------------------------------------------------------------------------------------------------


def _month(name: str) -> str:
    return next(month for month in signs.MONTHS if month.startswith(name.lower().rstrip(".")[:3]))


def _iso_date(found: re.Match[str]) -> str:
    return _date(int(found["day"]), int(found["number"]), found["year"]) or found[0]


def _date(day: int, month: int, figures: str) -> str:
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return ""
    return _said(signs.MONTHS[month - 1], f"{ordinal(day)},", year(figures))


def _slashed_date(found: re.Match[str]) -> str:
    """Day or month first, where one of them is no month; else nobody knows, and the numbers are read."""
    one, other, figures = int(found[1]), int(found[3]), found[4]
    if found[2] == "." or one > 12:
        said = _date(one, other, figures)
    elif other > 12:
        said = _date(other, one, figures)
    else:
        said = ""
    return said or _said(f"{cardinal(one)},", f"{cardinal(other)},", year(figures))


def _month_day(found: re.Match[str]) -> str:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return found[0]
    figures = found["year"]
    return _said(_month(found["month"]), ordinal(day) + ("," if figures else ""), *([year(figures)] if figures else []))


def _day_month(found: re.Match[str]) -> str:
    day = int(found["day"])
    if not 1 <= day <= 31:
        return found[0]
    figures = found["year"]
    return _said(ordinal(day), "of", _month(found["month"]), *([year(figures)] if figures else []))


def _month_year(found: re.Match[str]) -> str:
    return _said(_month(found["month"]) + (found["comma"] or ""), year(found["year"]))


def _weekday(found: re.Match[str]) -> str:
    return next(day for day in signs.WEEKDAYS if day.startswith(found[1].lower())) + ","


def _era(found: re.Match[str]) -> str:
    figures = found[1]
    return _said(year(figures) if len(figures) == 4 else cardinal(figures), *found[2].replace(".", "").lower())


# --- telephones, versions ---------------------------------------------------------------------------------------------


def _telephone(found: re.Match[str]) -> str:
    return _said("plus" if found[0].startswith("+") else "", by_figures(found[0]))


def _vanity(found: re.Match[str]) -> str:
    """A number that spells a word."""
    words = [by_figures(part) if part.isdecimal() else part.lower() for part in re.findall(r"\d+|[A-Z]+", found[2])]
    return _said(f"{by_figures(found[1])},", *words)


def _version(found: re.Match[str]) -> str:
    return _said("version", " point ".join(map(cardinal, found[1].split("."))))


def _dotted(found: re.Match[str]) -> str:
    return _said(" point ".join(cardinal(str(int(part))) for part in found[0].split(".")))


# --- times ------------------------------------------------------------------------------------------------------------


def _clock(found: re.Match[str]) -> str:
    hour, minute, second, half = int(found["hour"]), int(found["minute"] or 0), found["second"], found["half"]
    if hour > 24 or minute > 59:
        return _said(cardinal(hour), "to", cardinal(found["minute"] or "0"))
    if second:
        return _said(f"{_counted(hour, 'hour')},", _counted(minute, "minute"), "and", _counted(int(second), "second"))
    return _said(_time(hour, minute, half)) + (_stop(found) if found["dot"] else "")


def _time(hour: int, minute: int, half: str | None) -> str:
    if minute:
        said = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half:
        said = cardinal(hour)
    else:
        said = f"{cardinal(hour)} hundred" if hour > 12 else f"{cardinal(hour)} o'clock"
    return f"{said} {half.lower()} m" if half else said


def _hours_and_minutes(found: re.Match[str]) -> str:
    return _said(_counted(int(found[1]), "hour"), _counted(int(found[2]), "minute"))


def _noon(found: re.Match[str]) -> str:
    return _said("twelve", found[1])


def _counted(value: int, unit: str) -> str:
    return f"{cardinal(value)} {unit}{'' if value == 1 else 's'}"


# --- money ------------------------------------------------------------------------------------------------------------


def _money(found: re.Match[str]) -> str:
    one, many, *_ = currency = signs.CURRENCIES[found["sign"]]
    if found["noun"]:
        return _said(cardinal(found["amount"]), one, found["noun"])
    if found["to"] or found["magnitude"]:
        size = found["magnitude"] or ""
        said = [cardinal(found["amount"]), *(["to", cardinal(found["to"])] if found["to"] else [])]
        return _per(found, _said(*said, signs.MAGNITUDES.get(size, size), many))
    return _per(found, _said(_amount(found["amount"], currency)))


def _per(found: re.Match[str], said: str) -> str:
    return f"{said}per {found['per']} " if found["per"] else said


def _amount(figures: str, currency: tuple[str, str, str, str]) -> str:
    one, many, cent, cents = currency
    whole, _, rest = figures.replace(",", "").partition(".")
    whole = whole or "0"
    if len(rest) != 2 or not cent:
        return f"{cardinal(figures)} {one if figures == '1' else many}"
    small = f"{cardinal(int(rest))} {cent if int(rest) == 1 else cents}"
    large = f"{cardinal(whole)} {one if whole == '1' else many}"
    if not int(rest):
        return large
    return f"{large} and {small}" if int(whole) else small


def _money_behind(found: re.Match[str]) -> str:
    figures = found["amount"]
    currency = signs.CURRENCIES[found["sign"]]
    size = found["magnitude"]
    if size:
        return _said(cardinal(figures), signs.MAGNITUDES.get(size, size), currency[1])
    return _said(_amount(figures, currency))


# --- units, fractions, numbers ----------------------------------------------------------------------------------------

_QUANTITY = rf"(?:\d+ )?\d+/\d+|{NUMBER}|\.\d+"


def _quantity(figures: str) -> str:
    top, slash, bottom = figures.rpartition("/")
    if not slash:
        return cardinal(figures)
    whole, space, top = top.rpartition(" ")
    return f"{cardinal(whole)} and {fraction(top, bottom)}" if space else fraction(top, bottom)


def _unit(found: re.Match[str]) -> str:
    one, many = signs.UNITS[found["unit"]]
    figures = found["amount"]
    single = figures == "1" or found["hyphen"] == "-" or ("/" in figures and " " not in figures)
    return _said(_quantity(figures), one if single else many)


def _feet_and_inches(found: re.Match[str]) -> str:
    return _said(cardinal(found[1]), "foot", cardinal(found[2]))


def _grade(found: re.Match[str]) -> str:
    return f"{found[1].lower()} minus"


def _square(found: re.Match[str]) -> str:
    one, many = signs.UNITS[found[0]]
    return _said(one if re.search(r"(?:\bper|\ba|/)\s*$", found.string[: found.start()]) else many)


def _inches(found: re.Match[str]) -> str:
    # Behind a figure within quotation marks it is the closing one.
    if found.string.count('"', 0, found.start()) % 2:
        return found[0]
    # Before a noun it is one: a fifteen inch screen.
    alone = found[1] != "1" and re.match(
        r"\s*(?:$|[^\w\s]|(?:or|and|to|of|long|wide|tall|high|deep)\b)", found.string[found.end() :]
    )
    return _said(cardinal(found[1]), "inches" if alone else "inch")


def _fraction(found: re.Match[str]) -> str:
    if found[1] is None and found[2] == found[3]:
        return _said(cardinal(found[2]), cardinal(found[3]))
    return _said(_quantity(found[0]))


def _scientific(found: re.Match[str]) -> str:
    return _said(cardinal(found[1]), "times ten", f"to the power of {_signed(found[2])}")


def _signed(figures: str) -> str:
    sign = "minus " if figures[0] in "-\u2212" else ""
    return sign + cardinal(figures.lstrip("+-\u2212"))


def _magnitude(found: re.Match[str]) -> str:
    return _said(cardinal(found[1]), {"k": "thousand", "M": "million", "bn": "billion"}[found[2]])


# --- words ------------------------------------------------------------------------------------------------------------


def _ending(found: re.Match[str]) -> str:
    # "St. James" is a saint, "James St." a street.
    word = signs.ENDINGS[found[1]]
    if (
        found[1] == "St"
        and re.match(r"\s+[A-Z]", found.string[found.end() :])
        and not found.string[: found.start()].strip()
    ):
        return "saint"
    if found[1] == "St" and re.match(r"\s+[A-Z]", found.string[found.end() :]):
        before = re.search(r"([A-Za-z]+)\W*$", found.string[: found.start()])
        if before is None or not before[1][0].isupper():
            return "saint"
    return word + (_stop(found) if found[0].endswith(".") else "")


def _roman(found: re.Match[str]) -> str:
    word, letters = found[1], found[2]
    value = roman(letters)
    if value is None:
        return found[0]
    if word.lower() in signs.ROMAN_AFTER:
        return f"{word} {cardinal(value)} "
    if word.lower() in signs.RULERS and (letters != "I" or re.match(r"\W*$|[.,;:)]| of ", found.string[found.end() :])):
        return f"{word} the {ordinal(value)} "
    if len(letters) > 1 and word[0].isupper() and value < 40:
        return f"{word} {cardinal(value)} "
    return found[0]


def _roman_century(found: re.Match[str]) -> str:
    value = roman(found[1])
    return found[0] if value is None else f"{ordinal(value)} century"


def _capitals(found: re.Match[str]) -> str:
    word = found[1]
    spelled = word in signs.LETTER_BY_LETTER or (2 <= len(word) <= 5 and not re.search("[AEIOUY]", word))
    # Among words of capitals alone nothing stands out.
    alone = re.search(r"[a-z]", found.string) or len(re.findall(r"[A-Z]{2,}", found.string)) == 1
    if not spelled or not alone:
        return found[0]
    return _said(*word.lower()) + (found[2] or "")


def _dotted_letters(found: re.Match[str]) -> str:
    # Behind these a capital is mostly a name: the U.S. Army.
    return _said(*found[0].replace(".", "").lower()) + ("." if found.end() == len(found.string) else "")


def _initials(found: re.Match[str]) -> str:
    return _said(*re.findall("[A-Z]", found[0])).lower()


def _constant(word: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f" {found.expand(word).lower()} "


def _rule(pattern: str, said: Callable[[re.Match[str]], str] | str, flags: int = 0) -> Rule:
    return re.compile(pattern, flags), _constant(said) if isinstance(said, str) else said


_TOP_LEVEL = "com|org|net|io|dev|edu|gov|info|co|uk|de|fr|eu|ai|app|ca|jp|ch|nl|se"
_UNITS = _either(signs.UNITS)
_ANY = re.IGNORECASE

RULES: tuple[Rule, ...] = (
    # Addresses, of which nothing else may take a part.
    _rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _address),
    _rule(r"(?:https?://|ftp://|mailto:|\bwww\.)[^\s<>\"]+", _address, _ANY),
    _rule(rf"(?<![\w.])(?:[\w-]+\.)+(?:{_TOP_LEVEL})\b(?:[:/][^\s<>\"]*)?(?!\.?\w)", _address, _ANY),
    _rule(r"\blocalhost:\d+[^\s<>\"]*", _address),
    *(_rule(pattern, said) for pattern, said in signs.ANYWHERE.items()),
    _rule(r"\b([A-Z]{1,3})&([A-Z]{1,3})\b", lambda found: _said(*found[1].lower(), "and", *found[2].lower())),
    # A decimal comma, where a unit or the points before it leave no doubt.
    _rule(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d\d)(?!\d)", lambda found: f"{found[1].replace('.', '')}.{found[2]}"),
    _rule(r"(?<![\d.,])(\d+),(\d{1,2})(?=\s?[%\u2030\u00b0\u20ac])", lambda found: f"{found[1]}.{found[2]}"),
    # Grades and variables: behind these a hyphen is a minus.
    _rule(r"(?<![\w'.-])([A-F])-(?=[\s.,;:!?)]|$)(?!\s*(?:,|and\b|or\b|to\b)\s*\w+-\w)", _grade),
    _rule(r"(?<![\w'.-])((?:\d+ ?)?[a-z])-(?=\d+(?![\w-]))", lambda found: f"{found[1]} minus "),
    _rule(r"(?<!\S)(-{1,2})(?=[A-Za-z])", lambda found: _said(*["dash"] * len(found[1]))),
    # Dates.
    _rule(rf"\b({'|'.join(day[:3] for day in signs.WEEKDAYS)})\.?,(?=\s+\d|\s+[A-Z])", _weekday, _ANY),
    _rule(r"(?<![\d-])(?P<year>\d{4})(?P<mark>[-/])(?P<number>\d\d)(?P=mark)(?P<day>\d\d)(?![\d-])", _iso_date),
    _rule(r"(?<![\d./])(\d{1,2})([./])(\d{1,2})\2(\d{4})(?![\d/])", _slashed_date),
    _rule(rf"\b{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,?\s+(?P<year>{_YEAR})\b)?(?!\s*%)", _month_day),
    _rule(rf"\b(?P<day>\d{{1,2}})\s+{_MONTH}(?:,?\s+(?P<year>{_YEAR})\b)?", _day_month),
    _rule(rf"\b{_MONTH}(?P<comma>,)?\s+(?P<year>{_YEAR})\b", _month_year),
    # Telephones and versions.
    _rule(r"\+\d[\d ().\u2010-\u2013-]{6,}\d", _telephone),
    _rule(r"(?<![\w-])((?:1-)?(?:8\d\d|900))-((?:[A-Z0-9]+-)*[A-Z0-9]*[A-Z][A-Z0-9-]*)(?![\w-])", _vanity),
    _rule(r"(?<![\d-])(?:1-)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\d-])", _telephone),
    _rule(r"(?<![\d-])\d{3}-(?!\d\d00)\d{4}(?![\d-])", _telephone),
    _rule(r"(?<![\d.,])0\d{1,4}(?:[ -]\d{3,4}){1,3}(?![\d.,])", _telephone),
    _rule(r"\b[vV](?:ersion )?(\d+(?:\.\d+)*)(?!\d)", _version),
    _rule(r"(?<![\d.])\d+(?:\.\d+){2,}(?!\.?\d)", _dotted),
    # Ranges: what stands between two figures is "to".
    _rule(rf"(?:(?<=[\d%])|(?<=\u00b0[CF])|(?<=[ap]m)|(?<=\d[kKM]))(?:{_DASH}|\s\u2013\s)(?=[$\u00a3\u20ac]?\d)", "to"),
    _rule(r"\b12:00\s+(noon|midnight)", _noon),
    _rule(rf"(?<![\d:.])(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?!\d)(?:\s?{_HALF_DAY})?", _clock),
    _rule(rf"(?<![\d:.,])(?P<hour>1?\d)(?P<minute>)(?P<second>)\s?{_HALF_DAY}", _clock),
    _rule(r"(?<=\d):(?=\d)", "to"),
    _rule(r"(?<![\w.])(\d+)\s?h\s?(\d+)(?:\s?m(?:in)?)?\b", _hours_and_minutes),
    # Powers, and signs before a figure.
    _rule(r"(?<=[\w)])\^\(?([-+\u2212]?\d+)\)?", lambda found: _said(power(found[1]))),
    _rule(r"(?<=\d)\s+[-\u2212]\s+(?=\d)|(?<=\d)\u2212(?=\d)", "minus"),
    _rule(rf"(?<![\w.)\]]){_MINUS}(?=\.?\d|[$\u00a3\u20ac\u00a5]\d)", "minus"),
    # Money.
    _rule(
        rf"(?P<sign>{_SIGN}|(?:{_CODE})(?=\s?\d))\s?(?P<amount>{NUMBER}|\.\d+)(?: to (?P<to>{NUMBER}))?"
        rf"(?!\d|/\d){_MAGNITUDE}(?:/(?P<per>[a-z]+))?(?: (?P<noun>bill|note|coin)\b)?",
        _money,
    ),
    _rule(rf"(?<![\d.])(?P<amount>{NUMBER}){_MAGNITUDE}\s?(?P<sign>{_SIGN}|(?:{_CODE})\b)(?!\d)", _money_behind),
    _rule(r"\$+", "dollars"),
    _rule(r"(?<![\w.)\]])[~\u2248]\s?(?=\d)", "about"),
    _rule(r"#(?=\d)", "number"),
    _rule(r"#(?=[^\W\d])", "hashtag"),
    _rule(rf"\b({_either(signs.BEFORE_FIGURES)})\.\s*(?=\d)", lambda found: f"{signs.BEFORE_FIGURES[found[1]]} "),
    _rule(r"(?<!\w)'?((?:1[1-9]|20)\d0|[2-9]0)'?s\b", lambda found: _said(decade(found[1]))),
    # Decades and quantities.
    _rule(rf"(?<![\w.])({NUMBER})[eE]([-+\u2212]?\d+)\b", _scientific),
    _rule(r"(?<![\w.])(\d+)'\s?(\d+)(?:\"|'')", _feet_and_inches),
    _rule(r"(?<![\w.])(\d+(?:\.\d+)?)\"", _inches),
    _rule(
        rf"(?<![\w./])(?P<amount>{_QUANTITY})(?P<hyphen>[ \u00a0\u202f-]?)(?P<unit>{_UNITS})(?![\w\u00b2\u00b3/])",
        _unit,
    ),
    _rule(r"(?<!\w)[kcm]?m[\u00b2\u00b3](?!\w)", _square),
    _rule(rf"(?<![\w.])({NUMBER})(k|M|bn)\b", _magnitude),
    _rule(r"(?<![\w.])(\d+)(?:[xX]|\u00d7)(?![\w\u00d7]|\s*\d)", lambda found: _said(cardinal(found[1]), "times")),
    _rule(r"(?<=\d)\s*[*\u00d7]\s*(?=\d)|(?<=\w) \* (?=\w)", "times"),
    _rule(r"(?<![\w./])(?:(\d+) )?(\d+)/(\d+)(?![\w/])", _fraction),
    # Ordinals and years.
    _rule(
        r"\b((?:\d{1,3}(?:,\d{3})+|\d{1,9}))(?:st|nd|rd|th)\b",
        lambda found: _said(ordinal(int(found[1].replace(",", "")))),
    ),
    _rule(r"\b(\d{1,4})\s?(AD|BCE|BC|CE|A\.D\.|B\.C\.)(?!\w)", _era),
    _rule(
        rf"\b((?:from|between)\s+)({_YEAR})(\s+(?:to|and)\s+)({_YEAR})\b",
        lambda found: f"{found[1]}{year(found[2])}{found[3]}{year(found[4])}",
        _ANY,
    ),
    _rule(
        rf"(?<![\w,.])({_YEAR})( +to +)({_YEAR})(?![\w,])", lambda found: f"{year(found[1])}{found[2]}{year(found[3])}"
    ),
    _rule(
        rf"(?<![\w,.])({_YEAR})( +to +)(\d\d)(?![\w,])", lambda found: f"{year(found[1])}{found[2]}{cardinal(found[3])}"
    ),
    _rule(
        rf"(?<=\bin )(1[1-9]\d\d|20[1-9]\d)(?![\w,]|\.\d)|(?<=\()({_YEAR})(?=\))", lambda found: _said(year(found[0]))
    ),
    _rule(
        r"\b((?:since|until|till|circa|year|early|late|mid)[ -])(1\d\d\d|20\d\d)(?![\w,]|\.\d)",
        lambda found: found[1] + year(found[2]),
        _ANY,
    ),
    _rule(rf"(?<=\u00a9 )({_YEAR})\b", lambda found: _said(year(found[0]))),
    # Words.
    _rule(rf"\b({_either(signs.TITLES)})\.(?=\s+(?:[A-Z]|and\b))", lambda found: signs.TITLES[found[1]]),
    _rule(r"\b(Dr|Mr|Mrs|Ms|Prof)(?=\s+[A-Z])", lambda found: signs.TITLES[found[1]]),
    _rule(r"\bSt(?=\s+[A-Z])", "saint"),
    _rule(rf"\b({_either(signs.ENDINGS)})\.", _ending),
    _rule(r"\b([A-Za-z]+) ([IVXLCDM]+)\b(?!')", _roman),
    _rule(r"\b([IVX]+) century\b", _roman_century),
    _rule(r"\b(?:[A-Za-z]\.){2,}", _dotted_letters),
    _rule(r"\b(?:[A-Z]\. ){2,}(?=[A-Z])|^[A-HJ-Z]\. (?=[A-Z][a-z])", _initials),
    _rule(r"\b([A-Z][a-z]+) ([A-Z])\.(?= [A-Z][a-z])", lambda found: f"{found[1]} {found[2].lower()}"),
    _rule(r"\b([A-Z]{2,5})(s?)(?![A-Za-z'])", _capitals),
    # Names of files, options, and so on.
    _rule(r"(?<=[A-Za-z0-9])\.(?=[a-z])|(?<![\w.)\]\"'!?])\.(?=[A-Za-z])", "dot"),
    _rule(r":(?=\\)", "colon"),
    _rule(r"<=|\u2264", "less than or equal to"),
    _rule(r">=|\u2265", "greater than or equal to"),
    _rule(r"!=", "is not equal to"),
    _rule(r"->|=>", "arrow"),
    # What is left of the figures.
    _rule(rf"(?<![\d.]){NUMBER}(?:\.(?=\D|$))?|\.\d+", lambda found: _number(found)),
    _rule(r"\d+", lambda found: _said(cardinal(found[0]))),
)
"""In the order in which they are tried."""


def _number(found: re.Match[str]) -> str:
    figures = found[0]
    return _said(cardinal(figures.rstrip("."))) + ("." if figures.endswith(".") else "")
