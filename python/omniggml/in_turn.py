"""Several spans of a text spoken one after another as one speech."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from omniggml.audio import Audio
from omniggml.segments import Segment

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


Begin = Callable[[Planned, int | None], Iterator[Audio]]
"""Speaks a span of at most so many frames; what can't be spoken raises InputError at once."""


def spoken_in_turn(spans: Sequence[Planned], begin: Begin, max_frames: int | None) -> Iterator[Audio]:
    """The pieces of all spans. The first span is begun now, the others when it is their turn.

    `max_frames` is for all together. The silence behind a span belongs to its last piece, which carries its segment.
    """
    return _pieces(spans, begin, begin(spans[0], max_frames), max_frames)


def _pieces(spans: Sequence[Planned], begin: Begin, first: Iterator[Audio], left: int | None) -> Iterator[Audio]:
    joined = Joined()
    for number, span in enumerate(spans):
        rest = spans[number + 1 :]
        for piece in begin(span, left) if number else first:
            left = None if left is None else left - piece.codes.shape[1]
            texts = [one.text for one in rest] if piece.stop_reason else []
            yield joined.next(piece, span.text, span.pause, texts, stop=left is not None and left <= 0)
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
        return _reason(self._reasons, [])

    def next(self, piece: Audio, text: str, pause: float, rest: Sequence[str], *, stop: bool = False) -> Audio:
        """The next piece: of a span that says `text`, with seconds of silence behind it, before the spans of `rest`.
        `stop`: whether nothing more is to be spoken once the span has ended."""
        self._end += len(piece.samples)
        self._tail.add(piece)
        if not piece.stop_reason:
            return piece
        self._reasons.add(piece.stop_reason)
        self.over = not rest or piece.stop_reason == "cancelled" or stop
        silence = 0 if self.over else self._tail.silence(pause)
        samples = np.concatenate([piece.samples, np.zeros(silence, np.float32)]) if silence else piece.samples
        segment = Segment(text, self._start, self._end, piece.stop_reason)
        self._start = self._end = self._end + silence
        self._tail = _Tail()
        return replace(
            piece,
            samples=samples,
            stop_reason=_reason(self._reasons, rest) if self.over else "",
            segments=(segment,),
            missing=" ".join(rest) if self.over else "",
        )


def _reason(reasons: set[str], rest: Sequence[str]) -> str:
    if "cancelled" in reasons:
        return "cancelled"
    return "frame_limit" if rest or "frame_limit" in reasons else min(reasons)


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
