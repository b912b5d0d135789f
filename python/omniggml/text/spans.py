"""A long text -> spans that a voice is good for, one after another, with the pauses between them.

Sentences are found by sentencex, which knows abbreviations, quotations and the marks of other scripts; here those of a
paragraph are put together up to the longest span, and what is longer than that is cut where it hurts least.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from omniggml.text.soundness import STUMBLES

PAUSE_IN_SENTENCE, PAUSE_SENTENCE, PAUSE_PARAGRAPH = 0.0, 0.4, 0.8
"""Seconds of silence between two spans; the silence with which a span ends counts."""

SPLITS = ("auto", "sentence", "never")
"""Ways to split: sentences put together up to the longest span; each sentence alone; not at all."""

LETTERS_SURELY_TOO_MANY, _SOME_LETTERS_A_TOKEN = 64, 8
"""Letters a token."""

_PARAGRAPHS = re.compile(r"\n\s*\n")
_SPACE = re.compile(r"\s*")
_SHORTENED = re.compile(
    r"\b(?:tbsp|tsp|oz|lbs?|ft|in|yd|mi|hrs?|mins?|secs?|pt|qt|gal|yrs?|wks?|approx|inc|ltd|co|corp|vs|est|dept)\.$",
    re.IGNORECASE,
)
_LONGEST_SHORTENED = 12
_LOOKED_AT = 4  # words on either side of a cut
_CLAUSES = re.compile(
    r"(?<=[,;:])\s+|(?<=[\u2014\uff0c\u3001\uff1b\uff1a\u060c])\s*|(?<!\s)\s+(?=(?:and|but|or|because|which|while|when|if|so|that)\s)"
)


@dataclass(frozen=True)
class Span:
    """`text` as it was written, and the seconds of silence behind it."""

    text: str
    pause: float


class SpansInTurn:
    """The spans of a text, each found when it is asked for: of at most `longest`, as `length` measures; longer ones
    only where a single character is. A paragraph that is short enough is one span, and so is every text where `split`
    is "never". `said`: what is said for a text: what is read together stays together, and what is too long even so is
    cut as it is said."""

    def __init__(
        self, text: str, length: Callable[[str], int], longest: int, split: str, said: Callable[[str], str] = str
    ) -> None:
        paragraphs = [paragraph.strip() for paragraph in _PARAGRAPHS.split(text) if paragraph.strip()]
        if split == "never" or len(paragraphs) < 2:
            paragraphs = [text]
        else:
            # With the space before the whole, which a text that is fed begins with, too.
            paragraphs[0] = text[: text.index(paragraphs[0][0])] + paragraphs[0]
        self._paragraphs = deque(paragraphs)
        self._lines: deque[str] = deque()  # of a paragraph that is too long
        self._pieces: deque[str] = deque()  # of lines that are one span, or of one that is too long
        self._length, self._longest, self._split, self._said = length, longest, split, said

    def __iter__(self) -> SpansInTurn:
        return self

    def __next__(self) -> Span:
        if not self._pieces and not self._lines and self._paragraphs:
            paragraph = self._paragraphs.popleft()
            if self._split == "never" or (self._split == "auto" and self._length(paragraph) <= self._longest):
                self._pieces.append(paragraph)
            else:
                self._lines.extend(_lines(paragraph))
        if not self._pieces and self._lines:
            self._pieces.extend(pieces_of(self._next_line(), self._length, self._longest, self._said))
        if not self._pieces:
            raise StopIteration
        text = self._pieces.popleft()
        if self._pieces:
            return Span(text, PAUSE_IN_SENTENCE)
        if self._lines:
            return Span(text, PAUSE_SENTENCE)
        return Span(text, PAUSE_PARAGRAPH if self._paragraphs else 0.0)

    @property
    def more(self) -> bool:
        """Whether there are more."""
        return bool(self._pieces or self._lines or self._paragraphs)

    def rest(self) -> str:
        """The text of those that weren't asked for."""
        return " ".join([*self._pieces, *self._lines, *self._paragraphs])

    def _next_line(self) -> str:
        """Neighbours joined while they fit."""
        joined = self._lines.popleft()
        while self._split == "auto" and self._lines:
            longer = f"{joined} {self._lines[0]}"
            if self._length(longer) > self._longest:
                break
            joined = longer
            self._lines.popleft()
        return joined


