"""Looking for the mistake, or the two, by which our vocoder makes their audio.

Each is tried on a fifth of a frame, where theirs and ours differ most; those that bring ours nearer are tried on whole
frames. A trial begins in the stage where its mistake is, from what enters it, and computes what these samples see.
Mistakes come first that change their stage by about as much as theirs differs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.progress import Progress
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
        self.progress = Progress(announce)
        self._alone: dict[int, float] = {}  # by a mistake's id: what it leaves over without any other
        geometry = mirror.geometry
        self.per_frame = int(np.prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]]))
        self.tried = 0

    def run(self) -> list[Explanation]:
        """The best first: single mistakes, and pairs where none of these explains all. [] where nothing helps.

        Where theirs is as near as an engine of another precision, only those are tried that change as little."""
        every = list(port_mistakes(self.mirror))
        mistakes = self._affordable(every)
        self.progress.begins(f"looking at {len(mistakes)} changes of the vocoder")
        near = not bounds.EXPLAINS.above(self.right)
        singles = self._search((), mistakes, bounds.NEAR_DECADES if near else math.inf)
        if not singles or singles[0].residual <= self.explained or near:
            return singles
        return self._pairs(singles, mistakes, thorough=len(mistakes) == len(every))

    def _pairs(self, singles: list[Explanation], mistakes: list[PortMistake], thorough: bool) -> list[Explanation]:
        """With each of the best singles the seconds that came nearest alone, then with the very best all others, where
        that can be afforded: `thorough`."""
        found = list(singles)
        bases = self._bases(singles, mistakes)[: bounds.BASES_OF_PAIRS if thorough else bounds.BEST_SINGLES]
        likely = len(mistakes) // bounds.LIKELY_SECONDS
        rounds = [(base, slice(likely)) for base in bases]
        rest = [(base, slice(likely, None)) for base in bases[: bounds.BEST_SINGLES]] if thorough else []
        stands_out = len(bases) > 1 and bases[0].residual < bounds.DOMINATES * bases[1].residual
        rounds[1 if stands_out else len(rounds) :] = [*rest, *rounds[1:]] if stands_out else rest
        for base, some in rounds:
            self.progress.begins(f"with {base.mistakes[0].clause}: looking for a second mistake")
            found += self._search(base.mistakes, self._seconds(base, mistakes)[some])
            best = min(found, key=lambda explanation: explanation.residual)
            if best.residual <= self.explained:
                found += self._search(best.mistakes[1:], [one for one in mistakes if _rivals(one, best.mistakes[0])])
                break
        return sorted(found, key=lambda explanation: explanation.residual)

    def _bases(self, singles: list[Explanation], mistakes: list[PortMistake]) -> list[Explanation]:
        """From which pairs are looked for: those that come nearer, and of those made in all modules of a class that in
        each alone; one of those that make the same."""
        best = [single for single in singles if bounds.NEARER.below(single.residual / self.right)]
        known = {id(single.mistakes[0]) for single in singles}
        inside = (
            one
            for single in best[: bounds.BEST_SINGLES]
            for one in mistakes
            if id(one) not in known and _inside(one, single.mistakes[0])
        )
        best += [Explanation((one,), self._right.residual(one, self._frames_of((), one))) for one in inside]
        bases: list[Explanation] = []
        for single in sorted(best, key=lambda explanation: explanation.residual):
            if not any(math.isclose(single.residual, base.residual, rel_tol=bounds.SAME_RESIDUAL) for base in bases):
                bases.append(single)
        return bases

    def _seconds(self, first: Explanation, mistakes: list[PortMistake]) -> list[PortMistake]:
        """Those whose effect without the first is about what that leaves
        over; those that came nearest alone come first."""
        observed, sizes = _decades(first.residual), self._right.sizes
        # Of those whose effect isn't known none is left out.
        tried = [one for one in mistakes if id(one) in sizes]
        near = [one for one in tried if not abs(_decades(sizes[id(one)]) - observed) >= bounds.NEAR_SECONDS]
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
        weighed = self.progress.through(able, len(able), "weighing changes of the vocoder")
        likely = able if base else trials.likeliest_first(weighed, decades)
        for mistake in self.progress.through(likely, len(likely), "trying changes of the vocoder"):
            left = trials.glimpsed(mistake)
            self.tried += 1
            if not base:
                self._alone[id(mistake)] = left
            if left <= self.explained and trials.residual(mistake, self._frames_of(base, mistake)) <= self.explained:
                rivals = (other for other in able if other is not mistake and _rivals(other, mistake))
                good = [other for other in rivals if trials.glimpsed(other) <= self.explained]
                nearer = [(0.0, one) for one in (mistake, *good[: bounds.MOST_OTHERS])]
                break
            if left < bounds.WORTH_A_LOOK.value * before:
                nearer.append((left, mistake))
        nearest = self._looked_at(trials, nearer, len(able))[: bounds.LOOKED_AT_AGAIN]
        found = [
            Explanation((*base, mistake), trials.residual(mistake, self._frames_of(base, mistake)))
            for mistake in self.progress.through(nearest, len(nearest), "looking again at those that came nearest")
        ]
        return sorted(found, key=lambda explanation: explanation.residual)

    def _looked_at(self, trials: _Trials, nearer: list[tuple[float, PortMistake]], tried: int) -> list[PortMistake]:
        """Those that come nearest where few samples were looked at, by place after place, at each a third of them: of
        thousands many do well at one place by chance."""
        if len(nearer) < 2:
            return [mistake for _, mistake in nearer]
        for place in range(1, trials.n_places):
            most = max(bounds.LOOKED_AT_AGAIN, tried // (bounds.LOOKED_AT * bounds.FEWER ** (place - 1)))
            nearer = sorted(nearer, key=lambda entry: entry[0])[:most]
            words = f"looking at another place, number {place}"
            nearer = [
                ((place * left + trials.glimpsed(mistake, place)) / (place + 1), mistake)
                for left, mistake in self.progress.through(nearer, len(nearer), words)
            ]
        return [mistake for _, mistake in sorted(nearer, key=lambda entry: entry[0])]

    def _frames_of(self, base: tuple[PortMistake, ...], mistake: PortMistake) -> int:
        """On how many they are judged: all, where the first hang on the last."""
        ahead = any(one.looks_ahead for one in (*base, mistake))
        frames = bounds.MOST_FRAMES_AHEAD if ahead else max(self.many, mistake.reach + 1)
        return int(min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD, frames))

    def _trials(self, base: tuple[PortMistake, ...]) -> _Trials:
        mirror, choices = with_mistakes(self.mirror, base)
        codes = _codes_of(base, self.codes)
        ahead = any(mistake.looks_ahead for mistake in base)
        many = min(codes.shape[1], bounds.MOST_FRAMES_AHEAD) if ahead else self.many
        return _Trials(mirror, choices, codes, self.theirs, self.per_frame, many, self.explained, ahead)


def explained_residual(floor: float) -> float:
    """What a right engine leaves over of a sound file that rounds `floor` away."""
    return max(bounds.FLOOR_TIMES.value * floor, bounds.EXPLAINED_RESIDUAL.value)


class _Trials:
    """Trials on one vocoder, which may have a mistake already; what enters each stage is kept. `many`: frames that are
    looked at for a place where theirs differs by more than `explained`, more if there is none. `ahead`: whether the
    first frames hang on all that follow already."""

    def __init__(
        self,
        mirror: VocoderMirror,
        choices: Scoped,
        codes: IntArray,
        theirs: Samples,
        per_frame: int,
        many: int,
        explained: float,
        ahead: bool = False,
    ) -> None:
        self.ahead = ahead
        self.mirror, self.choices, self.codes, self.theirs, self.per_frame = mirror, choices, codes, theirs, per_frame
        self._entering: dict[int, list[npt.NDArray[np.generic]]] = {}
        self._plain: dict[int, Match] = {}
        self._noises: dict[int, float] = {}
        self.sizes: dict[int, float] = {}  # by a mistake's id: see `_expected`
        self._places = self._where_it_differs(many, explained)
        self._first = Cone(mirror, choices, *self._places.spans[0])
        frames = codes[:, : bounds.MOST_FRAMES_AHEAD]
        self._frames = list(mirror.entering(frames, choices, self._first.convolutions + 1))

    @property
    def n_places(self) -> int:
        """That are looked at."""
        return len(self._places.spans)

    def glimpsed(self, mistake: PortMistake | None, place: int = 0) -> float:
        """What it leaves over of theirs at one place; infinite where it can't be computed."""
        look = self._looks[place]
        try:
            samples = self._glimpse(look, mistake)
        except (ValueError, IndexError):
            return math.inf  # shapes that don't fit: no port could compute it either
        if samples is None or not np.isfinite(samples).all():
            return math.inf
        # Theirs may be late as a whole, or only ours without the mistake early.
        starts = {look.start, look.start + self._places.lag}
        return min(left_over(self.theirs[at : at + len(samples)], samples) for at in starts)

    @cached_property
    def _looks(self) -> list[_Look]:
        cones = [self._first, *(Cone(self.mirror, self.choices, *span) for span in self._places.spans[1:])]
        leaving = self._frames[-1]
        return [
            _Look(span, cone, cone.entering(self.mirror, leaving[:, : cone.frames]))
            for span, cone in zip(self._places.spans, cones, strict=True)
        ]

    def likeliest_first(self, mistakes: Iterable[PortMistake], decades: float) -> list[PortMistake]:
        """By how much their stage changes, and what that is at the end, beside what theirs differs by; as they come
        where that is alike, and without those that are so many orders of magnitude off."""
        observed = self.glimpsed(None)
        off = []
        for mistake in mistakes:
            size = self.sizes[id(mistake)] = self._expected(mistake)
            off.append((0.0 if math.isnan(size) else abs(_decades(size) - _decades(observed)), mistake))
        near = [(round(by / bounds.ALIKE_DECADES), mistake) for by, mistake in off if by < decades]
        return [mistake for _, mistake in sorted(near, key=lambda entry: entry[0])]

    def _expected(self, mistake: PortMistake) -> float:
        """The share of ours that it changes, roughly: by how much it changes its stage, times what noise there does.
        NaN where it can't be told so."""
        try:
            begun = self._begun(self._looks[0], mistake)
            if begun is None:
                return 0.0
            cone, mirror, first, x = begun
            if mistake.codes is not None or not cone.sees_like(self._first):
                return math.nan
            made = cone.made(mirror, first, x)
        except (ValueError, IndexError):
            return 0.0
        right = self._made_by(first)
        if first < cone.convolutions:
            right = right[:, : made.shape[1]] if first == cone.convolutions - 1 else right[: len(made)]
        return self._noise(first) * _changed(made, right) if made.shape == right.shape else 1.0

    def _made_by(self, stage: int) -> npt.NDArray[np.generic]:
        """What a stage makes without another mistake, where the cone looks."""
        if stage < self._first.convolutions:
            return self._frames[stage + 1]
        return self._first.made(self.mirror, stage, self._looks[0].entering(stage))

    def _noise(self, stage: int) -> float:
        """By what the share of a stage's energy that is noise has to be multiplied to get that of the samples."""
        if stage not in self._noises:
            right = self._made_by(stage)
            right = right[: self._first.frames] if stage < self._first.convolutions - 1 else right
            draw = np.random.default_rng(stage).standard_normal(right.shape).astype(np.float32)
            size = np.sqrt(bounds.NOISE_TRIED * np.mean(np.square(right, dtype=np.float32)))
            noisy = self._first.samples(self.mirror, stage + 1, right + size * draw)
            ours = self._first.samples(self.mirror, stage + 1, right)
            self._noises[stage] = left_over(noisy.astype(np.float64), ours) / bounds.NOISE_TRIED
        return self._noises[stage]

    def _glimpse(self, look: _Look, mistake: PortMistake | None) -> npt.NDArray[np.float32] | None:
        if mistake is None:
            return look.cone.samples(self.mirror, len(look.cone.stages) - 1, look.seen[-1])
        begun = self._begun(look, mistake)
        if begun is None:
            return None
        cone, mirror, first, x = begun
        return cone.samples(mirror, first, x)

    def _begun(
        self, look: _Look, mistake: PortMistake
    ) -> tuple[Cone, VocoderMirror, int, npt.NDArray[np.generic]] | None:
        """A vocoder with the mistake, the first stage that it concerns, and what enters that."""
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        cone = Cone(mirror, choices, *look.span) if mistake.choices.changes else look.cone
        if mistake.codes is not None:
            return cone, mirror, 0, np.asarray(mistake.codes(self.codes)[:, : cone.frames], np.int64)
        first = min(mirror.stage_of(path) for path in mistake.paths())
        if first > cone.convolutions and cone.sees_like(look.cone):
            return cone, mirror, first, look.entering(first)
        first = min(first, cone.convolutions)
        x = self._frames[first]
        if mistake.looks_ahead or self.ahead:
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

    def _where_it_differs(self, many: int, explained: float) -> _Places:
        """Where theirs is loud and another than ours: on as few frames as show it."""
        frames = many
        while True:
            ours = self.mirror(self.codes[:, :frames], self.choices)
            found = self._plain[frames] = self._against(ours, frames)
            most = min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD)
            if frames == most or found.residual > explained:
                window = self.mirror.geometry["sliding_window"]
                return _places(self.theirs, ours, found, self.per_frame, window)
            frames = most


