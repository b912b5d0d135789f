"""Looking for the mistake, or the two, by which our vocoder makes their audio.

Each is tried on a fifth of a frame, where theirs and ours differ most; those that bring ours nearer are tried on whole
frames. A trial begins in the stage where its mistake is, from what enters it, and computes what these samples see.
Mistakes come first that change their stage by about as much as theirs differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_grammar import PortMistake, full_names, port_mistakes
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
        self._alone: dict[int, float] = {}  # by a mistake's id: what it leaves over without any other
        geometry = mirror.geometry
        self.per_frame = int(np.prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]]))
        self.tried = 0

    def run(self) -> list[Explanation]:
        """The best first: single mistakes, and pairs where none of these explains all. [] where nothing helps.

        Where theirs is as near as an engine of another precision, only those are tried that change as little."""
        mistakes = self._affordable(list(port_mistakes(self.mirror)))
        self.announce(f"looking at {len(mistakes)} changes of the vocoder")
        near = not bounds.EXPLAINS.above(self.right)
        singles = self._search((), mistakes, bounds.NEAR_DECADES if near else math.inf)
        if not singles or singles[0].residual <= self.explained or near:
            return singles
        found = list(singles)
        for first in singles[: bounds.BEST_SINGLES]:
            if not bounds.NEARER.below(first.residual / self.right):
                break
            self.announce(f"with {first.mistakes[0].clause}: looking for a second mistake")
            found += self._search(first.mistakes, self._seconds(first, mistakes))
            if min(e.residual for e in found) <= self.explained:
                break
        return sorted(found, key=lambda explanation: explanation.residual)

    def _seconds(self, first: Explanation, mistakes: list[PortMistake]) -> list[PortMistake]:
        """Those whose effect without the first is about what that leaves
        over; those that came nearest alone come first."""
        observed, sizes = _decades(first.residual), self._right.sizes
        near = [
            mistake
            for mistake in mistakes
            if id(mistake) in sizes and abs(_decades(sizes[id(mistake)]) - observed) < bounds.NEAR_DECADES
        ]
        return sorted(near, key=lambda mistake: self._alone.get(id(mistake), math.inf))

    def glimpsed(self, mistake: PortMistake) -> float:
        """What it leaves over of theirs, where they differ most from ours."""
        return self._right.glimpsed(mistake)

    @cached_property
    def _right(self) -> _Trials:
        return self._trials(())

    @property
    def explained(self) -> float:
        """What a right engine of their sound file's precision would leave over."""
        return explained_residual(self.floor)

    @cached_property
    def right(self) -> float:
        """What ours without mistakes leaves over, on the frames of the last trials."""
        return self._right.residual(None, self.many)

    @cached_property
    def many(self) -> int:
        """Frames of the last trials: beyond the window where that can be afforded, and up to where theirs differs."""
        window = self.mirror.geometry["sliding_window"]
        frames = max(bounds.TRIAL_FRAMES, min(window + 2, bounds.MOST_TRIAL_FRAMES))
        few = int(min(self.codes.shape[1], frames))
        ours = self.mirror(self.codes[:, :few])
        left = match(self.theirs[: len(ours)], ours, self.per_frame).residual
        return few if left > self.explained else int(min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD))

    def _affordable(self, mistakes: list[PortMistake]) -> list[PortMistake]:
        """As many as the budget has room for, classes and choices first, as they come."""
        decoder = range(1, 1 + len(self.mirror.geometry["upsample_rates"]))
        units = [f"code2wav.decoder.{n}.block.{u}.conv1.conv.weight" for n in decoder for u in (2, 3, 4)]
        layers = [name for name in full_names(self.mirror) if ".pre_transformer.layers." in name]
        seen = bounds.SEEN_SAMPLES * sum(self.mirror.weight(name).size for name in units)
        frames = self.many * sum(self.mirror.weight(name).size for name in layers)
        return mistakes[: max(bounds.FEWEST_TRIALS, int(bounds.SEARCH_BUDGET / (seen + frames / 2)))]

    # --- trials -----------------------------------------------------------------------------------------------------

    def _search(
        self, base: tuple[PortMistake, ...], mistakes: Iterable[PortMistake], decades: float = math.inf
    ) -> list[Explanation]:
        """Those that with `base` come nearer than it alone, judged on many frames; see `likeliest_first`."""
        trials = self._trials(base) if base else self._right
        before = trials.glimpsed(None)
        nearer: list[tuple[float, PortMistake]] = []
        able = [mistake for mistake in mistakes if mistake.reach <= self.codes.shape[1]]
        for number, mistake in enumerate(able if base else trials.likeliest_first(able, decades)):
            if number % bounds.WORDS_EVERY == 0:
                self.announce(f"trying changes of the vocoder, from number {number + 1} on")
            left = trials.glimpsed(mistake)
            self.tried += 1
            if not base:
                self._alone[id(mistake)] = left
            if left <= self.explained and trials.residual(mistake, self._frames_of(mistake)) <= self.explained:
                nearer = [(left, mistake)]
                break
            if left < bounds.WORTH_A_LOOK.value * before:
                nearer.append((left, mistake))
        nearer.sort(key=lambda entry: entry[0])
        found = [
            Explanation((*base, mistake), trials.residual(mistake, self._frames_of(mistake)))
            for _, mistake in nearer[: bounds.LOOKED_AT_AGAIN]
        ]
        return sorted(found, key=lambda explanation: explanation.residual)

    def _frames_of(self, mistake: PortMistake) -> int:
        """On how many it is judged: all, where the first hang on the last."""
        frames = bounds.MOST_FRAMES_AHEAD if mistake.looks_ahead else max(self.many, mistake.reach + 1)
        return int(min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD, frames))

    def _trials(self, base: tuple[PortMistake, ...]) -> _Trials:
        mirror, choices = with_mistakes(self.mirror, base)
        codes = _codes_of(base, self.codes)
        return _Trials(mirror, choices, codes, self.theirs, self.per_frame, self.many, self.explained)


