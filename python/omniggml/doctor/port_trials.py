"""Trials on one vocoder: what somebody's audio leaves over with one more mistake, at a few samples or over frames."""

from __future__ import annotations

import math
import threading
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, repeat

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.first_order import FirstOrder, likely_pairs
from omniggml.doctor.products import Steps, computed, computed_together
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_glance import VocoderGlance
from omniggml.doctor.vocoder_grammar import PortMistake
from omniggml.doctor.vocoder_mirror import Scoped, VocoderMirror

IntArray = npt.NDArray[np.int32]
Samples = npt.NDArray[np.float64]


class Trials:
    """Trials on one vocoder, which may have a mistake already; what enters each stage is kept. `many`: frames that are
    looked at for a place where theirs differs by more than `explained`, more if there is none. `ahead`: whether the
    first frames hang on all that follow already; `weigh`: whether mistakes are weighed by `FirstOrder`; `threads`: that
    weigh or look at some at once."""

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
        weigh: bool = False,
        threads: int = 1,
    ) -> None:
        self.ahead, self.weigh, self._threads = ahead, weigh, threads
        self.mirror = mirror = mirror.remembering()
        self.choices, self.codes, self.theirs, self.per_frame = choices, codes, theirs, per_frame
        self._cut: dict[tuple[int, int], npt.NDArray[np.generic]] = {}  # by stage and frames: see `_first_frames`
        self._warm: set[int] = set()  # stages of which it is remembered what the right one makes
        self._entering: dict[int, list[npt.NDArray[np.generic]]] = {}
        self._plain: dict[int, Match] = {}
        self._noises: dict[int, float] = {}
        self._right: dict[int, npt.NDArray[np.generic]] = {}  # by stage: see `_made_by`
        self.sizes: dict[int, float] = {}  # by a mistake's id: see `_expected`
        self.sums: dict[int, npt.NDArray[np.float32]] = {}  # by a mistake's id: see `FirstOrder`, as far as it is known
        self._added_up: set[int] = set()  # ids of mistakes whose sums are those of what is made in each module
        self._passed: dict[int, npt.NDArray[np.generic]] = {}  # by a mistake's id: what is given to what follows on it
        self._lock = threading.Lock()  # of what waits to be summed up
        self._weighed: dict[int, list[tuple[PortMistake, npt.NDArray[np.float32]]]] = defaultdict(list)  # by stage
        # By stage and shape: what is to go on through the transformer.
        self._carried: dict[tuple[int, tuple[int, ...]], list[tuple[PortMistake, npt.NDArray[np.generic]]]] = (
            defaultdict(list)
        )
        self._places = self._where_it_differs(many, explained)
        self._first = Cone(mirror, choices, *self._places.spans[0])
        frames = codes[:, : bounds.MOST_FRAMES_AHEAD]
        self._frames = list(mirror.entering(frames, choices, self._first.convolutions + 1))

    @property
    def n_places(self) -> int:
        """That are looked at."""
        return len(self._places.spans)

    @property
    def earliest(self) -> int:
        """The number of the first place in time that tells."""
        return self._places.earliest

    def glimpsed(self, mistake: PortMistake | None, place: int = 0) -> float:
        """What it leaves over of theirs at one place; infinite where it can't be computed."""
        look = self._looks[place]
        try:
            samples = self._glimpse(look, mistake)
        except (ValueError, IndexError):
            return math.inf  # shapes that don't fit: no port could compute it either
        if mistake is not None:
            return self._left_by(mistake, samples, place)
        return math.inf if samples is None or not np.isfinite(samples).all() else self._left_at(look, samples)

    def glimpsed_in_turn(self, mistakes: Iterable[PortMistake], place: int = 0) -> Iterator[tuple[PortMistake, float]]:
        """Each as `glimpsed`, in about this order; only roughly what at the first place is no nearer. Some are tried
        together: what follows on their stages is computed at once. The first few, which are likely, aren't glanced
        at."""
        look, waiting, nearest = self._looks[place], iter(mistakes), _Nearest(self._far)
        sizes = chain(bounds.AT_FIRST, repeat(bounds.GLANCED_BEFORE))
        while some := list(islice(waiting, next(sizes))):
            glanced = {} if place or len(some) <= bounds.TRIED_TOGETHER else self._glanced_at(look, some)
            near = (one for one in some if not glanced.get(id(one), 0.0) > nearest.bar)
            while together := list(islice(near, bounds.TRIED_TOGETHER)):
                for mistake, samples in zip(together, self._glimpsed_together(look, together), strict=True):
                    glanced.pop(id(mistake), None)
                    yield mistake, nearest.noted(self._left_by(mistake, samples, place))
            for mistake in some:
                if id(mistake) in glanced:
                    self._passed.pop(id(mistake), None)
                    yield mistake, glanced[id(mistake)]

    def glimpsed_side_by_side(self, mistakes: Iterable[PortMistake], place: int) -> Iterator[tuple[PortMistake, float]]:
        """As `glimpsed_in_turn`, all of them glanced at, in several threads: of a vocoder so large that to read its
        weights takes as long as a trial, which is done once for some."""
        _ = self._glance, self.first_order  # computed once
        nearest = _Nearest(self._far)
        every = ((some, nearest.bar) for some in self._few_at_once(mistakes))
        for _, found in side_by_side(lambda one: self._glimpsed_of_some(*one, place), every, self._threads):
            for mistake, left in found:
                yield mistake, nearest.noted(left)

    def _few_at_once(self, mistakes: Iterable[PortMistake]) -> Iterator[list[PortMistake]]:
        """A few, of which what they misread has room in memory."""
        some: list[PortMistake] = []
        most = room = bounds.MISREAD_TOGETHER // self._threads
        for mistake in mistakes:
            names = (name for misread in mistake.weights for name in misread.changes)
            size = sum(self.mirror.weight(name).size for name in names)
            if some and (size > room or len(some) == bounds.TRIED_TOGETHER):
                yield some
                some, room = [], most
            some.append(mistake)
            room -= size
        if some:
            yield some

    def _glimpsed_of_some(
        self, mistakes: Sequence[PortMistake], bar: float, place: int
    ) -> list[tuple[PortMistake, float]]:
        """Each as `glimpsed`; only roughly what at the first place leaves more than the bar."""
        look = self._looks[place]
        glanced = {} if place else self._glanced_at(look, mistakes)
        found = {key: left for key, left in glanced.items() if left > bar}
        near = [one for one in mistakes if id(one) not in found]
        for mistake, samples in zip(near, self._glimpsed_together(look, near), strict=True):
            found[id(mistake)] = self._left_by(mistake, samples, place)
        for mistake in mistakes:
            self._passed.pop(id(mistake), None)
        return [(mistake, found[id(mistake)]) for mistake in mistakes]

    @cached_property
    def _far(self) -> float:
        """What mistakes leave over that aren't looked at again."""
        return bounds.WORTH_A_LOOK.value * self.glimpsed(None)

    def _glanced_at(self, look: _Look, mistakes: Sequence[PortMistake]) -> dict[int, float]:
        """By a mistake's id: what it leaves over of theirs, roughly, of those that can be glanced at."""
        glance, left = self._glance, dict[int, float]()
        if glance is None:
            return {}
        self._pass_on(look, mistakes)
        able = iter(sorted((one for one in mistakes if self._is_heard_close(look, one)), key=self._stage_behind))
        while some := list(islice(able, bounds.GLANCED_TOGETHER)):
            given: dict[int, list[npt.NDArray[np.generic]]] = defaultdict(list)
            for mistake in some:
                given[self._stage_behind(mistake)].append(self._passed[id(mistake)])
            samples = glance.samples_of_many(given)
            for mistake, made, bends in zip(some, samples, self._bends(look, samples), strict=True):
                if bends and np.isfinite(made).all():
                    left[id(mistake)] = self._left_at(look, made)
                    self._weigh_roughly(mistake, made)
        return left

    def _weigh_roughly(self, mistake: PortMistake, samples: npt.NDArray[np.float32]) -> None:
        """Notes the sums of what it is seen to make at a glance, where first order tells less."""
        known = self.sums.get(id(mistake))
        if known is None or (self.first_order and self.first_order.share(known) > bounds.SURELY_FIRST_ORDER):
            self._weigh_made(mistake, samples)

    def _bends(self, look: _Look, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Of [n, samples], each with a mistake: whether what that changes is more than loudness and a constant, of
        which a glance tells no more than roughly how much."""
        ours = self._glimpse(look, None)
        assert ours is not None
        known, _ = np.linalg.qr(np.stack([np.ones_like(ours), ours], axis=1))
        changed = np.nan_to_num(samples - ours)
        bent = changed - (changed @ known) @ known.T
        return np.asarray(np.square(bent).sum(axis=1) > bounds.GLANCE_SURE * np.square(changed).sum(axis=1))

    @cached_property
    def _glance(self) -> VocoderGlance | None:
        """The shortest that tells; None where none does."""
        look = self._looks[0]
        if not VocoderGlance.is_able(self.choices):
            return None
        glances = (VocoderGlance(self.mirror, self.choices, look.cone, look.seen, back) for back in bounds.GLANCES_BACK)
        return next((glance for glance in glances if glance.tells > bounds.GLANCE_TELLS), None)

    def _is_heard_close(self, look: _Look, mistake: PortMistake) -> bool:
        """Whether most of what it changes is heard close before the samples: not where what lies further back is much
        softer or louder, too."""
        if id(mistake) not in self._passed:
            return False
        x, right = self._passed[id(mistake)], look.entering(self._stage_behind(mistake))
        if x.shape != right.shape:
            return False
        power, usual = float(np.square(x).sum()), float(np.square(right).sum())
        return power > bounds.HEARD_CLOSE * usual and usual > bounds.HEARD_CLOSE * power

    def _pass_on(self, look: _Look, mistakes: Sequence[PortMistake]) -> None:
        """Computes what is given to what follows on each that concerns few stages, where that isn't known."""
        if self.weigh:  # which keeps all that can be
            return
        new = [one for one in mistakes if id(one) not in self._passed and self._concerns_few(look, one)]
        with np.errstate(over="ignore", invalid="ignore"):
            every = computed_together([self._passing(look, one) for one in new])
        self._passed.update((id(one), x) for one, x in zip(new, every, strict=True) if x is not None)

    def _passing(self, look: _Look, mistake: PortMistake) -> Steps[npt.NDArray[np.generic] | None]:
        try:
            return (yield from self._giving_behind(look, mistake))
        except (ValueError, IndexError):
            return None

    def _concerns_few(self, look: _Look, mistake: PortMistake) -> bool:
        first = min(map(self.mirror.stage_of, mistake.paths()), default=0)
        return self._stage_behind(mistake) - max(first, look.cone.convolutions - 1) <= bounds.MOST_STAGES

    def _giving_behind(self, look: _Look, mistake: PortMistake) -> Steps[npt.NDArray[np.generic] | None]:
        """What is given to the stage behind all that it concerns; None where that isn't given the same as without."""
        begun = None if mistake.sees_all else self._begun(look, mistake)
        if begun is None:
            return None
        cone, mirror, first, x = begun
        behind = self._stage_behind(mistake)
        if behind == len(cone.stages) or not (look.cone.keeps_apart and cone.sees_like(look.cone)):
            return None
        for number in range(first, behind):
            x = yield from cone.making(mirror, number, cone.given(number, x))
        return cone.given(behind, x)

    def _glimpsed_together(self, look: _Look, mistakes: Sequence[PortMistake]) -> list[npt.NDArray[np.float32] | None]:
        """The samples of each; None where it can't be computed."""
        made: list[npt.NDArray[np.float32] | None] = [None] * len(mistakes)
        given: dict[int, dict[int, npt.NDArray[np.generic]]] = defaultdict(dict)  # by stage and number
        with np.errstate(over="ignore", invalid="ignore"):
            every = computed_together([self._seeing(look, mistake) for mistake in mistakes])
        for n, (mistake, (is_given, x)) in enumerate(zip(mistakes, every, strict=True)):
            if x is None:
                continue
            if is_given:
                given[self._stage_behind(mistake)][n] = x
            else:
                made[n] = np.asarray(x, np.float32)
        if given:
            together = look.cone.samples_of_many(self.mirror, {stage: [*own.values()] for stage, own in given.items()})
            for n, samples in zip((n for stage in sorted(given) for n in given[stage]), together, strict=True):
                made[n] = samples
        return made

    def _seeing(self, look: _Look, mistake: PortMistake) -> Steps[tuple[bool, npt.NDArray[np.generic] | None]]:
        """Whether what follows on it is the same as without, and what is given to that, or its samples."""
        known = self._passed.pop(id(mistake), None) if look is self._looks[0] else None
        if known is not None:
            return True, known
        try:
            x = yield from self._giving_behind(look, mistake)
            return (True, x) if x is not None else (False, (yield from self._glimpsing(look, mistake)))
        except (ValueError, IndexError):
            return False, None  # shapes that don't fit: no port could compute it either

    def _stage_behind(self, mistake: PortMistake) -> int:
        """The first behind the transformer, and behind all that it concerns."""
        concerned = [self.mirror.last_stage_of(path) for path in mistake.paths()]
        return max(1 + max(concerned, default=0), self._first.convolutions)

    def _left_by(self, mistake: PortMistake, samples: npt.NDArray[np.float32] | None, place: int) -> float:
        if samples is None or not np.isfinite(samples).all():
            return math.inf
        if self.weigh and place == 0:
            self._weigh_made(mistake, samples)
        return self._left_at(self._looks[place], samples)

    def _left_at(self, look: _Look, samples: npt.NDArray[np.float32]) -> float:
        # Theirs may be late as a whole, or only ours without the mistake early.
        starts = {look.start, look.start + self._places.lag}
        return min(left_over(self.theirs[at : at + len(samples)], samples) for at in starts)

    def go_with(self, mistakes: Iterable[PortMistake], place: int = 0) -> list[float]:
        """Of each the share of what ours leaves over of theirs at one place that goes with what the mistake changes
        there, in whatever direction: all but all where it is the mistake, larger or smaller."""
        look = self._looks[place]

        def go(some: Sequence[PortMistake]) -> list[float]:
            with np.errstate(over="ignore", invalid="ignore"):
                every = computed_together([self._glimpsing(look, mistake) for mistake in some])
            return [self._goes_with(look, samples) for samples in every]

        return [share for _, found in side_by_side(go, self._few_at_once(mistakes), self._threads) for share in found]

    def _goes_with(self, look: _Look, changed: npt.NDArray[np.float32] | None) -> float:
        ours = self._glimpse(look, None)
        if changed is None or ours is None or not np.isfinite(changed).all():
            return 0.0
        theirs = self._theirs_at(look, ours)
        n = min(len(theirs), len(ours), len(changed))
        if n < bounds.LEAST_INSIDE:
            return 0.0
        # A factor and a constant are allowed for.
        known = np.stack([np.ones(n), ours[:n].astype(np.float64)], axis=1)
        both = np.stack([theirs[:n], changed[:n].astype(np.float64)], axis=1)
        left, moved = (both - known @ np.linalg.lstsq(known, both, rcond=None)[0]).T
        power = float(left @ left) * float(moved @ moved)
        return float(left @ moved) ** 2 / power if power > 0 else 0.0

    @cached_property
    def _looks(self) -> list[_Look]:
        cones = [self._first, *(Cone(self.mirror, self.choices, *span) for span in self._places.spans[1:])]
        leaving = self._frames[-1]
        looks = [
            _Look(span, cone, cone.entering(self.mirror, leaving[:, : cone.frames]))
            for span, cone in zip(self._places.spans, cones, strict=True)
        ]
        for x in looks[0].seen:
            self._remember(x)
        return looks

    def _remember(self, x: npt.NDArray[np.generic]) -> None:
        """What right modules make of it."""
        if self.mirror.remembered is not None:
            self.mirror.remembered.knows(x)

    def likeliest_first(self, mistakes: Iterable[PortMistake], most: float) -> list[PortMistake]:
        """By which way they go to first order, and how much their stage changes, and what that is at the end, beside
        what theirs differs by; without those that are `most` orders of magnitude off."""
        observed, _ = self.glimpsed(None), self.first_order  # computed once
        off = []
        for some, sizes in side_by_side(self._expected, self._few_at_once(mistakes), self._threads):
            for mistake, size in zip(some, sizes, strict=True):
                self.sizes[id(mistake)] = size
                off.append((abs(decades(size) - decades(observed)), mistake))
        for stage, shape in list(self._carried):
            self._carry_on(stage, self._carried.pop((stage, shape)))
        for stage in list(self._weighed):
            self._sum_up(stage, self._weighed.pop(stage))
        self._add_up([mistake for _, mistake in off])
        near = [(self._likelihood(one, by), one) for by, one in off if not by >= most]
        return [mistake for _, mistake in sorted(near, key=lambda entry: -entry[0])]

    def _add_up(self, mistakes: Sequence[PortMistake]) -> None:
        """To first order what is made in many modules changes what it changes made in each."""
        known = [one for one in mistakes if id(one) in self.sums or self.sizes.get(id(one)) == 0.0]
        parts = {(one.anywhere, changed): one for one in known if one.is_of_one for changed in one.changed}
        nothing = np.zeros(bounds.SUMS, np.float32)
        for mistake in mistakes:
            left, sums = set(mistake.changed), nothing
            if id(mistake) in self.sums or mistake.is_of_one or mistake.moves or mistake.sees_all:
                continue
            while left and (part := parts.get((mistake.anywhere, min(left)))) and part.changed <= left:
                left -= part.changed
                sums = sums + self.sums.get(id(part), nothing)
            if not left and sums.any():
                self.sums[id(mistake)] = sums
                self._added_up.add(id(mistake))

    def _likelihood(self, mistake: PortMistake, off: float) -> float:
        """See `MistakeOdds`; `off`: orders of magnitude, NaN where its size isn't known. Codes in another order come
        first: there are few, and nothing tells what they do."""
        if mistake.codes is not None:
            return math.inf
        sums, first = self.sums.get(id(mistake)), self.first_order
        way = None if sums is None or first is None else (first.goes_with(sums), first.share(sums))
        nats = bounds.MISTAKE_ODDS.nats(mistake.is_of_one, off, way)
        # Of large changes in many modules the sum tells little against it.
        return max(nats, bounds.MISTAKE_ODDS.nats(False, off, None)) if id(mistake) in self._added_up else nats

    def hardly_helps(self, mistake: PortMistake) -> bool:
        """Whether theirs is hardly nearer with so small a mistake that first order tells that."""
        sums, first = self.sums.get(id(mistake)), self.first_order
        if sums is None or first is None or id(mistake) in self._added_up:
            return False
        return first.leads_away(sums, bounds.SURELY_FIRST_ORDER, bounds.HARDLY_NEARER)

    def left_beside(self, first: PortMistake) -> dict[int, float]:
        """By a mistake's id: what it leaves over, to first order, of what the first leaves."""
        if self.first_order is None or not self.sums:
            return {}
        ours = self._glimpse(self._looks[0], first)
        if ours is None or len(ours) != self.first_order.n_samples:
            return {}
        left = self.first_order.left_beside(ours, np.stack([*self.sums.values()]))
        return dict(zip(self.sums, left.tolist(), strict=True))

    def go_with_theirs(self, mistakes: Iterable[PortMistake]) -> list[PortMistake]:
        """Those of which, to first order, most of what theirs differs by can come, the likeliest first."""
        if self.first_order is None:
            return []
        known = ((self.first_order.goes_with(self.sums[id(one)]), one) for one in mistakes if id(one) in self.sums)
        good = [(goes, one) for goes, one in known if goes > bounds.GOES_WITH_THEIRS]
        return [one for _, one in sorted(good, key=lambda entry: -entry[0])]

    def likely_pairs(self, mistakes: Sequence[PortMistake]) -> list[tuple[PortMistake, PortMistake]]:
        """Two of them, which to first order together make what theirs differs by: the one that changes more first."""
        if self.first_order is None:
            return []
        apt = self.first_order.is_apt
        known = [one for one in mistakes if id(one) in self.sums and apt(self.sums[id(one)])]
        if not known:
            return []
        sums = np.stack([self.sums[id(one)] for one in known])
        sizes = np.square(sums).sum(axis=1)
        pairs = likely_pairs(self.first_order.observed, sums, bounds.LIKELY_PAIRS)
        return [(known[i], known[j]) if sizes[i] >= sizes[j] else (known[j], known[i]) for i, j in pairs]

    def _expected(self, mistakes: Sequence[PortMistake]) -> list[float]:
        with np.errstate(over="ignore", invalid="ignore"):
            return computed_together([self._expecting(mistake) for mistake in mistakes])

    def _expecting(self, mistake: PortMistake) -> Steps[float]:
        """The share of ours that it changes, roughly: by how much it changes its stage, times what noise there does.
        NaN where it can't be told so."""
        if mistake.sees_all:
            return math.nan
        try:
            begun = self._begun(self._looks[0], mistake)
            if begun is None:
                return 0.0
            cone, mirror, first, x = begun
            if mistake.codes is not None or not cone.sees_like(self._first):
                return math.nan
            self._warm_up(first, x)
            made = yield from cone.making(mirror, first, x)
            yield from self._weighing(mistake, cone, mirror, first, made)
        except (ValueError, IndexError):
            return 0.0
        right = self._made_by(first)
        if first < cone.convolutions:
            right = right[:, : made.shape[1]] if first == cone.convolutions - 1 else right[: len(made)]
        if made.shape != right.shape:
            return 1.0
        changed = _changed(made, right)
        # Of what begins behind the first stage that it concerns nobody knows the size.
        goes_on = any(mirror.last_stage_of(path) > first for path in mistake.paths())
        return math.nan if changed == 0.0 and goes_on else self._noise(first) * changed

    def _warm_up(self, stage: int, x: npt.NDArray[np.generic]) -> None:
        """Remembers what the right one makes, before some mistakes compute that side by side."""
        if stage not in self._warm:
            self._warm.add(stage)
            self._first.made(self.mirror, stage, self._first.given(stage, x))

    def _weighing(
        self, mistake: PortMistake, cone: Cone, mirror: VocoderMirror, first: int, made: npt.NDArray[np.generic]
    ) -> Steps[None]:
        """Notes its sums: from what it changes in the last stage that it concerns, of which the first made `made`. Not
        of what concerns so many that a trial is as cheap."""
        own = max(first, *(mirror.last_stage_of(path) for path in mistake.paths()))
        last = max(cone.convolutions - 1, own)
        if self.first_order is None or last - max(first, cone.convolutions - 1) > bounds.MOST_STAGES:
            return
        for number in range(first + 1, own + 1):
            made = yield from cone.making(mirror, number, cone.given(number, made))
        if own == last:
            self._note(mistake, last, made)
            return
        with self._lock:
            some = self._carried[own, made.shape]
            some.append((mistake, made))
            enough = len(some) >= bounds.WEIGHED_AT_ONCE
            waiting = self._carried.pop((own, made.shape)) if enough else []
        self._carry_on(own, waiting)

    def _carry_on(self, stage: int, waiting: Sequence[tuple[PortMistake, npt.NDArray[np.generic]]]) -> None:
        """What a right transformer makes of what a stage of it made with mistakes: of many at once."""
        if not waiting:
            return
        last = self._first.convolutions - 1
        x = np.stack([made for _, made in waiting])  # [several, time, channels]
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(stage + 1, last + 1):
                x = np.asarray(self._first.made(self.mirror, number, x))
        for n, (mistake, _) in enumerate(waiting):
            self._note(mistake, last, np.ascontiguousarray(x[:, n]))

    def _note(self, mistake: PortMistake, last: int, made: npt.NDArray[np.generic]) -> None:
        """Keeps what is given behind the last stage that it concerns, which made this, and what is to be summed up."""
        right = self._made_by(last)
        if last + 1 < len(self._first.stages) and self._first.keeps_apart:
            self._passed[id(mistake)] = np.array(self._first.given(last + 1, made), np.float32)
        if last == self._first.convolutions - 1:  # of which not all frames are looked at
            made, right = (self._first.given(self._first.convolutions, some) for some in (made, right))
        if made.shape == right.shape and np.isfinite(made).all():
            change = np.asarray(made, np.float32) - np.asarray(right, np.float32)
            with self._lock:
                self._weighed[last].append((mistake, change))
                enough = len(self._weighed[last]) >= bounds.WEIGHED_AT_ONCE
                waiting = self._weighed.pop(last) if enough else []
            self._sum_up(last, waiting)

    def _sum_up(self, stage: int, waiting: Sequence[tuple[PortMistake, npt.NDArray[np.float32]]]) -> None:
        """Many changes in one product, which takes a tenth of what as many products take."""
        if waiting and self.first_order is not None:
            every = self.first_order.sums_of(stage, [change for _, change in waiting])
            known = ((id(mistake), sums) for (mistake, _), sums in zip(waiting, every, strict=True))
            self.sums.update((number, sums) for number, sums in known if np.abs(sums).max() < bounds.MOST_SUM)

    def _weigh_made(self, mistake: PortMistake, samples: npt.NDArray[np.float32]) -> None:
        """Notes the sums of what it makes, which hold more than the first order."""
        if self.weigh and self.first_order is not None and len(samples) == self.first_order.n_samples:
            self.sums[id(mistake)] = self.first_order.sums_of_samples(samples)

    @cached_property
    def first_order(self) -> FirstOrder | None:
        """Of the first place; none of a vocoder so large that a trial isn't much dearer than a change."""
        look = self._looks[0]
        ours = self._glimpse(look, None)
        if not self.weigh or ours is None:
            return None
        theirs = self._theirs_at(look, ours)
        inside = np.count_nonzero(np.abs(theirs) < bounds.FULL)
        if len(theirs) < len(ours) or inside < bounds.LEAST_INSIDE:
            return None
        return FirstOrder(self.mirror, self.choices, look.cone, look.seen, ours, theirs, self._threads)

    def _theirs_at(self, look: _Look, ours: npt.NDArray[np.float32]) -> Samples:
        """Which may be late as a whole, or only ours without a mistake early."""
        starts = {look.start, look.start + self._places.lag}
        return min((self.theirs[at : at + len(ours)] for at in starts), key=lambda some: left_over(some, ours))

    def _made_by(self, stage: int) -> npt.NDArray[np.generic]:
        """What a stage makes without another mistake, where the cone looks."""
        if stage < self._first.convolutions:
            return self._frames[stage + 1]
        if stage not in self._right:
            self._right[stage] = self._first.made(self.mirror, stage, self._looks[0].entering(stage))
        return self._right[stage]

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
        with np.errstate(over="ignore", invalid="ignore"):
            return computed(self._glimpsing(look, mistake))

    def _glimpsing(self, look: _Look, mistake: PortMistake) -> Steps[npt.NDArray[np.float32] | None]:
        if mistake.sees_all:
            return (yield from self._glimpsing_all(look, mistake))
        begun = self._begun(look, mistake)
        if begun is None:
            return None
        cone, mirror, first, x = begun
        return (yield from cone.sampling(mirror, first, x))

    def _glimpsing_all(self, look: _Look, mistake: PortMistake) -> Steps[npt.NDArray[np.float32] | None]:
        """Of a mistake with which samples hang on all: all that its stages make, and of that what follows sees."""
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        cone, first = look.cone.choosing(choices), look.cone.convolutions
        behind = self._stage_behind(mistake)
        x = self._frames[first]
        for number in range(first, behind):
            x = yield from mirror.steps(cone.stages[number], x, choices)
        span = cone.span(behind)
        return (yield from cone.sampling(mirror, behind, x[:, span.first : span.last]))

    def _begun(
        self, look: _Look, mistake: PortMistake
    ) -> tuple[Cone, VocoderMirror, int, npt.NDArray[np.generic]] | None:
        """A vocoder with the mistake, the first stage that it concerns, and what enters that."""
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        if mistake.choices.changes:
            cone = Cone(mirror, choices, *look.span) if mistake.moves else look.cone.choosing(choices)
        else:
            cone = look.cone
        if mistake.codes is not None:
            return cone, mirror, 0, np.asarray(mistake.codes(self.codes)[:, : cone.frames], np.int64)
        first = min(mirror.stage_of(path, choices) for path in mistake.paths())
        if first > cone.convolutions and cone.sees_like(look.cone):
            return cone, mirror, first, look.entering(first)
        first = min(first, cone.convolutions)
        if mistake.looks_ahead or self.ahead:
            return cone, mirror, first, self._frames[first]
        return cone, mirror, first, self._first_frames(first, cone.frames)

    def _first_frames(self, stage: int, n: int) -> npt.NDArray[np.generic]:
        """Of what enters a stage up to the first behind the transformer: the same object again."""
        if (stage, n) not in self._cut:
            x = self._frames[stage]
            self._cut[stage, n] = x[:, :n] if stage in (0, self._first.convolutions) else x[:n]
            if n == self._first.frames:
                self._remember(self._cut[stage, n])
        return self._cut[stage, n]

    def residual(self, mistake: PortMistake | None, frames: int) -> float:
        """What it leaves over of theirs in the first frames; infinite where it can't be computed."""
        if mistake is None:
            return self._without(frames).residual
        samples = self._computed(mistake, frames)
        return math.inf if samples is None else self._against(samples, frames).residual

    def left_in_place(self, mistake: PortMistake, frames: int) -> float:
        """As `residual`, of theirs as it lies, without the last frame, which may see the next: nothing comes earlier or
        later."""
        samples = self._computed(mistake, frames)
        return math.inf if samples is None else left_over(self.theirs, samples[: -self.per_frame])

    def lag(self, frames: int) -> int:
        """Samples by which theirs comes later in the first frames."""
        return self._without(frames).lag

    def _computed(self, mistake: PortMistake, frames: int) -> npt.NDArray[np.float32] | None:
        """None where it can't be computed, or makes what is no sound."""
        try:
            samples = self._samples(mistake, frames)
        except (ValueError, IndexError):
            return None
        sound = samples is not None and samples.size > 0 and bool(np.isfinite(samples).all())
        return samples if sound else None

    def _samples(self, mistake: PortMistake, frames: int) -> npt.NDArray[np.float32] | None:
        if mistake.codes is not None:
            return self.mirror(mistake.codes(self.codes)[:, :frames], self.choices)
        made = self._made(mistake)
        if made is None:
            return None
        mirror, choices = made
        if frames not in self._entering:
            self._entering[frames] = list(self.mirror.entering(self.codes[:, :frames], self.choices))
        first = min(mirror.stage_of(path, choices) for path in mistake.paths())
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


class _Nearest:
    """What the mistakes that come nearest leave over, of those that were tried so far; at first what comes nearer at
    all, `far`."""

    def __init__(self, far: float) -> None:
        self._far, self._least = far, list[float]()

    @property
    def bar(self) -> float:
        """What mistakes leave over at a glance that aren't tried: many come nearer."""
        return self._far if len(self._least) < bounds.NEAREST else min(self._far, self._least[-1])

    def noted(self, left: float) -> float:
        """As it is given."""
        insort(self._least, left)
        del self._least[bounds.NEAREST :]
        return left


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
    """Samples of ours that are looked at, the first alone at first, and by how many theirs is late; `earliest`: which
    of them is the first in time that tells."""

    spans: tuple[tuple[int, int], ...]
    lag: int
    earliest: int = 0


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
    telling, earliest = telling_blocks(told, -(-per_frame // size), window)
    starts = [block * size + max(-lag, 0) for block in telling]
    return _Places(tuple((start, start + size) for start in starts), lag, earliest)


def telling_blocks(told: npt.NDArray[np.floating], a_frame: int, window: int) -> tuple[list[int], int]:
    """Blocks that tell much, each once and of another frame, `a_frame` blocks long; and which of them is the earliest
    that tells, of whatever frame. The first is an early one, but behind as many frames as attention sees, or some at
    least: a frame alone attends to itself, whatever is wrong there."""
    enough = np.flatnonzero(told >= bounds.TELLING.value * told.max())
    behind = (enough[enough > frames * a_frame] for frames in (window, min(window, bounds.FRAMES_BEFORE), -1))
    chosen = [next(int(blocks[0]) for blocks in behind if len(blocks))]
    for block in np.argsort(-told, kind="stable"):
        if len(chosen) < bounds.LOOKS and all(abs(int(block) - other) > a_frame for other in chosen):
            chosen.append(int(block))
    telling = list(dict.fromkeys([*chosen, int(enough[0])]))
    return telling, telling.index(int(enough[0]))


def _changed(made: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> float:
    """The share of a stage's energy that is changed."""
    a, b = np.asarray(made, np.float32), np.asarray(right, np.float32)
    return float(np.square(a - b).sum()) / max(float(np.square(b).sum()), bounds.LEAST_SHARE)


def decades(share: float) -> float:
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
