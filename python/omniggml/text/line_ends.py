"""Which line ends are the text's, and which only the page's: a paragraph that was wrapped, a word that was hyphenated.

Nobody marks the difference. Lines that were wrapped are about as long as each other, since each ends where the next
word had no room, and most begin with a small letter. Verses, addresses and lists do neither.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator

_SHORT, _WIDE, _NARROW = 25, 60, 40  # letters of a line that may have been wrapped: at least; surely; between prose
_RAGGED, _VERY_RAGGED = 10, 30  # letters that had room on a line that was wrapped
_SMALL_STARTS = 0.3  # of the lines of prose
_ENDED = tuple(".,;:!?\u2026\u3002\uff01\uff1f\u2014")
_LONGEST_WORD = 80
_WORD_AND_HYPHEN = re.compile(r"[^\W\d_]{1,80}-")
_HYPHENATED = re.compile(r"([^\W\d_]+)[-\u2010\u00ad]$")
# Behind these, a hyphen at a line's end is one of the word.
_FIRST_PARTS = """
self well ill half high low long short ever cross all full part mid ex old new good hard soft great best first second
third one two three four five six seven eight nine ten twenty thirty forty fifty sixty seventy eighty ninety north
south east west left right so brother sister father mother son daughter vice editor commander light dark blue red green
time cost user year day week month hour state world large small free open end non
"""
_COMPOUNDS = frozenset(_FIRST_PARTS.split())
_COLUMNS = re.compile(r"(?<=[^\s.!?:;,]) {2,}(?=\S)|(?<=\S) {3,}(?=\S)|(?<=\S)[ ]*\t\s*(?=\S)")
_BETWEEN_CELLS = {",": re.compile(r",(?!(?<=\d,)\d{3}(?!\d))"), ";": re.compile(";")}  # 1,250 is a number
_DECIMAL = re.compile(r"(?<=\d),(?=\d+$)")  # where another mark is between cells
# A verse that begins so goes on with the sentence before it.
_GOES_ON = re.compile(
    r"(?:And|Or|But|Nor|Of|To|In|With|That|Which|Who|Whose|As|For|From|By|On|At|Into|Than|Where|When|Because)\b"
)
_UNENDED = re.compile(
    "\\d[-\u2013]$|(?<![\\d:])\\d{1,2}:$|[$\u00a3\u20ac\u20b9]\\d{1,3}(?:,\\d{3})*,$|(?<=[^-\u2013\\W] )[-\u2212]$"
)
_MORE_FIGURES = {
    **dict.fromkeys("-\u2013\u2212", re.compile(r"\d")),
    ":": re.compile(r"[0-5]\d(?!\d)"),
    ",": re.compile(r"\d{3}(?!\d)"),
}
"""What goes on behind a mark at a line's end."""
_PAGE = re.compile(r"\s*[-\u2013\u2014]\s?(\d{1,4})\s?[-\u2013\u2014]\s*")


def page_number(line: str) -> str:
    """ "- 12 -" -> "page 12"; "" for any other line."""
    found = _PAGE.fullmatch(line)
    return f"page {found[1]}" if found else ""