def explained_residual(floor: float) -> float:
    """What a right engine leaves over of a sound file that rounds `floor` away."""
    return max(bounds.FLOOR_TIMES.value * floor, bounds.EXPLAINED_RESIDUAL.value)


class _Trials:
    """Trials on one vocoder, which may have a mistake already; what enters each stage is kept. `many`: frames that are
    looked at for a place where theirs differs by more than `explained`, more if there is none."""

    def __init__(
        self,
        mirror: VocoderMirror,
        choices: Scoped,
        codes: IntArray,
        theirs: Samples,
        per_frame: int,
        many: int,
        explained: float,
    ) -> None:
        self.mirror, self.choices, self.codes, self.theirs, self.per_frame = mirror, choices, codes, theirs, per_frame
        self._entering: dict[int, list[npt.NDArray[np.generic]]] = {}
        self._plain: dict[int, Match] = {}
        self._noises: dict[int, float] = {}
        self.sizes: dict[int, float] = {}  # by a mistake's id: see `_expected`
        self._place = self._where_it_differs(many, explained)
        self._cone = Cone(mirror, choices, *self._place.span)
        frames = codes[:, : bounds.MOST_FRAMES_AHEAD]
        self._frames = list(mirror.entering(frames, choices, self._cone.convolutions + 1))
        seen = self._frames[-1][:, : self._cone.frames]
        self._seen = self._cone.entering(mirror, seen)

    def glimpsed(self, mistake: PortMistake | None) -> float:
        """What it leaves over of theirs at one place; infinite where it can't be computed."""
        try:
            samples = self._glimpse(mistake)
        except (ValueError, IndexError):
            return math.inf  # shapes that don't fit: no port could compute it either
        if samples is None or not np.isfinite(samples).all():
            return math.inf
        start, _ = self._place.span
        # Theirs may be late as a whole, or only ours without the mistake early.
        starts = {start, start + self._place.lag}
        return min(left_over(self.theirs[at : at + len(samples)], samples) for at in starts)

    def likeliest_first(self, mistakes: Iterable[PortMistake], decades: float) -> list[PortMistake]:
        """By how much their stage changes, and what that is at the end, beside what theirs differs by; as they come
        where that is alike, and without those that are so many orders of magnitude off."""
        observed = self.glimpsed(None)
        off = []
        for mistake in mistakes:
            size = self.sizes[id(mistake)] = self._expected(mistake)
            off.append((abs(_decades(size) - _decades(observed)), mistake))
        near = [(round(by / bounds.ALIKE_DECADES), mistake) for by, mistake in off if by < decades]
        return [mistake for _, mistake in sorted(near, key=lambda entry: entry[0])]

    def _expected(self, mistake: PortMistake) -> float:
        """The share of ours that it changes, roughly: by how much it changes its stage, times what noise there does.
        That of theirs where it can't be told so."""
        try:
            begun = self._begun(mistake)
            if begun is None:
                return 0.0
            cone, mirror, first, x = begun
            if mistake.codes is not None or not cone.sees_like(self._cone):
                return self.glimpsed(None)
            made = cone.made(mirror, first, x)
        except (ValueError, IndexError):
            return 0.0
        right = self._made_by(first)
        if first < cone.convolutions:
            right = right[:, : made.shape[1]] if first == cone.convolutions - 1 else right[: len(made)]
        return self._noise(first) * _changed(made, right) if made.shape == right.shape else 1.0

    def _made_by(self, stage: int) -> npt.NDArray[np.generic]:
        """What a stage makes without another mistake, where the cone looks."""
        if stage < self._cone.convolutions:
            return self._frames[stage + 1]
        seen = self._seen[stage - self._cone.convolutions]
        return self._cone.made(self.mirror, stage, seen)

    def _noise(self, stage: int) -> float:
        """By what the share of a stage's energy that is noise has to be multiplied to get that of the samples."""
        if stage not in self._noises:
            right = self._made_by(stage)
            right = right[: self._cone.frames] if stage < self._cone.convolutions - 1 else right
            draw = np.random.default_rng(stage).standard_normal(right.shape).astype(np.float32)
            size = np.sqrt(bounds.NOISE_TRIED * np.mean(np.square(right, dtype=np.float32)))
            noisy = self._cone.samples(self.mirror, stage + 1, right + size * draw)
            ours = self._cone.samples(self.mirror, stage + 1, right)
            self._noises[stage] = left_over(noisy.astype(np.float64), ours) / bounds.NOISE_TRIED
        return self._noises[stage]

    def _glimpse(self, mistake: PortMistake | None) -> npt.NDArray[np.float32] | None:
        if mistake is None:
            return self._cone.samples(self.mirror, len(self._cone.stages) - 1, self._seen[-1])
        begun = self._begun(mistake)
        if begun is None:
            return None
        cone, mirror, first, x = begun
        return cone.samples(mirror, first, x)

    def _begun(self, mistake: PortMistake) -> tuple[Cone, VocoderMirror, int, npt.NDArray[np.generic]] | None:
        """A vocoder with the mistake, the first stage that it concerns, and what enters that."""
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        cone = Cone(mirror, choices, *self._place.span) if mistake.choices.changes else self._cone
        if mistake.codes is not None:
            return cone, mirror, 0, np.asarray(mistake.codes(self.codes)[:, : cone.frames], np.int64)
        first = min(mirror.stage_of(path) for path in mistake.paths())
        if first > cone.convolutions and cone.sees_like(self._cone):
            return cone, mirror, first, self._seen[first - cone.convolutions]
        first = min(first, cone.convolutions)
        x = self._frames[first]
        if mistake.looks_ahead:
            return cone, mirror, first, x
        return cone, mirror, first, x[:, : cone.frames] if first in (0, cone.convolutions) else x[: cone.frames]

    def residual(self, mistake: PortMistake | None, frames: int) -> float:
        """What it leaves over of theirs in the first frames; infinite where it can't be computed."""
        if mistake is None:
            return self._without(frames).residual
        try:
            samples = self._samples(mistake, frames)
        except (ValueError, IndexError):
            return math.inf
        if samples is None or samples.size == 0 or not np.isfinite(samples).all():
            return math.inf
        return self._against(samples, frames).residual

    def _samples(self, mistake: PortMistake, frames: int) -> npt.NDArray[np.float32] | None:
        if mistake.codes is not None:
            return self.mirror(mistake.codes(self.codes)[:, :frames], self.choices)
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        if frames not in self._entering:
            self._entering[frames] = list(self.mirror.entering(self.codes[:, :frames], self.choices))
        first = min(mirror.stage_of(path) for path in mistake.paths())
        return mirror.from_stage(first, self._entering[frames][first], choices)

    def _made(self, mistake: PortMistake) -> tuple[VocoderMirror, Scoped] | None:
        """The vocoder with one more mistake; None where that changes nothing."""
        mirror = self.mirror
        for misread in mistake.weights:
            changed = misread.applied(mirror.weight)
            if not changed:
                return None
            mirror = mirror.with_weights(changed)
        return mirror, mistake.choices + self.choices

    # --- against theirs ---------------------------------------------------------------------------------------------

    def _without(self, frames: int) -> Match:
        if frames not in self._plain:
            self._plain[frames] = self._against(self.mirror(self.codes[:, :frames], self.choices), frames)
        return self._plain[frames]

    def _against(self, ours: npt.NDArray[np.float32], frames: int) -> Match:
        nominal = min(len(self.theirs), self.per_frame * frames)
        theirs = self.theirs[:nominal] if frames == self.codes.shape[1] else self.theirs[: min(len(ours), nominal)]
        return match(theirs, ours, self.per_frame)

    def _where_it_differs(self, many: int, explained: float) -> _Place:
        """Where theirs is loud and another than ours: on as few frames as show it."""
        frames = many
        while True:
            ours = self.mirror(self.codes[:, :frames], self.choices)
            found = self._plain[frames] = self._against(ours, frames)
            most = min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD)
            if frames == most or found.residual > explained:
                return _place(self.theirs, ours, found, max(bounds.GLIMPSE, self.per_frame // bounds.GLIMPSES_A_FRAME))
            frames = most


@dataclass(frozen=True)
class _Place:
    """Samples of ours that are looked at, and by how many theirs is late."""

    span: tuple[int, int]
    lag: int


def _place(theirs: Samples, ours: npt.NDArray[np.float32], found: Match, size: int) -> _Place:
    lag = found.lag if bounds.ALIGNED.above(abs(found.correlation)) else 0
    a, b = theirs[max(lag, 0) :], found.gain * ours[max(-lag, 0) :].astype(np.float64)
    n = min(len(a), len(b)) // size
    if n == 0:
        return _Place((0, len(ours)), lag)
    blocks, differences = (x[: n * size].reshape(n, size) for x in (a, a[: len(b)] - b[: len(a)]))
    told = np.minimum(np.square(blocks).sum(axis=1), np.square(differences).sum(axis=1))
    # What was cut at the limits tells less; what comes early takes less of the transformer.
    told = told * (np.abs(blocks) < bounds.FULL).mean(axis=1)
    first = int(np.flatnonzero(told >= bounds.TELLING.value * told.max())[0])
    start = first * size + max(-lag, 0)
    return _Place((start, start + size), lag)


def _changed(made: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> float:
    """The share of a stage's energy that is changed."""
    a, b = np.asarray(made, np.float32), np.asarray(right, np.float32)
    return float(np.square(a - b).sum()) / max(float(np.square(b).sum()), bounds.LEAST_SHARE)


def _decades(share: float) -> float:
    """On a logarithmic scale that ends where nothing is as it was."""
    return math.log10(min(max(share, bounds.LEAST_SHARE), bounds.ALL_CHANGED))


def left_over(theirs: Samples, ours: npt.NDArray[np.float32]) -> float:
    """The share of their energy that ours, times a factor and with a constant, leaves over."""
    n = min(len(theirs), len(ours))
    if n < bounds.LEAST_INSIDE:
        return math.inf
    a, b = theirs[:n] - theirs[:n].mean(), ours[:n].astype(np.float64)
    b -= b.mean()
    power, own = float(a @ a), float(b @ b)
    return max(0.0, 1 - float(a @ b) ** 2 / (power * own)) if power > 0 and own > 0 else 1.0


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
