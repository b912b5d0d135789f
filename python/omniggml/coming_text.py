"""A text that is still being written -> tokens that nothing that follows can change.

A tokenizer merges letters into tokens word by word, so the last word is held back until its end is seen. Where the
file wants figures and signs written out, what is written for a word may depend on its neighbours ("5 km", "March 3"),
so that only words of letters are given on, two words later, a paragraph's second line (which may be a verse, or a row)
is held back to the end of the paragraph, and a text with markup to its own.

A text that is too long for one go is spoken in spans of whole sentences, as `text/spans.py` puts them together: a
sentence that follows others in its span is given on once its end is seen, since it may not fit. Once a paragraph has
ended, what is lacking of it is what the whole has there, wherever that begins with what was given on.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omniggml.errors import InputError
from omniggml.settled_text import Settled, SettledLetters, SettledWords, space_before
from omniggml.text.spans import (
    LETTERS_SURELY_TOO_MANY,
    PAUSE_IN_SENTENCE,
    PAUSE_PARAGRAPH,
    PAUSE_SENTENCE,
    SpansInTurn,
    length_of,
    paragraph_behind,
    pieces_of,
    put_together,
    reads_apart,
    sentence_ends,
)
from omniggml.text.ssml import is_ssml

_PARAGRAPH = re.compile(r"\n\s*\n")
_SSML = re.compile("<speak", re.IGNORECASE)
_LETTERS_OF_SSML = 6


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
    """`encode`: the tokens of a text without markup as they are spoken. `longest`: of a span, in tokens. `split`: as in
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
        self._marks = [(0, 0)]  # letters of what they say, and the tokens that they are of
        self._text = ""  # of the last span and of what follows it
        self._pending: list[str] = []  # of what follows that, and changes nothing yet
        self._before: list[str] = []  # of its paragraph
        self._first = 0  # that paragraph's first span
        self._first_paragraph = True
        self._searched = 0  # letters of the text in which no paragraph ends
        self._settled = self._new_settled()
        self._finished = self._fed_text = False
        self._feeds = 0
        self._held_at: int | None = None  # the feed since which a sentence that is too long waits for its end
        self.spans = [ComingSpan()]

    def _new_settled(self) -> Settled:
        return SettledWords() if self._written_out and not self._ids else SettledLetters()

    def feed(self, text: str) -> None:
        """More of it. `spans` grow, the last of them or new ones behind it. Raises InputError for SSML."""
        self._fed_text = self._fed_text or bool(text)
        self._go_on_with(text)

    def _go_on_with(self, text: str) -> None:
        self._feeds += 1
        self._pending.append(text)
        if not self._settled.markup or not self.spans[0].tokens:
            self._refuse_ssml(text)
        if not self._settled.markup and self._settled.may_settle(text):
            self._take_pending()
            while self._take_one():
                pass

    def _take_pending(self) -> None:
        self._text += "".join(self._pending)
        self._pending = []

    def _refuse_ssml(self, bit: str) -> None:
        """Once the name of its root has come."""
        if self._ssml_is_text or len(self.spans) > 1 or self.spans[0].tokens or not re.search(r"[\s/>]", bit):
            return
        self._take_pending()
        if _SSML.search(self._text, max(0, len(self._text) - len(bit) - _LETTERS_OF_SSML)) and is_ssml(self._text):
            raise InputError("SSML can't be spoken while it is written: give the whole to `speak`, or ssml=False")

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
        if not self._ids and tokens:
            self._settled = SettledLetters()
        self._ids += tokens
        bit = self._decoded_rest()
        # A letter may take more tokens than have come.
        if not bit.endswith("\ufffd"):
            self._show(bit)

    def _decoded_rest(self) -> str:
        """What those say that came since whole letters did."""
        assert self._vocabulary is not None
        return self._vocabulary.decode(self._ids[self._marks[-1][1] :])

    def _show(self, bit: str) -> None:
        self._marks.append((self._marks[-1][0] + len(bit), len(self._ids)))
        self._go_on_with(bit)

    def finish(self) -> None:
        """No more follows."""
        self._finished = True
        if self._ids:
            self._show(self._decoded_rest())
            self._take_pending()
            while self._take_one():
                pass
        else:
            self._take_pending()
            self._end_paragraph(len(self._text))
        if self.spans[-1].pause is None:
            if len(self.spans) > 1 and not self.spans[-1].tokens:
                self.spans.pop()
            self.spans[-1].pause = 0.0

    @property
    def held_back(self) -> str:
        """What was fed and not given on."""
        return "".join([self._text, *self._pending])[len(self.spans[-1].text) :]

    # --- paragraphs that have ended: their spans are those of the whole ----------------------------------------------

    def _take_paragraph(self) -> bool:
        """The next one, if it has ended: what follows changes nothing about it. One with markup waits for the rest."""
        begin = max(self._searched, space_before(self._text))
        end = _PARAGRAPH.search(self._text, begin)
        if end is None or not paragraph_behind(self._text, end.start()):
            self._searched = max(begin, len(self._text.rstrip()) if end is None else end.start())
            return False
        settled = self._settled
        if self._written_out:
            settled.look(self._text[: end.start()])
        if settled.markup:
            return False
        behind = self._text[end.start() :].lstrip()
        self._end_paragraph(end.start())
        self._text, self._before, self._searched = behind, [], 0
        self._settled, self._first_paragraph = self._new_settled(), False
        self._first = len(self.spans) - 1
        return True

    def _end_paragraph(self, end: int) -> None:
        """The spans that are lacking of the paragraph to there, or of all paragraphs of a text that is finished."""
        plain = self._plain("".join([*self._before, self._text[:end]]))
        if not self._first_paragraph:
            plain = plain.strip()
        elif not self._finished:
            plain = plain.rstrip()
        if not self._completed_by(self._spans_of(plain)):
            self._complete(plain, end)
        if not self._finished and self.spans[-1].tokens:
            self.spans.append(ComingSpan())

    def _spans_of(self, plain: str) -> list[ComingSpan]:
        """Those that say something. What says nothing can make the silence before it longer."""
        found: list[ComingSpan] = []
        spans = SpansInTurn(plain, self._length, self._longest, self._split, self._said)
        for span in spans:
            pause = span.pause if self._finished or spans.more else PAUSE_PARAGRAPH
            tokens = self._encode(span.text)
            if tokens:
                found.append(ComingSpan(span.text, list(tokens), pause))
            else:
                self._lengthen_pause((found or self.spans[: self._first])[-1:], pause)
        return found

    def _lengthen_pause(self, before: list[ComingSpan], pause: float) -> None:
        for span in before:
            span.pause = max(span.pause or 0.0, pause)

    def _completed_by(self, spans: list[ComingSpan]) -> bool:
        """Takes these for the paragraph's, if what was given on of it is the beginning of that."""
        *ended, current = self.spans[self._first :]
        n = len(ended)
        begins = [span.tokens for span in spans[:n]] == [span.tokens for span in ended]
        following = spans[n].tokens if len(spans) > n else []
        if not begins or following[: len(current.tokens)] != current.tokens:
            return False
        for span, whole in zip(ended, spans, strict=False):
            span.text, span.pause = whole.text, whole.pause
        self._go_on_as(current, spans[n:])
        return True

    def _go_on_as(self, current: ComingSpan, spans: list[ComingSpan]) -> None:
        """`current` is the first of these, with what was given on of it."""
        if spans:
            current.tokens += spans[0].tokens[len(current.tokens) :]
            current.text, current.pause = spans[0].text, spans[0].pause
            self.spans += spans[1:]

    def _complete(self, plain: str, end: int) -> None:
        """Where what was given on begins otherwise than the whole: it is ended where it can be; the rest follows."""
        before, current = "".join(self._before).lstrip(), self.spans[-1]
        plain = plain.lstrip() if before else plain
        self._text = plain[len(before) :] if plain.startswith(before + current.text) else self._text[:end]
        if not current.tokens:
            self._go_on_as(current, self._spans_of(self._text.strip()))
            return
        cut, pause = self._end_of_current()
        self._give(cut, last=True)
        rest = self._spans_of(self._text[cut:].strip())
        current.pause = pause if rest else 0.0 if self._finished else PAUSE_PARAGRAPH
        self.spans += rest

    def _end_of_current(self) -> tuple[int, float]:
        """Where the last span ends best, and the silence behind it."""
        given, window = len(self.spans[-1].text), self._longest * LETTERS_SURELY_TOO_MANY
        best = 0
        ends = sentence_ends(self._text[:window])
        for end in ends:
            if not self._fits(end) or (best and self._split == "sentence"):
                break
            best = end
        if best >= given and best:
            return best, PAUSE_SENTENCE
        return self._cut(ends[0] if ends else given) or given, PAUSE_IN_SENTENCE

    # --- a paragraph that may go on ----------------------------------------------------------------------------------

    def _take_one(self) -> bool:
        """Gives on what can be; True where a span has ended and more follows it."""
        if not self._ids and self._split != "never" and self._take_paragraph():
            return True
        settled = len(self._text) if self._finished else self._settled.look(self._text)
        if self._settled.markup or not settled:
            return False
        if self._split == "never":
            self._give(settled)
            return False
        if not self.spans[-1].tokens and not self._ids:
            if self._may_be_joined() and self._waits():
                return False
            too_long = self._first_sentence()
            if too_long is not None:
                return bool(too_long) and self._cut_as_whole(too_long)
        window = min(len(self._text), self._longest * LETTERS_SURELY_TOO_MANY)
        ends = sentence_ends(self._text[:window])
        # The last may go on.
        ended = ends if self._finished and window == settled else ends[:-1]
        # What looked like one sentence while it came may be two: what was given on of the second isn't said again.
        given = len(self.spans[-1].text) if self.spans[-1].tokens else 0
        whole = [end for end in ended if given <= end <= settled]
        return self._take_sentences(whole) if whole else self._give_or_cut(min(settled, window))

    def _take_sentences(self, whole: list[int]) -> bool:
        fitting = whole[0]
        if not self._fits(fitting):
            return self._give_or_cut(fitting)
        for end in whole[1:]:
            if self._split == "sentence" or not self._fits(end):
                return self._end_span(fitting)
            fitting = end
        if self._finished and fitting == whole[-1]:
            # Of one span with the space behind it, as in the whole.
            self._give(len(self._text) if len(self.spans) == 1 else fitting)
            return False
        if self._split == "sentence":
            return self._end_span(fitting)
        self._give(fitting)
        return False

    def _first_sentence(self) -> int | None:
        """The end of the first sentence of what came, where that is too long for a span and nothing was given on of
        it; 0: it may be, and is waited for until more is fed; None: it isn't, or is waited for no longer."""
        come = self._text[: self._longest * LETTERS_SURELY_TOO_MANY + 1]
        if self._written_out:
            space = space_before(come)
            come = come[:space] + come[space:].partition("\n")[0]
        ends = sentence_ends(come)
        if self._length(come[: ends[0]] if ends else come) <= self._longest:
            return None
        if len(ends) > 1:
            return ends[0]
        return 0 if self._waits() else None

    def _may_be_joined(self) -> bool:
        """Whether a paragraph that is given as it is has other spaces between its sentences than the whole has once
        they are put together to spans."""
        if self._written_out or self._before:
            return False
        come = self._text[: self._longest * LETTERS_SURELY_TOO_MANY + 1]
        joined = self._split == "sentence" or self._length(come) > self._longest
        return joined and put_together(come) != come.rstrip()

    def _waits(self) -> bool:
        """Until more is fed: what came in one go is finished then."""
        if self._held_at is None:
            self._held_at = self._feeds
        return self._held_at == self._feeds

    def _encode(self, text: str) -> list[int]:
        if not self._ids:
            return self._encode_text(text)
        if len(self.spans) > 1:
            assert self._vocabulary is not None
            return self._vocabulary.encode(text)
        return self._ids[: self._marks[bisect_right(self._marks, len(text), key=lambda mark: mark[0]) - 1][1]]

    def _length(self, text: str) -> int:
        return length_of(text, self._encode, self._longest)

    def _fits(self, end: int) -> bool:
        return self._length(self._text[:end]) <= self._longest

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
        cut = self._cut(end)
        if cut:
            return self._end_span(cut, PAUSE_IN_SENTENCE)
        if self._finished:
            self._give(end)
        return False

    def _cut(self, end: int) -> int:
        """The last place before `end`, and behind what was given on, where the span is full and what is read together
        stays in one piece; 0: there is none."""
        given = max(1, len(self.spans[-1].text))
        cuts = [match.start() for match in re.finditer(r"\s+", self._text[:end]) if match.start() >= given]
        fitting = bisect_left(cuts, True, key=lambda cut: not self._fits(cut))
        for cut in reversed(cuts[:fitting]):
            if reads_apart(self._text[:cut], self._text[cut:end], self._said):
                return cut
        return 0

    def _cut_as_whole(self, end: int) -> bool:
        """A sentence that is too long for a span and of which nothing was given on: the pieces of `spans_of`."""
        pieces = pieces_of(self._text[:end].strip(), self._length, self._longest, self._said)
        spans = [ComingSpan(piece, list(tokens), 0.0) for piece in pieces if (tokens := self._encode(piece))]
        for span in spans:
            span.pause = PAUSE_IN_SENTENCE
        self._go_on_as(self.spans[-1], spans)
        return self._begin_span_behind(end)

    def _end_span(self, end: int, pause: float = PAUSE_SENTENCE) -> bool:
        self._give(end, last=True)
        return self._begin_span_behind(end, pause)

    def _begin_span_behind(self, end: int, pause: float = PAUSE_SENTENCE) -> bool:
        behind = self._text[end:].lstrip()
        dropped = len(self._text) - len(behind)
        self._before.append(self._text[:dropped])
        self._text = behind
        self._settled.drop(dropped)
        self._searched = max(0, self._searched - dropped)
        self._held_at = None
        if self.spans[-1].tokens:
            self.spans[-1].pause = pause
            self.spans.append(ComingSpan())
        else:
            # What says nothing is no span, as in the whole: the next has its place, and its silence is before it.
            self.spans[-1].text = ""
            self._lengthen_pause(self.spans[-2:-1], pause)
        return True
