"""Frames of codes that come twice: each of them, a piece, or the last one for a while.

Codes are drawn, and what was said before is heard while they are: a voice that says a word again says other codes, and
a pause is three frames that are alike at most. Spans of a text are each spoken by itself, though: what is said again is
said code by code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor.thresholds import COPIED_FRAMES, EACH_TWICE, HELD_FRAMES

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Copies:
    """`frames`: the numbers of those that were there before; `sentence`: as people say it; `held`: it is the last one,
    for a while; `begins`: it is a piece that begins with the frame that the speech begins with."""

    frames: IntArray
    sentence: str
    held: bool = False
    begins: bool = False

    def without(self, codes: IntArray) -> IntArray:
        """The codes [groups, frames] without them."""
        return np.ascontiguousarray(np.delete(codes, self.frames, axis=1))


def copies(codes: IntArray) -> Copies | None:
    """What comes twice in codes [groups, frames]; None where nothing does, or all goes round and round."""
    return _each_twice(codes) or _held(codes) or _piece(codes)


def _each_twice(codes: IntArray) -> Copies | None:
    n = codes.shape[1] // 2
    pairs = (codes[:, : 2 * n : 2] == codes[:, 1 : 2 * n : 2]).all(axis=0)
    if n and EACH_TWICE.above(float(pairs.mean())):
        return Copies(np.arange(1, codes.shape[1], 2, dtype=np.int32), "each frame comes twice")
    return None


def _held(codes: IntArray) -> Copies | None:
    frames = codes.shape[1]
    other = np.flatnonzero((codes != codes[:, -1:]).any(axis=0))
    first = int(other[-1]) + 1 if len(other) else 0
    if not HELD_FRAMES.above(frames - first - 1):
        return None
    held = np.arange(first + 1, frames, dtype=np.int32)
    return Copies(held, f"the last frame, {first}, comes {len(held) + 1} times", held=True)


def _piece(codes: IntArray) -> Copies | None:
    """The longest that is said again at once, once."""
    found = max(_said_again(codes), default=None)
    if found is None:
        return None
    length, at = found
    again = np.arange(at + length, at + 2 * length, dtype=np.int32)
    sentence = f"frames {at} to {at + length - 1} come twice, one time behind the other"
    return Copies(again, sentence, begins=bool((codes[:, at] == codes[:, 0]).all()))


def says_again(text: str) -> bool:
    """Whether words come twice, one time behind the other."""
    words = re.findall(r"\w+", text.casefold())
    for length in range(1, len(words) // 2 + 1):
        run = 0
        for one, other in zip(words, words[length:], strict=False):
            run = run + 1 if one == other else 0
            if run == length:
                return True
    return False


def _said_again(codes: IntArray) -> Iterator[tuple[int, int]]:
    """Length and first frame of pieces that come again behind themselves, but no third time."""
    frames = codes.shape[1]
    for length in range(1, frames // 2 + 1):
        same = (codes[:, length:] == codes[:, :-length]).all(axis=0)
        edges = np.diff(np.concatenate([[False], same, [False]]).astype(np.int8))
        begins, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        for first, end in zip(begins, ends, strict=True):
            different = len(np.unique(codes[:, first : first + length], axis=1).T)
            if length <= end - first < 2 * length and COPIED_FRAMES.above(different):
                yield length, int(first)
