"""Looking for the mistake, or the two, by which our vocoder makes their audio.

Each is tried on the first frames that show a difference; those that bring ours nearer are tried on more. A trial begins
in the stage where its mistake is, from what enters it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import Scoped, VocoderMirror

IntArray = npt.NDArray[np.int32]
Samples = npt.NDArray[np.float64]

_NOTHING = Scoped(())


@dataclass(frozen=True)
class Explanation:
    """`mistakes`, and the share of their energy that ours with them leaves over of theirs."""

    mistakes: tuple[PortMistake, ...]
    residual: float


class PortSearch:
    """`theirs`: their samples of `codes`; `floor`: the share that their sound file's rounding leaves over."""

    def __init__(
        self,
        mirror: VocoderMirror,
        codes: IntArray,
        theirs: Samples,
        floor: float,
        announce: Callable[[str], None],
    ) -> None:
        self.mirror, self.codes, self.theirs, self.floor = mirror, codes, theirs, floor
        self.announce = announce
        geometry = mirror.geometry
        self.per_frame = int(np.prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]]))
        self.tried = 0

    def run(self) -> list[Explanation]:
        """The best first: single mistakes, and pairs where none of these explains all. [] where nothing helps."""
        mistakes = self._affordable(list(port_mistakes(self.mirror)))
        self.announce(f"trying {len(mistakes)} changes of the vocoder, each on {self.few} frames")
        singles = self._search((), mistakes)
        if not singles or singles[0].residual <= self.explained:
            return singles
        found = list(singles)
        for first in singles[: bounds.BEST_SINGLES]:
            if not bounds.NEARER.below(first.residual / self.right):
                break
            self.announce(f"with {first.mistakes[0].clause}: looking for a second mistake")
            found += self._search(first.mistakes, mistakes)
            if min(e.residual for e in found) <= self.explained:
                break
        return sorted(found, key=lambda explanation: explanation.residual)

    @property
    def explained(self) -> float:
        """What a right engine of their sound file's precision would leave over."""
        return explained_residual(self.floor)

    @cached_property
    def right(self) -> float:
        """What ours without mistakes leaves over, on the frames of the last trials."""
        return self._residual((), self.many)

    @cached_property
    def few(self) -> int:
        """Frames of the first trials: so many that a difference shows well above the rounding."""
        for frames in range(bounds.FEWEST_FRAMES, self.many):
            residual = self._residual((), frames)
            if residual > bounds.SHOWS.value * max(self.floor, bounds.EXPLAINED_RESIDUAL.value):
                return frames
        return self.many

    @cached_property
    def many(self) -> int:
        """Frames of the last trials: beyond the window where that can be afforded."""
        window = self.mirror.geometry["sliding_window"]
        return int(min(self.codes.shape[1], max(bounds.TRIAL_FRAMES, min(window + 2, bounds.MOST_TRIAL_FRAMES))))

    def _affordable(self, mistakes: list[PortMistake]) -> list[PortMistake]:
        """As many as the budget has room for, classes and choices first, as they come."""
        values = sum(self.mirror.weight(f"{path}.conv.weight").size for path in self._convolutions())
        products = max(1.0, float(values) * self.few * math.sqrt(self.per_frame))
        return mistakes[: max(bounds.FEWEST_TRIALS, int(bounds.SEARCH_BUDGET / products))]

    def _convolutions(self) -> list[str]:
        decoder = range(1, 1 + len(self.mirror.geometry["upsample_rates"]))
        return [f"code2wav.decoder.{n}.block.{u}.conv1" for n in decoder for u in (2, 3, 4)]

    # --- trials -----------------------------------------------------------------------------------------------------

    def _search(self, base: tuple[PortMistake, ...], mistakes: Iterable[PortMistake]) -> list[Explanation]:
        """Those that with `base` come nearer than it alone, judged on many frames."""
        mirror, choices = with_mistakes(self.mirror, base)
        codes = _codes_of(base, self.codes)
        trial = _Trials(mirror, choices, codes, self.theirs, self.per_frame)
        before = trial.residual(None, self.few)
        nearer: list[tuple[float, PortMistake]] = []
        for number, mistake in enumerate(mistakes):
            if number and number % bounds.WORDS_EVERY == 0:
                self.announce(f"tried {number} changes of the vocoder")
            if mistake.reach > self.codes.shape[1]:
                continue
            frames = self._frames_of(mistake, max(self.few, min(mistake.reach + 1, self.many)))
            left = trial.residual(mistake, frames)
            self.tried += 1
            if (
                left <= self.explained
                and trial.residual(mistake, self._frames_of(mistake, self.many)) <= self.explained
            ):
                nearer = [(left, mistake)]
                break
            if left < bounds.WORTH_A_LOOK.value * (before if frames == self.few else trial.residual(None, frames)):
                nearer.append((left, mistake))
        nearer.sort(key=lambda entry: entry[0])
        found = [
            Explanation((*base, mistake), trial.residual(mistake, self._frames_of(mistake, self.many)))
            for _, mistake in nearer[: bounds.LOOKED_AT_AGAIN]
        ]
        return sorted(found, key=lambda explanation: explanation.residual)

    def _frames_of(self, mistake: PortMistake, frames: int) -> int:
        """On how many it is tried: all, where the first hang on the last."""
        return min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD) if mistake.looks_ahead else frames

    def _residual(self, mistakes: tuple[PortMistake, ...], frames: int) -> float:
        mirror, choices = with_mistakes(self.mirror, mistakes)
        trial = _Trials(mirror, choices, _codes_of(mistakes, self.codes), self.theirs, self.per_frame)
        return trial.residual(None, frames)