@dataclass(frozen=True)
class _Look:
    """Samples that are looked at, and what they see of what enters each stage behind the transformer."""

    span: tuple[int, int]
    cone: Cone
    seen: list[npt.NDArray[np.generic]]

    @property
    def start(self) -> int:
        return self.span[0]

    def entering(self, stage: int) -> npt.NDArray[np.generic]:
        return self.seen[stage - self.cone.convolutions]


@dataclass(frozen=True)
class _Places:
    """Samples of ours that are looked at, the first alone at first, and by how many theirs is late."""

    spans: tuple[tuple[int, int], ...]
    lag: int


def _places(theirs: Samples, ours: npt.NDArray[np.float32], found: Match, per_frame: int, window: int) -> _Places:
    size = max(bounds.GLIMPSE, per_frame // bounds.GLIMPSES_A_FRAME)
    lag = found.lag if bounds.ALIGNED.above(abs(found.correlation)) else 0
    a, b = theirs[max(lag, 0) :], found.gain * ours[max(-lag, 0) :].astype(np.float64)
    n = min(len(a), len(b)) // size
    if n == 0:
        return _Places(((0, len(ours)),), lag)
    blocks, differences = (x[: n * size].reshape(n, size) for x in (a, a[: len(b)] - b[: len(a)]))
    told = np.minimum(np.square(blocks).sum(axis=1), np.square(differences).sum(axis=1))
    # What was cut at the limits tells less; what comes early takes less of the transformer.
    told = told * (np.abs(blocks) < bounds.FULL).mean(axis=1)
    starts = [block * size + max(-lag, 0) for block in _telling(told, -(-per_frame // size), window)]
    return _Places(tuple((start, start + size) for start in starts), lag)


def _telling(told: npt.NDArray[np.floating], a_frame: int, window: int) -> list[int]:
    """Blocks that tell much, each of another frame, `a_frame` blocks long. The first is an early one, but behind as
    many frames as attention sees, or some at least: a frame alone attends to itself, whatever is wrong there."""
    enough = np.flatnonzero(told >= bounds.TELLING.value * told.max())
    behind = (enough[enough > frames * a_frame] for frames in (window, min(window, bounds.FRAMES_BEFORE), -1))
    chosen = [next(int(blocks[0]) for blocks in behind if len(blocks))]
    for block in np.argsort(-told, kind="stable"):
        if len(chosen) < bounds.LOOKS and all(abs(int(block) - other) > a_frame for other in chosen):
            chosen.append(int(block))
    return chosen


def _rivals(one: PortMistake, other: PortMistake) -> bool:
    """Whether they change modules of the same modules, so that one may make what the other does."""
    mine, theirs = ({path.rpartition(".")[0] for path in mistake.paths()} for mistake in (one, other))
    return bool(mine) and mine == theirs


def _inside(one: PortMistake, other: PortMistake) -> bool:
    """Whether it is the other, made in some of its modules."""
    return _without_paths(one.clause) == _without_paths(other.clause) and {*one.paths()} < {*other.paths()}


def _without_paths(clause: str) -> str:
    return re.sub(r"(all of )?code2wav\.[\w.*]+", "", clause)


def _changed(made: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> float:
    """The share of a stage's energy that is changed."""
    a, b = np.asarray(made, np.float32), np.asarray(right, np.float32)
    return float(np.square(a - b).sum()) / max(float(np.square(b).sum()), bounds.LEAST_SHARE)


def _decades(share: float) -> float:
    """On a logarithmic scale that ends where nothing is as it was."""
    return math.nan if math.isnan(share) else math.log10(min(max(share, bounds.LEAST_SHARE), bounds.ALL_CHANGED))


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
