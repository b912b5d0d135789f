"""Codes of a known text in pieces: which frame comes next, where the one that is given doesn't?

A frame that the model doesn't expect ends a piece. Then all given frames are asked whether they are what it expects,
as they are or with their groups in another order; if none is, the model goes on by itself for a while, and they are
asked again. So lost, doubled, exchanged and reversed pieces are put together as they were spoken, and what comes
between them from elsewhere is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from omniggml.doctor.counterfactuals import Arrangement
from omniggml.doctor.likelihood import expectation_of, likelihood_of, of_codes
from omniggml.doctor.thresholds import (
    LEFT_OVER,
    LONGEST_LOST,
    MISFIT_FRAME,
    MOST_JOINTS,
    RESUMED,
    SPLICES_TRIED,
)
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
Embed = Callable[[IntArray], FloatArray]

_LEAST = -60.0
_SEEDS = (1, 2)
_OWN = -1  # in place of a frame's number: the model said it


@dataclass(frozen=True)
class Assembly:
    """Given frames as they were spoken: `path`, the number of each, -1 for those that the model put between; `codes`
    [groups, frames] of these; `fits`: how many of them the model expects one after the other. `change`: what was done
    to the groups of frames from `changed` on, None where nothing was."""

    path: tuple[int, ...]
    codes: IntArray
    fits: int
    change: Arrangement | None = None
    changed: int = 0

    @property
    def lost(self) -> int:
        """Frames that the model put between others."""
        return self.path.count(_OWN)

    def runs(self) -> list[tuple[int, int]]:
        """First and last frame of each piece that goes on frame by frame, in order; (-1, n) for n lost ones."""
        found: list[tuple[int, int]] = []
        for number in self.path:
            if number == _OWN:
                lost = found and found[-1][0] == _OWN
                found[-1:] = [(_OWN, found[-1][1] + 1)] if lost else [*found[-1:], (_OWN, 1)]
            elif found and found[-1][0] != _OWN and number == found[-1][1] + 1:
                found[-1] = (found[-1][0], number)
            else:
                found.append((number, number))
        return found


class Assembler:
    """Puts `codes` [groups, frames] of a speech together again. `embed`: codes -> the sum of their input embeddings
    [frames, hidden], by which the model goes on from them. `changes`: what may have been done to the groups of each
    frame."""

    def __init__(
        self, model: Model, prompt: TalkerPrompt, codes: IntArray, embed: Embed, changes: Sequence[Arrangement]
    ) -> None:
        self.model, self.prompt, self.codes, self.embed = model, prompt, codes, embed
        self.changes = changes
        self.size = model.geometry["code2wav"]["codebook_size"]

    def assembled(self, fitting: int) -> Assembly | None:
        """The pieces, the first of which has `fitting` frames; None where what follows is nothing that is given."""
        one = self._forward(Assembly(tuple(range(fitting)), self.codes[:, :fitting], fitting))
        ended: Assembly | None = None
        for _ in range(MOST_JOINTS):
            if ended is None and self.codes.shape[1] - 1 in one.path:
                ended = one
            joined = self._joined(one) if self._left(one) else None
            if joined is None:
                break
            one = joined
        # What is put behind the end without using up the rest only sounds like an end.
        best = ended if ended is not None and LEFT_OVER.above(len(self._left(one))) else one
        return best if len(best.path) > fitting else None

    def thinned(self) -> Assembly | None:
        """Every other frame alone is given: with one of the model's own behind each they fit."""
        given = self.codes.shape[1]
        one = Assembly((0,), self.codes[:, :1], 1)
        for number in range(1, given):
            own = self._own(one, 1, drawn=False)[0]
            path, codes = (*one.path, _OWN, number), [one.codes, own, self.codes[:, number : number + 1]]
            one = Assembly(path, np.ascontiguousarray(np.concatenate(codes, axis=1)), number + 1)
            if number == RESUMED and not self._mostly(one):
                return None
        return one

    def _mostly(self, one: Assembly) -> bool:
        """Whether most given frames are what the model expects."""
        found = likelihood_of(self.model, self.prompt, one.codes)
        assert found.deficit is not None
        frames = found.deficit.mean(axis=0)[[number >= 0 for number in one.path]]
        return int((frames <= MISFIT_FRAME.value).sum()) * 2 > len(frames)

    def _left(self, one: Assembly) -> list[int]:
        used = set(one.path)
        return [number for number in range(self.codes.shape[1]) if number not in used]

    def _joined(self, one: Assembly) -> Assembly | None:
        """It with another piece, the longest that fits; with frames of the model's own between where none does."""
        left = self._left(one)
        if not one.path:
            return None
        for owns in ([one.codes[:, :0]], self._own(one)):
            tried = [self._forward(begun) for own in owns for begun in self._begun(one, left, own)]
            resumed = [each for each in tried if self._resumes(one, each)]
            if resumed:
                return max(resumed, key=lambda each: each.fits - one.fits - each.lost + one.lost)
        return None

    def _resumes(self, one: Assembly, other: Assembly) -> bool:
        gained = other.fits - one.fits - (other.lost - one.lost)
        return gained >= min(RESUMED, len(self._left(one))) if other.lost > one.lost else gained > 0

    def _begun(self, one: Assembly, left: Sequence[int], own: IntArray) -> Iterator[Assembly]:
        """Beginnings of the next piece, the likeliest; behind some of the model's `own` frames, where it has any."""
        lost = own.shape[1]
        states = self.model.talker_states(self.prompt, self._padded(np.concatenate([one.codes, own], axis=1)))
        candidates: list[tuple[int, Arrangement | None]] = [(number, None) for number in left]
        if one.change is None and not lost and left:
            candidates += [(left[0], change) for change in self.changes]
        frames = np.stack([self._changed(number, change or one.change) for number, change in candidates], axis=1)
        first, every = one.codes.shape[1], []
        for n in range(1 if lost else 0, own.shape[1] + 1):
            misfit = self._misfit(states.logits[first + n], states.hidden[first + n], frames)
            every += [(float(value), n, which) for which, value in enumerate(misfit) if value <= MISFIT_FRAME.value]
        for _, n, which in sorted(every)[:SPLICES_TRIED]:
            number, change = candidates[which]
            path = (*one.path, *[_OWN] * n, number)
            codes = np.concatenate([one.codes, own[:, :n], frames[:, which : which + 1]], axis=1)
            begun = replace(one, path=path, codes=codes, fits=one.fits + n + 1)
            yield begun if change is None else replace(begun, change=change, changed=number)

    def _changed(self, number: int, change: Arrangement | None) -> IntArray:
        frame = self.codes[:, number : number + 1]
        return np.asarray((frame if change is None else change.undo(frame))[:, 0], np.int32)

    def _padded(self, codes: IntArray) -> IntArray:
        """With a frame behind, whatever it is: what is expected in its place is asked."""
        return np.ascontiguousarray(np.concatenate([codes, self.codes[:, :1]], axis=1), np.int32)

    def _misfit(self, logits: FloatArray, hidden: FloatArray, frames: IntArray) -> FloatArray:
        """By how many nats a code of each frame [groups, n] is less likely than expected, in one place."""
        n = frames.shape[1]
        rest = self.model.predictor_logits(np.repeat(hidden[None], n, axis=0), np.ascontiguousarray(frames))
        own = np.repeat(logits[None, : self.size], n, axis=0)
        every = [own, *(rest[:, group] for group in range(rest.shape[1]))]
        deficits = [
            expectation_of(given)[0] - np.maximum(of_codes(given, codes), _LEAST)
            for given, codes in zip(every, frames, strict=True)
        ]
        return np.asarray(np.mean(deficits, axis=0))

    def _forward(self, one: Assembly) -> Assembly:
        """With the frames behind its last, as far as they fit."""
        used, last = set(one.path), one.path[-1] if one.path else -1
        more = []
        for number in range(last + 1, self.codes.shape[1]):
            if number in used:
                break
            more.append(number)
        if not more:
            return one
        behind = np.stack([self._changed(number, one.change) for number in more], axis=1)
        codes = np.ascontiguousarray(np.concatenate([one.codes, behind], axis=1))
        found = likelihood_of(self.model, self.prompt, codes)
        assert found.deficit is not None
        frames = found.deficit.mean(axis=0)[one.codes.shape[1] :]
        wrong = np.flatnonzero(frames > MISFIT_FRAME.value)
        n = int(wrong[0]) if len(wrong) else len(more)
        end = one.codes.shape[1] + n
        return replace(one, path=(*one.path, *more[:n]), codes=codes[:, :end], fits=one.fits + n)

    def _own(self, one: Assembly, n: int = LONGEST_LOST, *, drawn: bool = True) -> list[IntArray]:
        """How the model may go on: by the likeliest codes, and as it draws them."""
        before = one.codes.shape[1]
        given = self.embed(one.codes)
        text = [self.prompt.trailing[t] if t < len(self.prompt.trailing) else self.prompt.pad[0] for t in range(before)]
        inputs = np.concatenate([self.prompt.inputs, given + np.stack(text)]).astype(np.float32)
        prompt = TalkerPrompt(inputs, np.ascontiguousarray(self.prompt.trailing[before:]), self.prompt.pad)
        seeds = _SEEDS if drawn else ()
        likeliest = self.model.talker(prompt, max_frames=n, greedy=True)
        return [likeliest, *(self.model.talker(prompt, max_frames=n, seed=seed) for seed in seeds)]
