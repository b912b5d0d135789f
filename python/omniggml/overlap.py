"""The vocoder beside the talker: while one piece is vocoded in a thread of its own, the next is being spoken.

The talker waits for memory and the vocoder for arithmetic, so with threads enough both get on side by side, each with
its share of them. With two, the talker alone needs both (`docs/performance.md`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml import _native

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


THREADS_TO_OVERLAP = 4

_HEARD_SOON = 8
"""A first piece of so few frames is waited for."""


@dataclass(frozen=True)
class SpokenPiece:
    """`samples` of `codes` [groups, frames]; `stop_reason` is empty in all but the last."""

    samples: FloatArray
    codes: IntArray
    stop_reason: str


@dataclass(frozen=True)
class _Started:
    samples: Future[FloatArray]
    codes: IntArray
    stop_reason: str

    def piece(self) -> SpokenPiece:
        return SpokenPiece(self.samples.result(), self.codes, self.stop_reason)


def split_threads(n_threads: int) -> tuple[int, int]:
    """Threads of the talker and of the vocoder, both at least one."""
    return max(1, n_threads // 2), max(1, n_threads - n_threads // 2)


def at_once(function: Callable[[IntArray], FloatArray], codes: IntArray) -> Future[FloatArray]:
    """Its result, computed here and now."""
    done: Future[FloatArray] = Future()
    done.set_result(function(codes))
    return done


def beside(
    thread: ThreadPoolExecutor, function: Callable[[IntArray], FloatArray], codes: IntArray
) -> Future[FloatArray]:
    """Its result, computed in `thread`; here and now where the system has no thread to give."""
    try:
        return thread.submit(function, codes)
    except RuntimeError:
        return at_once(function, codes)


def pieces_in_turn(
    speech: _native.Speech, vocoder: _native.Code2WavSession, frames_a_piece: Iterator[int]
) -> Iterator[SpokenPiece]:
    """Speak a piece, vocode it, and so on."""
    while not speech.stop_reason:
        codes = speech.frames(next(frames_a_piece))
        yield SpokenPiece(vocoder.decode(codes), codes, speech.stop_reason)


def overlapped_pieces(
    speech: _native.Speech, vocoder: _native.Code2WavSession, frames_a_piece: Iterator[int]
) -> Iterator[SpokenPiece]:
    """The same pieces, each vocoded while later frames are spoken; a short first one at once, to be heard soon.

    After Ctrl-C what was spoken is still vocoded and yielded. `speech.frames` notes the signal; one that comes while
    the last pieces are waited for is raised after them.
    """
    started: deque[_Started] = deque()
    with ThreadPoolExecutor(1, "omniggml-vocoder") as thread:
        while not speech.stop_reason:
            frames = next(frames_a_piece)
            spoken: list[IntArray] = []
            while not speech.stop_reason and len(spoken) < frames:
                spoken.append(speech.frames(1))
                while started and started[0].samples.done():
                    yield started.popleft().piece()
            codes = np.concatenate(spoken, axis=1)
            started.append(_Started(beside(thread, vocoder.decode, codes), codes, speech.stop_reason))
            if frames <= _HEARD_SOON and speech.n_frames <= frames:
                yield from _finished(started)
        yield from _finished(started)


def _finished(started: deque[_Started]) -> Iterator[SpokenPiece]:
    interruption: KeyboardInterrupt | None = None
    while started:
        try:
            piece = started[0].piece()
        except KeyboardInterrupt as raised:
            interruption = raised
            continue
        started.popleft()
        yield piece
    if interruption is not None:
        raise interruption
