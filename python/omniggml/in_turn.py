"""Several spans of a text spoken one after another as one speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from omniggml.audio import Audio
from omniggml.segments import Segment
from omniggml.text.spans import SpansInTurn
from omniggml.text.ssml import Passage

FloatArray = npt.NDArray[np.float32]

_QUIET = 10 ** (-35 / 20)
_WINDOW = 0.01  # seconds
_LOOKED_AT = 2.0  # seconds: no pause is longer than what is looked at


@dataclass(frozen=True)
class Planned:
    """A span that is to be spoken: `text` as it was written, the `tokens` that are said, seconds of silence behind."""

    text: str
    tokens: list[int]
    pause: float


class WithPauses:
    """The spans of passages that say something; what says nothing can still be a pause. `encoded`: the tokens of a
    text; `check`: raises for too many."""

    def __init__(
        self,
        passages: Iterable[tuple[Passage, SpansInTurn]],
        encoded: Callable[[str], list[int]],
        check: Callable[[list[int]], None],
    ) -> None:
        self._passages, self._encoded, self._check = passages, encoded, check
        self._before: Planned | None = None

    @property
    def waiting(self) -> str:
        """The text of the one whose pause isn't known yet."""
        return "" if self._before is None else self._before.text

    def __iter__(self) -> Iterator[Planned]:
        for passage, spans in self._passages:
            for span in spans:
                pause = passage.pause if passage.pause is not None and not spans.more else span.pause
                tokens = self._encoded(span.text)
                self._check(tokens)
                before = self._before
                if tokens:
                    self._before = Planned(span.text.strip(), tokens, pause)
                    if before is not None:
                        yield before
                elif before is not None:
                    self._before = replace(before, pause=max(before.pause, pause))
        if self._before is not None:
            last, self._before = self._before, None
            yield last


class _Text(Protocol):
    @property
    def text(self) -> str: ...


SpanT = TypeVar("SpanT", bound=_Text)


class Plan(Generic[SpanT]):
    """The spans of a text, each planned when it is asked for: a long text is heard before all of it is looked at.

    `known`: those that are; `coming`: those behind them; `rest`: the text of those that were not asked for.
    """

    def __init__(
        self, known: list[SpanT], coming: Iterator[SpanT] | None = None, rest: Callable[[], str] = str
    ) -> None:
        self.known = known
        self._coming, self._rest = coming, rest

    def has(self, number: int) -> bool:
        """Whether there is such a span, from 0."""
        while len(self.known) <= number and self._coming is not None:
            span = next(self._coming, None)
            if span is None:
                self._coming = None
            else:
                self.known.append(span)
        return len(self.known) > number

    def __getitem__(self, number: int) -> SpanT:
        if not self.has(number):
            raise IndexError(number)
        return self.known[number]

    def all(self) -> list[SpanT]:
        """Every one of them, planned now."""
        while self.has(len(self.known)):
            pass
        return self.known

    def text_from(self, number: int) -> str:
        """What they say, from one of them on."""
        return " ".join(filter(None, [*(span.text.strip() for span in self.known[number:]), self._rest().strip()]))


Begin = Callable[[Planned, int | None], Iterator[Audio]]
"""Speaks a span of at most so many frames; what can't be spoken raises InputError at once."""


def spoken_in_turn(spans: Plan[Planned], begin: Begin, max_frames: int | None) -> Iterator[Audio]:
    """The pieces of all spans. The first span is begun now, the others when it is their turn.

    `max_frames` is for all together. The silence behind a span belongs to its last piece, which carries its segment.
    """
    return _pieces(spans, begin, begin(spans[0], max_frames), max_frames)


def _pieces(spans: Plan[Planned], begin: Begin, first: Iterator[Audio], left: int | None) -> Iterator[Audio]:
    joined = Joined()
    number = 0
    while spans.has(number):
        span = spans[number]
        number += 1
        for piece in first if number == 1 else begin(span, left):
            left = None if left is None else left - piece.codes.shape[1]
            yield joined.next(piece, span.text, span.pause, spans, number, stop=left is not None and left <= 0)
        # A speech that was interrupted raises KeyboardInterrupt behind its last piece, so it is always read to its end.
        if joined.over:
            return


class Joined:
    """The pieces of spans that are spoken one after another, as those of one speech."""

    def __init__(self) -> None:
        self.over = False
        self._start = self._end = 0
        self._reasons: set[str] = set()
        self._tail = _Tail()

    @property
    def reason(self) -> str:
        """Why all that was spoken so far ended."""
        return _reason(self._reasons, more=False)

    def next(
        self, piece: Audio, text: str, pause: float, spans: Plan[Any], behind: int, *, stop: bool = False
    ) -> Audio:
        """The next piece: of a span that says `text`, with seconds of silence behind it, before the spans from the
        `behind`-th on. `stop`: whether nothing more is to be spoken once the span has ended."""
        self._end += len(piece.samples)
        self._tail.add(piece)
        if not piece.stop_reason:
            return piece
        self._reasons.add(piece.stop_reason)
        more = spans.has(behind)
        self.over = not more or piece.stop_reason == "cancelled" or stop
        silence = 0 if self.over else self._tail.silence(pause)
        samples = np.concatenate([piece.samples, np.zeros(silence, np.float32)]) if silence else piece.samples
        segment = Segment(text, self._start, self._end, piece.stop_reason)
        self._start = self._end = self._end + silence
        self._tail = _Tail()
        return replace(
            piece,
            samples=samples,
            stop_reason=_reason(self._reasons, more) if self.over else "",
            segments=(segment,),
            missing=spans.text_from(behind) if self.over and more else "",
        )


def _reason(reasons: set[str], more: bool) -> str:
    if "cancelled" in reasons:
        return "cancelled"
    return "frame_limit" if more or "frame_limit" in reasons else min(reasons)


class _Tail:
    """The end of what was spoken, and the loudest sample of it all."""

    def __init__(self) -> None:
        self._samples = np.zeros(0, np.float32)
        self._peak = 0.0
        self._rate = 0

    def add(self, piece: Audio) -> None:
        self._rate = piece.sample_rate
        if len(piece.samples):
            self._peak = max(self._peak, float(np.abs(piece.samples).max()))
            self._samples = np.concatenate([self._samples, piece.samples])[-round(_LOOKED_AT * self._rate) :]

    def silence(self, pause: float) -> int:
        """Samples that are lacking to a pause of so many seconds."""
        wanted, window = round(pause * self._rate), max(1, round(_WINDOW * self._rate))
        loud = np.flatnonzero(np.abs(self._samples) > _QUIET * self._peak)
        quiet = len(self._samples) - 1 - int(loud[-1]) if len(loud) else len(self._samples)
        return max(0, wanted - quiet // window * window)
