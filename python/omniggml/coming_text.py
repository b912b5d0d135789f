"""A text that is still being written -> tokens that nothing that follows can change.

A tokenizer merges letters into tokens word by word, so the last word is held back until its end is seen. Where the
file wants figures and signs written out, what is written for a word may depend on its neighbours ("5 km", "March 3"),
so that only words of letters are given on, two words later, a paragraph's second line (which may be a verse, or a row)
is held back to the end of the paragraph, and a text with markup to its own.

A text that is too long for one go is spoken in spans of whole sentences, as `text/spans.py` puts them together: a
sentence that follows others in its span is given on once its end is seen, since it may not fit. A paragraph that fits
into one span has the tokens of the whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omniggml.errors import InputError
from omniggml.text.spans import (
    PAUSE_IN_SENTENCE,
    PAUSE_PARAGRAPH,
    PAUSE_SENTENCE,
    paragraph_behind,
    pieces_of,
    reads_apart,
    sentence_ends,
)
from omniggml.text.ssml import is_ssml

WORDS_HELD_BACK = 2
"""So many words behind what is given on have come, where figures and signs are written out."""

_PLAIN_WORD = re.compile(r"[A-Za-z]?[a-z']*[a-z],?|I|A")
_MARKUP = re.compile(r"[^\w\s.,;:!?'\"()-]|_|^\s*WEBVTT\b")
# What a line's place on the page may mean: a list, or columns.
_LAYOUT = re.compile(r"\s*(?:[-+]|\d{1,3}[.)])\s|[^\n]*(?:\t|[^\s.!?:] {2})")
_PARAGRAPH = re.compile(r"\n\s*\n")


@dataclass
class ComingSpan:
    """What is spoken in one go: `text` as far as it was given on, its `tokens`; `pause`: seconds of silence behind it,
    None while more of it may come."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    pause: float | None = None


class Vocabulary(Protocol):
    """Text to tokens and back."""

    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, tokens: Sequence[int], /) -> str: ...