def explained_residual(floor: float) -> float:
    """What a right engine leaves over of a sound file that rounds `floor` away."""
    return max(bounds.FLOOR_TIMES.value * floor, bounds.EXPLAINED_RESIDUAL.value)


class _Trials:
    """Trials on one vocoder, which may have a mistake already; what enters each stage is kept."""

    def __init__(
        self, mirror: VocoderMirror, choices: Scoped, codes: IntArray, theirs: Samples, per_frame: int
    ) -> None:
        self.mirror, self.choices, self.codes, self.theirs, self.per_frame = mirror, choices, codes, theirs, per_frame
        self._entering: dict[int, list[npt.NDArray[np.generic]]] = {}
        self._plain: dict[int, float] = {}

    def residual(self, mistake: PortMistake | None, frames: int) -> float:
        """What it leaves over of theirs; infinite where it can't be computed."""
        if mistake is None:
            if frames not in self._plain:
                self._plain[frames] = self._against(self._samples(None, frames), frames)
            return self._plain[frames]
        try:
            samples = self._samples(mistake, frames)
        except (ValueError, IndexError):
            return math.inf  # shapes that don't fit: no port could compute it either
        return self._against(samples, frames) if samples is not None and np.isfinite(samples).all() else math.inf

    def _samples(self, mistake: PortMistake | None, frames: int) -> npt.NDArray[np.float32] | None:
        if mistake is None:
            return self.mirror(self.codes[:, :frames], self.choices)
        if mistake.codes is not None:
            return self.mirror(mistake.codes(self.codes)[:, :frames], self.choices)
        mirror, choices = self.mirror, mistake.choices + self.choices
        for misread in mistake.weights:
            changed = misread.applied(mirror.weight)
            if not changed:
                return None
            mirror = mirror.with_weights(changed)
        if frames not in self._entering:
            self._entering[frames] = list(self.mirror.entering(self.codes[:, :frames], self.choices))
        first = min(mirror.stage_of(path) for path in mistake.paths())
        return mirror.from_stage(first, self._entering[frames][first], choices)

    def _against(self, ours: npt.NDArray[np.float32] | None, frames: int) -> float:
        if ours is None or ours.size == 0:
            return math.inf
        nominal = min(len(self.theirs), self.per_frame * frames)
        theirs = self.theirs[:nominal] if frames == self.codes.shape[1] else self.theirs[: min(len(ours), nominal)]
        return match(theirs, ours, self.per_frame).residual


def with_mistakes(mirror: VocoderMirror, mistakes: tuple[PortMistake, ...]) -> tuple[VocoderMirror, Scoped]:
    """A vocoder with those weights misread, and those choices of modules."""
    choices = _NOTHING
    for mistake in mistakes:
        choices = choices + mistake.choices
        for misread in mistake.weights:
            mirror = mirror.with_weights(misread.applied(mirror.weight))
    return mirror, choices


def _codes_of(mistakes: tuple[PortMistake, ...], codes: IntArray) -> IntArray:
    for mistake in mistakes:
        if mistake.codes is not None:
            codes = np.ascontiguousarray(mistake.codes(codes))
    return codes
