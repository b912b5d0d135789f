"""How far a text that is still being written is settled: up to where nothing that follows changes its tokens.

Each letter is looked at once, however the text comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from typing import Protocol

WORDS_HELD_BACK = 2
"""So many words behind what is given on have come, where figures and signs are written out."""

_PLAIN_WORD = re.compile(r"[A-Za-z]?[a-z']*[a-z],?|I|A")
_MARKUP = re.compile(r"[^\w\s.,;:!?'\"()-]|_")
_CAPTIONS = re.compile(r"\s*WEBVTT\b")
# What a line's place on the page may mean: a list, or columns.
_ITEM = re.compile(r"\s*(?:[-+]|\d{1,3}[.)])\s")
_COLUMNS = re.compile(r"\t|[^\s.!?:] {2}")
_LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\S+")


class Settled(Protocol):
    """Of one paragraph. `markup`: whether it has any, which belongs to the whole text."""

    markup: bool

    def may_settle(self, bit: str) -> bool:
        """Whether more may be settled once `bit` has come."""

    def look(self, text: str) -> int:
        """Letters of `text` that are settled: what it was, and more behind it."""

    def drop(self, letters: int) -> None:
        """The text begins so many letters later now."""


class SettledLetters:
    """Where a text is given as it is: the last word may go on."""

    markup = False

    def __init__(self) -> None:
        self._at = 1
        self._settled = 0

    def may_settle(self, bit: str) -> bool:
        return any(_ends_words(letter) for letter in bit)

    def look(self, text: str) -> int:
        for at in range(self._at, len(text)):
            if _ends_words(text[at]) and _in_word(text[at - 1]):
                self._settled = at
        self._at = max(1, len(text))
        return self._settled

    def drop(self, letters: int) -> None:
        self._at, self._settled = max(1, self._at - letters), max(0, self._settled - letters)


class SettledWords:
    """Where figures and signs are written out: up to the last word of letters behind which as many as are held back are
    words of letters, too, all in the paragraph's first line, where that is no item and no row."""

    def __init__(self) -> None:
        self.markup = False
        self._seen = self._word = self._settled = 0
        self._begun = False  # whether what is dropped was the paragraph's beginning
        self._held = False  # to the paragraph's end
        self._ends: deque[int] = deque(maxlen=WORDS_HELD_BACK + 2)  # of neighbours that are of letters

    def may_settle(self, bit: str) -> bool:
        return re.search(r"[\s/>]", bit) is not None

    def look(self, text: str) -> int:
        seen, self._seen = self._seen, len(text)
        self.markup = self.markup or _MARKUP.search(text, seen) is not None
        if not self._begun:
            self.markup = self.markup or _CAPTIONS.match(text) is not None
            self._held = self._held or _ITEM.match(text) is not None
        if self.markup or self._held:
            return self._settled
        begin = max(self._word, space_before(text))
        line_end = _LINE_END.search(text, max(begin, seen))
        end = len(text) if line_end is None else line_end.start()
        self._held = line_end is not None and line_end.start() >= begin
        if _COLUMNS.search(text, max(begin, seen - 2), end):
            self._held = True
            return self._settled
        self._look_at_words(text, begin, end)
        return self._settled

    def _look_at_words(self, text: str, begin: int, end: int) -> None:
        words = list(_WORD.finditer(text, begin, end))
        for word in words[:-1]:  # the last one may go on
            if _PLAIN_WORD.fullmatch(word[0]):
                self._ends.append(word.end())
            else:
                self._ends.clear()
            if len(self._ends) == self._ends.maxlen:
                self._settled = self._ends[1]
        if words:
            self._word = words[-1].start()

    def drop(self, letters: int) -> None:
        self._begun = True
        self._seen, self._word = max(0, self._seen - letters), max(0, self._word - letters)
        self._settled = max(0, self._settled - letters)
        self._ends = deque((end - letters for end in self._ends), self._ends.maxlen)


def space_before(text: str) -> int:
    """Letters of white space that it begins with."""
    space = _SPACE.match(text)
    return space.end() if space else 0


def _in_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LN"


def _ends_words(letter: str) -> bool:
    # A mark may yet be composed with the letter before it.
    return unicodedata.category(letter)[0] not in "LNM"