class ComingText:
    """`encode`: the tokens of a text as they are spoken. `longest`: of a span, in tokens. `split`: as in
    `SpeechOptions`. `written_out`: whether `encode` writes figures and signs out. `vocabulary`: for tokens that are fed
    in the place of text, as a language model writes them; the first span has them as they are.
    `plain` takes the markup out, `said` says what is said for a text without it. `ssml_is_text`: whether a <speak> root
    is text like any other."""

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        longest: int,
        split: str = "auto",
        *,
        written_out: bool = False,
        vocabulary: Vocabulary | None = None,
        plain: Callable[[str], str] = str,
        said: Callable[[str], str] = str,
        ssml_is_text: bool = False,
    ) -> None:
        self._encode_text, self._longest, self._split, self._written_out = encode, longest, split, written_out
        self._plain, self._said = plain, said
        self._vocabulary, self._ssml_is_text = vocabulary, ssml_is_text
        self.left_out: dict[str, None] = {}
        """Characters that there are no sounds for, as `encode` finds them."""
        self._ids: list[int] = []
        self._shown = ""  # what they say
        self._marks = [(0, 0)]  # letters of that, and the tokens that they are of
        self._text = ""  # of the last span and of what follows it
        self._read = 0  # letters of that whose lines were put in order, paragraph by paragraph
        self._finished = self._fed_text = False
        self.spans = [ComingSpan()]

    def feed(self, text: str) -> None:
        """More of it. `spans` grow, the last of them or new ones behind it. Raises InputError for SSML."""
        self._fed_text = self._fed_text or bool(text)
        self._go_on_with(text)

    def _go_on_with(self, text: str) -> None:
        self._text += text
        if not self._ssml_is_text and len(self.spans) == 1 and not self.spans[0].tokens and is_ssml(self._text):
            raise InputError("SSML can't be spoken while it is written: give the whole to `speak`, or ssml=False")
        self._go_on()

    @property
    def has_tokens(self) -> bool:
        """Whether it came as tokens."""
        return bool(self._ids)

    def checked_tokens(self, tokens: list[int]) -> list[int]:
        """Raises InputError for ids that there aren't, and where text was fed before."""
        assert self._vocabulary is not None
        if self._fed_text:
            raise InputError("this speech was fed text; tokens are for one of which nothing was fed as text")
        self._vocabulary.decode(tokens)
        return tokens

    def feed_tokens(self, tokens: Sequence[int]) -> None:
        """More of it as tokens, `checked_tokens`."""
        assert self._vocabulary is not None
        self._ids += tokens
        text = self._vocabulary.decode(self._ids)
        # A letter may take more tokens than have come.
        if not text.endswith("\ufffd") and text.startswith(self._shown):
            self._show(text)

    def _show(self, text: str) -> None:
        bit, self._shown = text.removeprefix(self._shown), text
        self._marks.append((len(text), len(self._ids)))
        self._go_on_with(bit)

    def finish(self) -> None:
        """No more follows."""
        self._finished = True
        if self._ids:
            assert self._vocabulary is not None
            self._show(self._vocabulary.decode(self._ids))
        else:
            self._take_markup_out()
        self._go_on()
        if self.spans[-1].pause is None:
            if len(self.spans) > 1 and not self.spans[-1].tokens:
                self.spans.pop()
            self.spans[-1].pause = 0.0

    def _take_markup_out(self) -> None:
        """Of the whole that was held back for it: what belongs together may be parted by the end of a span."""
        plain, given = self._plain(self._text), self.spans[-1].text
        if plain.startswith(given):
            self._text = plain

    @property
    def held_back(self) -> str:
        """What was fed and not given on."""
        return self._text[len(self.spans[-1].text) :]

    def _go_on(self) -> None:
        while self._take_one():
            pass

    def _take_paragraph(self) -> None:
        """The lines of one that has ended, as they are read: what follows changes nothing about it."""
        begin = len(self._text) - len(self._text.lstrip())
        end = _PARAGRAPH.search(self._text, max(begin, self._read))
        if end is None or self._read or not paragraph_behind(self._text, end.start()):
            return
        paragraph, given = self._text[: end.start()], self.spans[-1].text
        if _MARKUP.search(paragraph):
            return
        plain = self._plain(paragraph)
        if plain and plain.startswith(given):
            self._text, self._read = plain + self._text[end.start() :], len(plain)

    def _take_one(self) -> bool:
        """Gives on what can be; True where a span has ended and more follows it."""
        if self._written_out and not self._ids and self._split != "never":
            self._take_paragraph()
        settled = len(self._text) if self._finished else self._settled()
        if self._split == "never":
            self._give(settled)
            return False
        ends = sentence_ends(self._text[:settled])
        # The last may go on.
        whole = ends if self._finished or (ends and self._paragraph_behind(ends[-1])) else ends[:-1]
        if not whole:
            return self._give_or_cut(settled)
        fitting = whole[0]
        if not self._fits(fitting):
            return self._cut_as_whole(fitting) or self._give_or_cut(fitting)
        for end in whole[1:]:
            if self._split == "sentence" or self._paragraph_behind(fitting) or not self._fits(end):
                return self._end_span(fitting)
            fitting = end
        if self._paragraph_behind(fitting):
            return self._end_span(fitting)
        if self._finished:
            # Of one span with the space behind it, as in the whole.
            self._give(len(self._text) if len(self.spans) == 1 else fitting)
            return False
        if self._split == "sentence":
            return self._end_span(fitting)
        self._give(fitting)
        return False

    def _encode(self, text: str) -> list[int]:
        if not self._ids:
            return self._encode_text(text)
        if len(self.spans) > 1:
            assert self._vocabulary is not None
            return self._vocabulary.encode(text)
        return self._ids[: max(tokens for letters, tokens in self._marks if letters <= len(text))]

    def _paragraph_behind(self, end: int) -> bool:
        # A model that wrote its text itself is given it as it wrote it, where that fits.
        return not self._ids and paragraph_behind(self._text, end) > 0

    def _fits(self, end: int) -> bool:
        return len(self._encode(self._text[:end])) <= self._longest

    def _give(self, end: int, last: bool = False) -> None:
        span = self.spans[-1]
        if end <= len(span.text) and span.tokens:
            return
        tokens = self._encode(self._text[:end])
        # Whatever follows, what was spoken stays: a longer text begins with it, or waits until it does.
        if tokens[: len(span.tokens)] == span.tokens or self._finished or last:
            span.tokens += tokens[len(span.tokens) :]
            span.text = self._text[:end]

    def _give_or_cut(self, end: int) -> bool:
        """The beginning of a first sentence; where it is too long for any span it is cut between words."""
        if self._fits(end):
            self._give(end)
            return False
        cuts = [match.start() for match in re.finditer(r"\s+", self._text[:end]) if match.start()]
        given = len(self.spans[-1].text)
        # The last one that leaves what is read together in one piece.
        for cut in reversed([cut for cut in cuts if cut >= given]):
            if self._fits(cut) and reads_apart(self._text[:cut], self._text[cut:end], self._said):
                return self._end_span(cut, PAUSE_IN_SENTENCE)
        if self._finished:
            self._give(end)
        return False

    def _cut_as_whole(self, end: int) -> bool:
        """A sentence that is too long for a span and of which nothing was given on: the pieces of `spans_of`."""
        if self.spans[-1].tokens or self._ids:
            return False
        pieces = pieces_of(self._text[:end].strip(), lambda part: len(self._encode(part)), self._longest, self._said)
        spans = [ComingSpan(piece, tokens, PAUSE_IN_SENTENCE) for piece in pieces if (tokens := self._encode(piece))]
        if not spans:
            return False
        self.spans[-1].text, self.spans[-1].tokens, self.spans[-1].pause = (
            spans[0].text,
            spans[0].tokens,
            PAUSE_IN_SENTENCE,
        )
        self.spans += spans[1:]
        return self._begin_span_behind(end)

    def _end_span(self, end: int, pause: float | None = None) -> bool:
        self._give(end, last=True)
        return self._begin_span_behind(end, pause)

    def _begin_span_behind(self, end: int, pause: float | None = None) -> bool:
        behind = self._text[end:]
        space = behind[: len(behind) - len(behind.lstrip())]
        self._text = behind.lstrip()
        self._read = max(0, self._read - end - len(space))
        pause = pause if pause is not None else PAUSE_PARAGRAPH if _PARAGRAPH.search(space) else PAUSE_SENTENCE
        if self.spans[-1].tokens:
            self.spans[-1].pause = pause
            self.spans.append(ComingSpan())
        else:
            # What says nothing is no span, as in the whole: the next has its place, and its silence is before it.
            self.spans[-1].text = ""
            if len(self.spans) > 1:
                self.spans[-2].pause = max(self.spans[-2].pause or 0.0, pause)
        return True

    def _settled(self) -> int:
        """Up to where the tokens are those of any text that goes on from here."""
        text = self._text
        if self._written_out and not self._ids:
            return max(self._read, _settled_words(text))
        at = len(text) - 1
        while at > 0 and not (_in_word(text[at - 1]) and _ends_words(text[at])):
            at -= 1
        return max(0, at)


def _in_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LN"


def _ends_words(letter: str) -> bool:
    # A mark may yet be composed with the letter before it.
    return unicodedata.category(letter)[0] not in "LNM"


def _settled_words(text: str) -> int:
    """The end of the last word of letters behind which as many as are held back are words of letters, too."""
    if _MARKUP.search(text) or _LAYOUT.match(text):
        return 0
    text = text[: len(text) - len(text.lstrip())] + text.lstrip().partition("\n")[0]
    words = list(re.finditer(r"\S+", text))[:-1]  # the last one may go on
    for i in range(len(words) - WORDS_HELD_BACK - 1, 0, -1):
        around = words[i - 1 : i + 1 + WORDS_HELD_BACK]
        if all(_PLAIN_WORD.fullmatch(word[0]) for word in around):
            return words[i].end()
    return 0
