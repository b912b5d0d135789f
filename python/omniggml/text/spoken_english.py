"""Any English text -> the lower-case words and few marks that a voice can be trained on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from omniggml.text.english.abbreviations import SHORTENED
from omniggml.text.english.acronyms import SMALL
from omniggml.text.english.raised import on_the_line, raised_figure
from omniggml.text.english.rule import either
from omniggml.text.english.rules import OF_LETTERS, RULES
from omniggml.text.english.signs import SIGNS
from omniggml.text.markup import without_markup
from omniggml.text.transliteration import said_for
from omniggml.text.written import Written

_KNOWN = re.compile(r"(?:[a-z']+[.,?!]? )*[a-z']+[.?!]?")
_OF_LETTERS = re.compile(r"[A-Za-z' .,?!\n]*")
_SPACE_IN_NUMBER = re.compile(
    r"(?<![\d.,])\d{1,3}(?:[\u00a0\u2009\u202f]\d{3})+(?!\d)|(?<![\d.,])\d{1,3}(?: \d{3})* 000(?!\d)"
    r"|(?<![\d.,+)])(?<![\d)] )\d{1,2}(?: \d{3}){2,}(?!\d| \d)"
    r"|(?<![\d.,])\d{1,3}(?: \d{3})+(?=,\d\d(?![\d,]))"
    "|(?<![\\d.,])(?<![\\d.,] )\\d{1,3} \\d{3}(?=\\s?[\u20ac\u20bd\u20b4])"
)
_MARKS = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc\u00b4`\u2032\uff07", "'")
    | dict.fromkeys('"\u201c\u201d\u00ab\u00bb\u201e\u201f\u2033', " ")
    | dict.fromkeys("\u2014\u2015;:()[]{}|", ", ")
    | dict.fromkeys("\u2022\u2023\u00b7\u2500\u2501\u2502\u2550", ", ")
    | {"\u2026": ". ", "\u3002": ". ", "\uff0e": ". ", "\uff0c": ", ", "\u3001": ", ", "\uff01": "! ", "\uff1f": "? "}
    | {
        "\u061f": "? ",
        "\u060c": ", ",
        "\u00bf": " ",
        "\u00a1": " ",
        "\u2013": " ",
        "-": " ",
        "\u2010": " ",
        "\u2011": " ",
    }
)
# A letter or sign with what stands over or through it: one character, where there is one.
_COMBINED = re.compile("(?s:.)[\u0300-\u036f]+")
# A variable with what no single character has: a mean, an estimate, a vector.
_MARKED = re.compile("(?<![^\\W\\d_])([A-Za-z\u03b1-\u03c9])([\u0302\u0303\u0304\u0305\u0307\u20d7])(?![^\\W\\d_])")
_OVER_IT = {
    "\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot", "\u20d7": "vector",
}  # fmt: skip
# Marks of numbers in other scripts.
_IN_FIGURES = str.maketrans({"\u066a": "%", "\u066b": ".", "\u066c": ",", "\u301c": "~", "\u2053": "~", "\u2012": "-"})
# The sign of a masculine ordinal where degrees are meant.
_ORDINAL_SIGN = re.compile(r"(?<=\d)(\s?)\u00ba(?=\s?[CF](?!\w)|\s?\d|\s*[.,;)]|\s*$)|(?<=\d)\s?\u02da")
_BEFORE_RULES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc\uff07", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2010\u2011\uff0d", "-")
    | {"\u2033": '"', "\u2032": "'", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2044": "/"}
    | {"\u2103": "\u00b0C", "\u2109": "\u00b0F", "\u2126": "\u03a9", "\u212b": "\u00c5"}
)
# What primes are behind a figure or a letter, before they become quotation marks.
_DEGREES = re.compile(r"(\d+)\s?\u00b0\s?(\d+)\s?['\u2032](?:\s?(\d+(?:\.\d+)?)\s?[\"\u2033])?")
_FEET = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\u2032(?!\s?\d)")
_PRIMES = re.compile("(?<=[^\\W\\d_])[\u2032-\u2034\u2057]|(?<=[)\\]])[\u2032-\u2034\u2057]")
_PRIME_NAMES = {"\u2032": "prime", "\u2033": "double prime", "\u2034": "triple prime", "\u2057": "quadruple prime"}
# A Greek letter by itself is a sign, and has a name; in a Greek word it is a letter.
_GREEK_WORD = re.compile("[\u0370-\u03ff\u1f00-\u1fff]{2}")
_GREEK_LETTER = re.compile("[\u0391-\u03a9\u03b1-\u03c9\u03d1\u03d5\u03f5]")
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_SHORTENED = re.compile(rf"\b(?:(vs|approx)\b\.?|(ok|etc|{either(SMALL)})\b(?!'[a-rt-z]))")
_LONG = SHORTENED | SMALL
_LONGEST_PIECE = 800
_RUN_OF_MARKS = re.compile(r"\s*([.,?!][\s.,?!]*)")


def spoken_text(text: str) -> str:
    """Write out figures and signs, lower the case, and leave only a to z, apostrophes and . , ? !

    Markdown and tags go, letters of other alphabets are transliterated. The result is empty when nothing can be said.
    """
    return write_out(plain_text(text)).text


def plain_text(text: str) -> str:
    """The text without markup: paragraphs with a blank line between, a line for each heading and list item."""
    return without_markup(text)


def write_out(plain: str) -> Written:
    """What is said for a text without markup, and which of its characters nothing is said for."""
    if _KNOWN.fullmatch(plain):
        return _settled(plain, "")
    written = [_in_ascii(_by_rules(_prepared(piece))) for piece in _pieces(_joined(plain))]
    return _settled(" ".join(said for said, _ in written), "".join(dict.fromkeys("".join(left for _, left in written))))


def _by_rules(text: str) -> str:
    only_letters = _OF_LETTERS.fullmatch(text)
    for rule in RULES:
        if not only_letters or rule in OF_LETTERS:
            text = rule.applied(text)
    return text.lower().translate(_MARKS)


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that no rule takes long for, whatever is in them: many rules look at all that is before or
    behind what they find, and take a step for each pair of letters. Cut behind lines, sentences or words."""
    at = 0
    while len(text) - at > _LONGEST_PIECE:
        ends = (text.rfind(mark, at, at + _LONGEST_PIECE) + len(mark) for mark in ("\n", ". ", " "))
        end = next((end for end in ends if end > at + _LONGEST_PIECE // 2), at + _LONGEST_PIECE)
        yield text[at:end]
        at = end
    yield text[at:]


def _joined(plain: str) -> str:
    """Lines as sentences of one text."""
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    ended = [line if line[-1] in ".,;:!?\u2026\u3002\uff01\uff1f" else f"{line}." for line in lines[:-1]]
    return "\n".join([*ended, *lines[-1:]])


def _prepared(text: str) -> str:
    """The same with one character for each figure and common mark, and without what stands for figures."""
    text = _COMBINED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text).translate(_IN_FIGURES)
    text = _MARKED.sub(lambda found: f"{found[1]} {_OVER_IT[found[2]]} ", text)
    text = _ORDINAL_SIGN.sub("\u00b0", text)
    text = _FLAGS.sub(lambda found: f", flag {found[0]}, ", text)
    text = _SPACE_IN_NUMBER.sub(_grouped, text)
    text = "".join(_figure(letter) for letter in on_the_line(text))
    text = _DEGREES.sub(_in_minutes, text)
    text = _FEET.sub(lambda found: f"{found[1]} {'foot' if found[1] == '1' else 'feet'} ", text)
    text = _PRIMES.sub(lambda found: f" {_PRIME_NAMES[found[0]]} ", text).translate(_BEFORE_RULES)
    if not _GREEK_WORD.search(text):
        text = _GREEK_LETTER.sub(_greek, text)
    return text


def _grouped(found: re.Match[str]) -> str:
    # With a decimal comma, by points, as where commas are decimal.
    mark = "." if re.match(r",\d\d?(?!\d)", found.string[found.end() :]) else ","
    return re.sub(r"\s", mark, found[0])


def _in_minutes(found: re.Match[str]) -> str:
    seconds = f" {found[3]} seconds" if found[3] else ""
    return f"{found[1]} degrees {found[2]} minutes{seconds} "


def _greek(found: re.Match[str]) -> str:
    """The letter's name; of units, the letter, which the rules know."""
    if found[0] in "\u03bc\u03a9" and re.search(r"\d\s?[kMGm\u00b5\u03bc]?$", found.string[: found.start()]):
        return found[0]
    name = unicodedata.name(unicodedata.normalize("NFKC", found[0])).split()[-1].lower()
    glued = "" if found.string[found.end() :].startswith(("-", "^", "/")) else " "
    return f" {'lambda' if name == 'lamda' else name}{glued}"


def _figure(letter: str) -> str:
    if letter.isascii():
        return letter
    if "\uff01" <= letter <= "\uff5e":
        return chr(ord(letter) - 0xFEE0)
    if "\ufe50" <= letter <= "\ufe6b":
        return unicodedata.normalize("NFKC", letter)
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    if 0x1D400 <= ord(letter) <= 0x1D7FF:  # letters and figures of mathematics
        return unicodedata.normalize("NFKC", letter)
    if unicodedata.category(letter) not in ("No", "Nl") or raised_figure(letter):
        return letter
    plain = unicodedata.normalize("NFKC", letter).replace("\u2044", "/")
    value = unicodedata.numeric(letter, 0.5)
    return f" {plain}" if "/" in plain else f" {int(value)} " if value.is_integer() else letter


def _in_ascii(text: str) -> tuple[str, str]:
    left_out: dict[str, None] = {}
    said = []
    for letter in text:
        if letter.isascii():
            said.append(f" {SIGNS[letter]} " if letter in SIGNS else letter)
            continue
        words = said_for(letter)
        if words is None:
            left_out[letter] = None
        said.append(" " if words is None else words)
    return "".join(said).lower(), "".join(left_out)


def _settled(text: str, left_out: str) -> Written:
    plain = re.sub(r"[^a-z'.,?!]+", " ", text)
    plain = _RUN_OF_MARKS.sub(_strongest, plain)
    plain = _SHORTENED.sub(lambda found: _LONG[found[1] or found[2]], plain)
    return Written(plain.rstrip(" ,'").lstrip(" .,?!'"), left_out)


def _strongest(found: re.Match[str]) -> str:
    ends = re.search(r"[.?!]", found[1])
    return f"{ends[0] if ends else ','} "
