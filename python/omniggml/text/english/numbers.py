"""Numbers as they are said in English."""

from __future__ import annotations

import re

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
"""Figures, grouped by commas or not, with or without decimals."""

QUANTITY = rf"(?:\d+ )?\d+/\d+|{NUMBER}|\.\d+"
"""A number, or one with a fraction."""

_LONGEST = 18
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_THOUSANDS = (
    "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion",
    "octillion", "nonillion", "decillion",
)  # fmt: skip
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def cardinal(figures: str | int) -> str:
    """ "1,250.5" -> "one thousand, two hundred and fifty point five". A number that begins with zeros or is too long to
    be said is read figure by figure."""
    plain = str(figures).replace(",", "")
    if plain.startswith("."):
        plain = f"0{plain}"
    number = re.fullmatch(r"(-?)(0|[1-9]\d*)(\.\d*)?", plain, re.ASCII)
    if number is None or len(plain) > _LONGEST:
        return figure_by_figure(plain)
    sign, whole, decimals = number.groups("")
    return f"{'minus ' if sign else ''}{_in_words(int(whole))} {figure_by_figure(decimals)}".rstrip()


def ordinal(value: int) -> str:
    """3 -> "third"."""
    if value >= 1000 ** (len(_THOUSANDS) + 1):
        return f"number {figure_by_figure(str(value))}"
    before, space, last = _in_words(value).rpartition(" ")
    return before + space + (_ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"))


def figure_by_figure(figures: str) -> str:
    """ "1.50" -> "one point five zero": what can be said of any figures."""
    return " ".join("point" if figure == "." else _SMALL[int(figure)] for figure in figures if figure in "0123456789.")


def _in_words(value: int) -> str:
    """ "one million, two thousand and five": groups of three figures, "and" before what is below a hundred."""
    above, below = divmod(value, 100)
    if above == 0:
        return _below_a_hundred(below)
    groups = [f"{_SMALL[above % 10]} hundred"] if above % 10 else []
    above //= 10
    for name in _THOUSANDS:
        above, group = divmod(above, 1000)
        if group:
            groups.insert(0, f"{_in_words(group)} {name}")
    return ", ".join(groups) + (f" and {_below_a_hundred(below)}" if below else "")


def _below_a_hundred(value: int) -> str:
    if value < len(_SMALL):
        return _SMALL[value]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]} {_SMALL[ones]}" if ones else _TENS[tens]


def by_figures(figures: str) -> str:
    """ "0800 12" -> "zero eight zero zero, one two": groups are parted by whatever is no figure."""
    return ", ".join(figure_by_figure(group) for group in re.findall(r"\d+", figures))


def year(figures: str) -> str:
    """ "1984" -> "nineteen eighty four", "2005" -> "two thousand and five"."""
    century, rest = divmod(int(figures), 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(int(figures))
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(figures: str) -> str:
    """ "1990" -> "nineteen nineties", "80" -> "eighties", "2000" -> "two thousands"."""
    said = cardinal(int(figures)) if len(figures) < 4 else year(figures)
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


def fraction(top: str, bottom: str) -> str:
    """ "3", "4" -> "three quarters"; "10", "3" -> "ten over three"."""
    above, below = int(top), int(bottom)
    if not 1 < below <= 1000 or above >= below:
        return f"{cardinal(above)} over {cardinal(below)}"
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below).removeprefix("one ")
    if above == 1:
        return f"one {part}"
    return f"{cardinal(above)} {'halves' if below == 2 else f'{part}s'}"


def quantity(figures: str) -> str:
    """ "1 1/2" -> "one and one half", "1/2" -> "one half", "2.5" -> "two point five"."""
    top, slash, bottom = figures.rpartition("/")
    if not slash:
        return cardinal(figures)
    whole, space, top = top.rpartition(" ")
    return f"{cardinal(whole)} and {fraction(top, bottom)}" if space else fraction(top, bottom)


def power(exponent: str) -> str:
    """ "2" -> "squared", "-3" -> "to the power of minus three"."""
    short = {"2": "squared", "3": "cubed"}.get(exponent)
    if short:
        return short
    sign = "minus " if exponent[0] in "-\u2212" else ""
    return f"to the power of {sign}" + cardinal(exponent.lstrip("+-\u2212"))


def roman(letters: str) -> int | None:
    """ "XIV" -> 14; None where it is no Roman numeral."""
    if not letters or not _ROMAN.fullmatch(letters):
        return None
    values = [_ROMAN_VALUES[letter] for letter in letters]
    following = [*values[1:], 0]
    return sum(-one if one < other else one for one, other in zip(values, following, strict=True))