def cells(lines: list[str]) -> list[str] | None:
    """The lines of a table, its cells by commas; None where they are none: columns apart by tabs or spaces, or rows as
    spreadsheets write them."""
    apart = [_COLUMNS.search(line) is not None for line in lines]
    if any("\t" in line.strip() for line in lines) or sum(apart) > max(1, len(lines) // 2):
        return [", ".join(filter(None, map(str.strip, _COLUMNS.split(line)))) for line in lines]
    for mark in _BETWEEN_CELLS:
        rows = _rows(lines, mark)
        if rows is not None:
            return [", ".join(filter(None, (_DECIMAL.sub(".", cell.strip()) for cell in row))) for row in rows]
    return None


def _rows(lines: list[str], mark: str) -> list[list[str]] | None:
    if len(lines) < 2 or not all(map(_BETWEEN_CELLS[mark].search, lines)):
        return None
    try:
        rows = list(csv.reader(lines, delimiter=mark))
    except csv.Error:
        return None
    same = len(rows) == len(lines) and len({len(row) for row in rows}) == 1
    glued = all(not cell[:1].isspace() for row in rows for cell in row[1:])
    return rows if same and glued else None


def soft_ends(lines: list[str]) -> list[bool]:
    """Of each line but the last, whether the text goes on behind its end."""
    if len(lines) < 2:
        return []
    texts = [line.strip() for line in lines]
    width = max(map(len, texts))
    following = texts[1:]
    small = [text[0].islower() for text in following]
    # A mark at a line's end is a pause in any case, and tells nothing.
    telling = [n for n, text in enumerate(texts[:-1]) if not text.endswith(_ENDED)]
    prose = bool(telling) and sum(small[n] for n in telling) >= _SMALL_STARTS * len(telling)
    verse = all(small) and texts[0][0].islower() and width < _WIDE and not any(text.endswith(_ENDED) for text in texts)
    room = [width - len(text) - 1 - len(after.split()[0]) for text, after in zip(texts, following, strict=False)]
    even = (
        width >= _WIDE and all(room[n] < _RAGGED for n in telling) and len({text[:3] for text in texts}) == len(texts)
    )
    ends = []
    for n, after in enumerate(following):
        if verse or _indented(lines, n) or len(texts[n]) < _SHORT:
            ends.append(False)
        elif small[n]:
            ends.append(room[n] < _VERY_RAGGED)
        else:
            narrow = prose and width >= _NARROW and room[n] < _RAGGED
            ends.append((narrow or even) and (after[0].isalpha() or after[0] in "\"'(\u201c\u2018" or prose))
    return ends


def _indented(lines: list[str], n: int) -> bool:
    """Whether the next line begins elsewhere; the first of a paragraph may be indented alone."""
    one, other = (len(line) - len(line.lstrip()) for line in lines[n : n + 2])
    return other > one + 1 or (other < one - 1 and n > 0)


def joined(lines: list[str]) -> str:
    """Lines that go on in each other, as one: a word that was parted is whole again."""
    parts = lines[:1]
    for line, following in itertools.pairwise(lines):
        parts += _between(parts, line, following)
    return "".join(parts)


def _between(parts: list[str], line: str, following: str) -> list[str]:
    """What comes behind the parts; the hyphen at the end of the last of them may go."""
    word = _parted(line)
    if not word:
        return [following] if _in_a_number(line, following) else [" ", following]
    compound = word.lower() in _COMPOUNDS or line[: -len(word) - 1].endswith("-") or _WORD_AND_HYPHEN.match(following)
    if line.endswith("\u00ad") or (following[:1].islower() and not compound):
        parts[-1] = parts[-1][:-1]
    return [following]


def _parted(line: str) -> str:
    """The word whose hyphen ends the line, or ""."""
    found = _HYPHENATED.search(line[-_LONGEST_WORD:])
    return found[1] if found else ""


def _is_parted(line: str, following: str) -> bool:
    """Whether a word or a number goes on in the next line."""
    return (bool(_parted(line)) and following[:1].isalpha()) or _in_a_number(line, following)


def _in_a_number(line: str, following: str) -> bool:
    """Whether the line ends in a range, a time, an amount or behind a sign that goes on in the next."""
    return _UNENDED.search(line[-_LONGEST_WORD:]) is not None and _MORE_FIGURES[line[-1]].match(following) is not None


def with_ends(lines: list[str]) -> Iterator[str]:
    """Lines, those that go on in the next joined, each of the others with a mark that makes a pause."""
    ends = soft_ends(lines)
    texts = [line.strip() for line in lines]
    start = 0
    for n, soft in enumerate([*ends, False]):
        last = n == len(ends)
        if not last and (soft or _is_parted(texts[n], texts[n + 1])):
            continue
        whole = joined(texts[start : n + 1])
        start = n + 1
        if last or whole.endswith(_ENDED):
            yield whole
        else:
            goes_on = texts[n + 1][0].islower() or _GOES_ON.match(texts[n + 1])
            yield whole + ("," if goes_on else ".")