def length_of(text: str, encoded: Callable[[str], list[int]], longest: int) -> int:
    """Its tokens, or about as many where that it is too long is plain: tokens of a megabyte take seconds, and
    gigabytes."""
    known = len(text) <= longest * LETTERS_SURELY_TOO_MANY
    return len(encoded(text)) if known else max(longest + 1, len(text) // _SOME_LETTERS_A_TOKEN)


def pieces_of(sentence: str, length: Callable[[str], int], longest: int, said: Callable[[str], str]) -> list[str]:
    """A sentence, cut where it is too long for a span."""
    return [sentence] if length(sentence) <= longest else list(_pieces(sentence, length, longest, said))


def reads_apart(before: str, behind: str, said: Callable[[str], str]) -> bool:
    """Whether two parts say by themselves what they say together: "May 3" doesn't, cut in two."""
    left, right = " ".join(before.split()[-_LOOKED_AT:]), " ".join(behind.split()[:_LOOKED_AT])
    return _words(f"{said(left)} {said(right)}") == _words(said(f"{left} {right}"))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


def _lines(paragraph: str) -> list[str]:
    return [sentence for line in paragraph.split("\n") for sentence in sentences(line)]


def sentences(text: str) -> list[str]:
    """The sentences of one paragraph, without the space around them. The number of a list item stays with it."""
    found: list[str] = []
    number = ""
    for piece in _segments(text):
        piece = f"{number} {piece.strip()}".strip()
        number = ""
        if not piece:
            continue
        # "2." before a sentence, a closing quotation mark behind one.
        if re.fullmatch(r"\d{1,3}[.)]", piece):
            number = piece
        elif found and (not re.search(r"\w", piece) or _goes_on(found[-1], piece)):
            found[-1] += f" {piece}"
        else:
            found.append(piece)
    return [*found, number] if number else found


def _goes_on(sentence: str, piece: str) -> bool:
    """Behind these a full stop may be one of an abbreviation alone."""
    return _SHORTENED.search(sentence[-_LONGEST_SHORTENED:]) is not None and re.match(r"[a-z(]", piece) is not None


def _segments(text: str) -> list[str]:
    from sentencex import segment

    try:
        return list(segment("en", text))
    except STUMBLES:  # a text that a library stumbles over is one sentence
        return [text]


def put_together(paragraph: str) -> str:
    """As one span of sentences, whatever is between them."""
    return " ".join(_lines(paragraph))


def sentence_ends(text: str) -> list[int]:
    """Where the sentences of a text end, without the space behind them."""
    ends: list[int] = []
    at = 0
    for sentence in (part for line in _PARAGRAPHS.split(text) for part in _lines(line)):
        for word in sentence.split():
            at = text.index(word, at) + len(word)
        ends.append(at)
    return ends


def paragraph_behind(text: str, end: int) -> int:
    """Where the next paragraph begins, if one ends at `end`; else 0."""
    space = _SPACE.match(text, end)
    assert space is not None
    return space.end() if space.end() < len(text) and space[0].count("\n") > 1 else 0


def _pieces(sentence: str, length: Callable[[str], int], longest: int, said: Callable[[str], str]) -> Iterator[str]:
    """A sentence cut at clauses, those still too long between words, what is too long as written between the words
    that are said for it, and words too long for any span anywhere."""
    for clause in _even(_apart(_CLAUSES.split(sentence), said), length, longest):
        if length(clause) <= longest:
            yield clause
            continue
        for words in _even(_apart(clause.split(), said), length, longest):
            if length(words) <= longest:
                yield words
                continue
            for word in _even(said(words).split() or [words], length, longest):
                yield from _halves(word, length, longest)


def _apart(parts: list[str], said: Callable[[str], str]) -> list[str]:
    """Neighbours joined where only together they are read as in the whole."""
    joined: list[str] = []
    for at, part in enumerate(parts):
        # What follows as well: four groups of figures are the number of a card, two are years.
        before, behind = parts[max(0, at - _LOOKED_AT) : at], parts[at : at + _LOOKED_AT]
        if joined and not reads_apart(" ".join(before), " ".join(behind), said):
            joined[-1] += f" {part}"
        else:
            joined.append(part)
    return joined


def _even(parts: list[str], length: Callable[[str], int], longest: int) -> list[str]:
    """Neighbours joined to pieces of about one length: a last one of a single word sounds cut off."""
    lengths = [length(part) for part in parts]
    if not any(lengths):
        return [" ".join(parts)]  # nothing is said for it
    aim = sum(lengths) / -(-sum(lengths) // longest)
    joined: list[str] = []
    size = 0
    for part, own in zip(parts, lengths, strict=True):
        if joined and size + own / 2 <= aim and length(f"{joined[-1]} {part}") <= longest:
            joined[-1] += f" {part}"
            size += own
        else:
            joined.append(part)
            size = own
    return joined


def _halves(text: str, length: Callable[[str], int], longest: int) -> Iterator[str]:
    if length(text) <= longest or len(text) < 2:
        yield text
        return
    middle = len(text) // 2
    yield from _halves(text[:middle], length, longest)
    yield from _halves(text[middle:], length, longest)
