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
    start, reasons = 0, set()
    for number, span in enumerate(spans):
        tail = _Tail()
        end, over = start, True
        for piece in begin(span, left) if number else first:
            end += len(piece.samples)
            tail.add(piece)
            left = None if left is None else left - piece.codes.shape[1]
            if not piece.stop_reason:
                yield piece
                continue
            reasons.add(piece.stop_reason)
            rest = spans[number + 1 :]
            over = not rest or piece.stop_reason == "cancelled" or (left is not None and left <= 0)
            silence = 0 if over else tail.silence(span.pause)
            if silence:
                samples = np.concatenate([piece.samples, np.zeros(silence, np.float32)])
                piece = replace(piece, samples=samples)
            yield replace(
                piece,
                stop_reason=_reason(reasons, rest) if over else "",
                segments=(Segment(span.text, start, end, piece.stop_reason),),
                missing=" ".join(one.text for one in rest) if over else "",
            )
            start = end + silence
        # A speech that was interrupted raises KeyboardInterrupt behind its last piece, so it is always read to its end.
        if over:
            return


def _reason(reasons: set[str], rest: Sequence[Planned]) -> str:
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
