"""Looking for the mistake, or the two, by which our vocoder makes their audio.

Each is tried on a fifth of a frame, where theirs and ours differ most; those that bring ours nearer are tried on whole
frames. A trial begins in the stage where its mistake is, from what enters it, and computes what these samples see.
Mistakes come first that to first order change these samples as theirs differs, then those that change their stage by
about as much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, tee

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.port_trials import Samples, Trials, decades
from omniggml.doctor.progress import Progress
from omniggml.doctor.tensor_mistakes import MULTIPLIED
from omniggml.doctor.vocoder_grammar import PortMistake, full_names, port_mistakes
from omniggml.doctor.vocoder_mirror import Scoped, VocoderMirror
from omniggml.doctor.vocoder_numbers import (
    Number,
    but_for_numbers,
    is_slight_factor,
    is_usual_factor,
    numbers_that_go_with,
    port_numbers,
    with_the_nearest,
)

IntArray = npt.NDArray[np.int32]

_NOTHING = Scoped(())


@dataclass(frozen=True)
class Explanation:
    """`mistakes`, and the share of their energy that ours with them leaves over of theirs; `without`: what ours without
    any leaves over of the same frames."""

    mistakes: tuple[PortMistake, ...]
    residual: float
    without: float


class PortSearch:
    """`theirs`: their samples of `codes`; `floor`: the share that their sound file's rounding leaves over; `ours`: what
    the engine makes of all codes, where there is one; `coarse`: theirs was resampled or coded, which hides a second
    mistake; `threads`: trials of a large vocoder at once; `thorough`: however long it takes."""

    def __init__(
        self,
        mirror: VocoderMirror,
        codes: IntArray,
        theirs: Samples,
        floor: float,
        announce: Callable[[str], None],
        ours: Samples | None = None,
        coarse: bool = False,
        threads: int = 1,
        thorough: bool = False,
    ) -> None:
        self.coarse, self.threads, self.thorough = coarse, min(threads, bounds.MOST_AT_ONCE), thorough
        self.mirror, self.codes, self.theirs, self.floor, self.ours = mirror, codes, theirs, floor, ours
        self.progress = Progress(announce)
        self._alone: dict[int, float] = {}  # by a mistake's id: what it leaves over without any other
        self._has_dominated = False  # one that explains nearly all, so that a second was looked for at once
        self._tuned: dict[int, Explanation | None] = {}  # by a number's id, with the value that leaves least
        self._paired: set[frozenset[int]] = set()  # ids of those that were tried as two at once
        self.per_frame = mirror.per_frame
        self.tried = 0

    def run(self) -> list[Explanation]:
        """The best first: single mistakes, and pairs where none of these explains all. [] where nothing helps.

        Where theirs is as near as an engine of another precision, only those are tried that change as little."""
        mistakes = self._affordable
        self.progress.begins(f"looking at {len(mistakes)} changes of the vocoder")
        near = not bounds.EXPLAINS.above(self.right)
        if by_a_number := self._by_a_number(mistakes):
            return by_a_number
        likely = self._weighed(mistakes, bounds.NEAR_DECADES if near else math.inf)
        alone = near or self.coarse
        singles = self._likeliest(likely, mistakes, alone)
        if self._explain(singles):
            return singles if len(singles[0].mistakes) > 1 else [*self._moved(singles[0], mistakes), *singles]
        # What each makes is known by now, or was glanced at, not to first order alone.
        if not alone and (pairs := self._pairs_at_once(likely, mistakes)):
            return pairs
        with_numbers = self._with_numbers(singles)
        if not singles or alone or self._explain(with_numbers):
            return with_numbers
        # Beside a second mistake any number does a little better.
        bases = with_numbers if self._is_told(with_numbers) else singles
        return self._pairs(bases, mistakes, thorough=not self._is_large)

    def _likeliest(self, likely: list[PortMistake], mistakes: list[PortMistake], alone: bool) -> list[Explanation]:
        """Single mistakes that come nearer, or two that explain all, first those that do to first order. `alone`: two
        aren't looked for."""
        first = self._right.go_with_theirs(likely)
        singles = self._search((), first, mistakes)
        if self._explain(singles):
            return singles
        if not alone and singles and (found := self._dominated(singles[0].mistakes[0], mistakes)):
            return found
        if not alone and (pairs := self._pairs_at_once(likely, mistakes)):
            return pairs
        tried = {id(mistake) for mistake in first}
        others = [one for one in likely if id(one) not in tried]
        rest = self._search((), others, mistakes, at_once=not alone)
        return sorted([*singles, *rest], key=lambda explanation: explanation.residual)

    @property
    def untried(self) -> int:
        """Mistakes that are less likely, and take longer than most people wait."""
        return len(self._every) - len(self._affordable)

    def _explain(self, found: list[Explanation]) -> bool:
        """Whether the best explains all."""
        return bool(found) and found[0].residual <= self.explained

    def _weighed(self, mistakes: list[PortMistake], most: float) -> list[PortMistake]:
        """In the order in which they are tried."""
        able = [mistake for mistake in mistakes if mistake.reach <= self.codes.shape[1]]
        weighed = self.progress.through(able, len(able), "weighing changes of the vocoder")
        likely = self._right.likeliest_first(weighed, most)
        return sorted(
            (mistake for mistake in likely if not self._is_no_number(mistake)),
            key=lambda mistake: is_usual_factor(mistake.clause),  # which were tried as numbers
        )

    def _is_no_number(self, mistake: PortMistake) -> bool:
        """Whether it is a factor so near to one that a slight change would have told, and didn't."""
        if not is_slight_factor(mistake.clause):
            return False
        goes = self._shares.get(but_for_numbers(mistake.clause))
        return goes is not None and goes < bounds.HARDLY_GOES

    @cached_property
    def _shares(self) -> dict[str, float]:
        """What goes with each number, by the clause without it."""
        return {but_for_numbers(number.at(number.tried).clause): goes for goes, number in self._numbers}

    def _pairs_at_once(self, likely: list[PortMistake], mistakes: list[PortMistake]) -> list[Explanation]:
        """Two that explain all, of those pairs that to first order do; one of them where that does. [] where none
        do."""
        pairs = [(one, other) for one, other in self._right.likely_pairs(likely) if not self._were_tried(one, other)]
        for both, one, other in self._pairs_that_explain(pairs):
            frames = max(self._frames_of((), mistake) for mistake in (one, other))
            if self._right.residual(both, frames) <= self.explained:
                alone = [self._explanation(self._right, (), mistake) for mistake in (one, other)]
                if self._explain(enough := sorted(alone, key=lambda explanation: explanation.residual)):
                    return enough
                found = self._beside((one,), [other, *(m for m in mistakes if _rivals(m, other))], mistakes)
                if self._explain(found):
                    return found
        return []

    def _were_tried(self, *pair: PortMistake) -> bool:
        """Whether they were asked for before, as two at once."""
        known = len(self._paired)
        self._paired.add(frozenset(map(id, pair)))
        return len(self._paired) == known

    def _pairs_that_explain(
        self, pairs: list[tuple[PortMistake, PortMistake]]
    ) -> Iterator[tuple[PortMistake, PortMistake, PortMistake]]:
        """Those that at one place leave nothing over: both as one, and each."""
        both = [_both(one, other) for one, other in pairs]
        tried = self.progress.through(both, len(both), "trying two changes of the vocoder at once")
        # Of a large vocoder all of them side by side, before one is looked at again.
        one_by_one = ((one, self._right.glimpsed(one)) for one in tried)
        seen = [*self._glimpsed(self._right, tried)] if self._is_large else one_by_one
        for (mistake, left), (one, other) in zip(seen, pairs, strict=True):
            self.tried += 1
            if left <= self.explained:
                yield mistake, one, other

    def _beside(
        self, base: tuple[PortMistake, ...], seconds: list[PortMistake], mistakes: list[PortMistake]
    ) -> list[Explanation]:
        """Pairs of the base and the best of these, and those that make the same as the base beside it."""
        found = self._search(base, seconds, mistakes)
        if self._explain(found):
            first, second = found[0].mistakes
            found += self._search((second,), [one for one in mistakes if _rivals(one, first)], mistakes)
        return sorted(found, key=lambda explanation: explanation.residual)

    def _by_a_number(self, mistakes: list[PortMistake]) -> list[Explanation]:
        """Where most goes with a number, and another value of it leaves nothing: that, and other mistakes of the same
        modules that do as well."""
        for found in self._with_another(number for goes, number in self._numbers if goes > bounds.GOES_WITH_MOST):
            if found.residual <= self.explained:
                return self._beside_a_number(found, mistakes)
        return []

    def _beside_a_number(self, found: Explanation, mistakes: list[PortMistake]) -> list[Explanation]:
        """A choice of the module that makes the same comes first: nobody multiplies queries who divides scores."""
        (number,) = found.mistakes
        others = [one for one in mistakes if but_for_numbers(one.clause) != but_for_numbers(number.clause)]
        choices = [one for one in others if _chooses_for(one, number)]
        weights = [one for one in others if _rivals(one, number) and one not in choices]
        as_good = [
            [
                self._explanation(self._right, (), rival)
                for rival in some
                if self._right.glimpsed(rival) <= self.explained
            ]
            for some in (choices, weights)
        ]
        return [*as_good[0], found, *as_good[1]][: 1 + bounds.MOST_OTHERS]

    def _with_numbers(self, singles: list[Explanation]) -> list[Explanation]:
        """And those with numbers that no list holds: which go with theirs, or of which one in the list came near."""
        near = {but_for_numbers(single.mistakes[0].clause) for single in singles}
        go_with = (number for goes, number in self._numbers if goes > bounds.GOES_WITH)
        came_near = (number for _, number in self._numbers if but_for_numbers(number.at(number.tried).clause) in near)
        found = {id(one.mistakes[0]): one for some in (go_with, came_near) for one in self._with_another(some)}
        return sorted([*singles, *found.values()], key=lambda explanation: explanation.residual)

    def _with_another(self, numbers: Iterable[Number]) -> Iterator[Explanation]:
        """With the values that leave least, of the first few."""
        for number in islice(numbers, bounds.NUMBERS_TRIED):
            if id(number) not in self._tuned:
                nearest = with_the_nearest(self._right, number)
                self._tuned[id(number)] = self._explanation(self._right, (), nearest) if nearest else None
            if found := self._tuned[id(number)]:
                yield found

    @cached_property
    def _numbers(self) -> list[tuple[float, Number]]:
        """The likeliest to be another first; of a large vocoder those of all modules alike."""
        every = list(port_numbers(self.mirror))
        numbers = [one for one in every if not (self._is_large and one.at(one.tried).is_of_one)]
        tried = self.progress.through(numbers, len(numbers), "looking for a number that is another")
        return numbers_that_go_with(self._right, tried)

    def _pairs(self, singles: list[Explanation], mistakes: list[PortMistake], thorough: bool) -> list[Explanation]:
        """With each of the best singles the seconds that are likeliest, and with the very best all others, where that
        can be afforded, `thorough`, and it brings theirs much nearer."""
        found: list[Explanation] = []
        bases = self._bases(singles, mistakes)[: bounds.BEST_SINGLES]
        likely = len(mistakes) // (bounds.FEWER_SECONDS if self._is_large else bounds.LIKELY_SECONDS)
        if self._is_told(singles):
            bases, thorough = bases[:1], False
        rounds = [(base, slice(likely)) for base in bases]
        if thorough and bases and bases[0].residual < bounds.MUCH_NEARER * self.right:
            rounds.insert(1, (bases[0], slice(likely, None)))
        for base, some in rounds:
            self.progress.begins(f"looking for a second mistake beside this: {base.mistakes[0].clause}")
            pairs = self._beside(base.mistakes, self._seconds(base, mistakes)[some], mistakes)
            found += pairs
            if self._explain(pairs):
                break
        # Beside what an engine in few bits leaves, some second mistake always does a little better.
        fewest = min(single.residual for single in singles)
        pairs = [pair for pair in found if bounds.SECOND_TELLS.below(pair.residual / fewest)]
        return [*sorted(pairs, key=lambda pair: pair.residual), *singles]

    def _moved(self, single: Explanation, mistakes: list[PortMistake]) -> list[Explanation]:
        """With what moves all samples, where theirs lies elsewhere without being shorter: no residual tells that."""
        trials = self._trials(single.mistakes)
        frames = self._frames_of(single.mistakes, single.mistakes[0])
        if self.ours is None or len(self.ours) != len(self.theirs) or trials.lag(frames) == 0:
            return []
        moving = [one for one in mistakes if one.kind in ("padding", "trim")]
        for one in self.progress.through(moving, len(moving), "looking for what moves the samples"):
            left = trials.left_in_place(one, frames)
            if left <= self.explained:
                return [Explanation((*single.mistakes, one), left, single.without)]
        return []

    def _is_told(self, singles: list[Explanation]) -> bool:
        """Whether one mistake explains all but what an engine in another precision leaves."""
        left = singles[0].residual
        return bounds.MISTAKE_BEATS.below(left / singles[0].without) and not bounds.EXPLAINS.above(left)

    def _bases(self, singles: list[Explanation], mistakes: list[PortMistake]) -> list[Explanation]:
        """From which pairs are looked for: those that come nearer, and of those made in all modules of a class that in
        each alone; one of those that make the same."""
        near = (single for single in singles if bounds.NEARER.below(single.residual / self.right))
        best = [
            single for single in near if not single.mistakes[0].sees_all
        ]  # beside which no few samples are computed
        known = {id(single.mistakes[0]) for single in singles}
        inside = (
            one
            for single in best[: bounds.BEST_SINGLES]
            for one in mistakes
            if id(one) not in known and _inside(one, single.mistakes[0])
        )
        best += [self._explanation(self._right, (), one) for one in inside]
        bases: list[Explanation] = []
        for single in sorted(best, key=lambda explanation: explanation.residual):
            if not any(math.isclose(single.residual, base.residual, rel_tol=bounds.SAME_RESIDUAL) for base in bases):
                bases.append(single)
        return bases

    def _seconds(self, first: Explanation, mistakes: list[PortMistake]) -> list[PortMistake]:
        """Those whose effect without the first is about what that leaves over: first those that came nearest alone,
        and those that to first order come nearest beside it, in turn."""
        observed, sizes = decades(first.residual), self._right.sizes
        # Of those whose effect isn't known none is left out.
        tried = [one for one in mistakes if id(one) in sizes]
        near = [one for one in tried if not abs(decades(sizes[id(one)]) - observed) >= bounds.NEAR_SECONDS]
        beside = self._right.left_beside(first.mistakes[0])
        alone, after = (
            sorted(near, key=lambda one: left.get(id(one), math.inf)) for left in (self._alone, beside or self._alone)
        )
        in_turn = (one for n, other in enumerate(after) for one in (*alone[2 * n : 2 * n + 2], other))
        return list({id(one): one for one in in_turn}.values())

    def glimpsed(self, mistakes: Iterable[PortMistake]) -> Iterator[float]:
        """What each leaves over of theirs at the earliest place that tells, before the smallest difference has
        grown; only roughly what is no nearer there, where that is the place that is looked at first."""
        tried, asked = tee(mistakes)
        left = {id(one): left for one, left in self._glimpsed(self._right, tried, self._right.earliest)}
        yield from (left[id(one)] for one in asked)

    @cached_property
    def at_once(self) -> int:
        """Trials: so small a vocoder's as isn't large wait for the interpreter, not for each other."""
        return self.threads if self._is_large else 1

    @property
    def _is_large(self) -> bool:
        """Whether not all that a port may get wrong can be tried."""
        return self._most < len(self._every)

    @cached_property
    def _every(self) -> list[PortMistake]:
        return list(port_mistakes(self.mirror))

    @cached_property
    def _right(self) -> Trials:
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
        few, most = (int(min(self.codes.shape[1], n)) for n in (frames, bounds.MOST_FRAMES_AHEAD))
        ours = self.mirror(self.codes[:, :few])
        left = match(self.theirs[: len(ours)], ours, self.per_frame).residual
        # Of a difference that begins late the first frames hold only what another precision leaves.
        told = max(self.explained, bounds.TOLD_BY_FEW * self._left_by_all(most))
        return few if left > told else most

    def _left_by_all(self, frames: int) -> float:
        if self.ours is None:
            return 0.0
        ours = self.ours[: self.per_frame * frames]
        return match(self.theirs[: len(ours)], ours, self.per_frame).residual

    @cached_property
    def _affordable(self) -> list[PortMistake]:
        """As many as the budget has room for: first those that a port makes in all modules of a class alike, or in the
        only one, and of these factors last, which are looked for as numbers, too."""
        if not self._is_large:
            return self._every
        return sorted(self._every, key=_less_likely)[: None if self.thorough else self._most]

    @cached_property
    def _most(self) -> int:
        """Mistakes that the budget has room for."""
        return max(bounds.FEWEST_TRIALS, int(bounds.SEARCH_BUDGET / self._products))

    @cached_property
    def _products(self) -> float:
        """Of a trial, roughly."""
        decoder = range(1, 1 + len(self.mirror.geometry["upsample_rates"]))
        units = [f"code2wav.decoder.{n}.block.{u}.conv1.conv.weight" for n in decoder for u in (2, 3, 4)]
        layers = [name for name in full_names(self.mirror) if ".pre_transformer.layers." in name]
        seen = bounds.SEEN_SAMPLES * sum(self.mirror.weight(name).size for name in units)
        frames = self.many * sum(self.mirror.weight(name).size for name in layers)
        return seen + frames / 2

    # --- trials -----------------------------------------------------------------------------------------------------

    def _search(
        self,
        base: tuple[PortMistake, ...],
        likely: list[PortMistake],
        mistakes: list[PortMistake],
        at_once: bool = False,
    ) -> list[Explanation]:
        """Those that with `base` come nearer than it alone, judged on many frames; `mistakes`: of which some may do as
        well as what is found; `at_once`: beside one that explains nearly all a second is looked for before all are
        tried."""
        trials = self._trials(base) if base else self._right
        before = trials.glimpsed(None)
        enough = self.explained if base else max(self.explained, self._beyond_doubt(before))
        nearer: list[tuple[float, PortMistake]] = []
        each = {id(mistake): mistake for mistake in likely if mistake.reach <= self.codes.shape[1]}  # once
        likely = [*each.values()]
        tried = self.progress.through(likely, len(likely), "trying changes of the vocoder")
        seen = (mistake for mistake in tried if not trials.hardly_helps(mistake))
        for mistake, left in self._glimpsed(trials, seen):
            self.tried += 1
            if not base:
                self._alone[id(mistake)] = left
            if left <= enough and trials.residual(mistake, self._frames_of(base, mistake)) <= enough:
                others = [one for one in mistakes if _rivals(one, mistake)]
                if left > self.explained:  # of what the next may leave nothing
                    others += _behind(mistake, likely)[: bounds.TRIED_BEHIND]
                nearer = [(0.0, mistake), *self._rivals_of(mistake, others, trials, enough)]
                break
            if left < bounds.WORTH_A_LOOK.value * before:
                nearer.append((left, mistake))
            if at_once and left < bounds.DOMINATES * before and (found := self._dominated(mistake, mistakes)):
                return found
        nearest = self._looked_at(trials, nearer, len(likely))[: bounds.LOOKED_AT_AGAIN]
        found = [
            self._explanation(trials, base, mistake)
            for mistake in self.progress.through(nearest, len(nearest), "looking again at those that came nearest")
        ]
        return sorted(found, key=lambda explanation: explanation.residual)

    def _glimpsed(
        self, trials: Trials, mistakes: Iterable[PortMistake], place: int = 0
    ) -> Iterator[tuple[PortMistake, float]]:
        """Of a large vocoder several at once, of a small one several together."""
        if self._is_large:
            return trials.glimpsed_side_by_side(mistakes, place)
        return trials.glimpsed_in_turn(mistakes, place)

    def _dominated(self, first: PortMistake, mistakes: list[PortMistake]) -> list[Explanation]:
        """What explains all, where one mistake explains nearly all: another of the same modules, or it and a second."""
        alone = self._explanation(self._right, (), first)
        if self._is_large or self._has_dominated or alone.residual > bounds.DOMINATES * self.right:
            return []
        self._has_dominated = True
        return self._singles_like(first, mistakes) or self._with_a_second(alone, mistakes)

    def _singles_like(self, one: PortMistake, mistakes: list[PortMistake]) -> list[Explanation]:
        """Others of its modules, and the same made in others, that explain all. [] where none does."""
        alike = [other for other in mistakes if _rivals(other, one) or _is_alike(other, one)]
        singles = self._search((), alike, mistakes)
        return singles if self._explain(singles) else []

    def _with_a_second(self, alone: Explanation, mistakes: list[PortMistake]) -> list[Explanation]:
        """The first and a second that explain all, of those that to first order do; or one that does what both do."""
        (first,) = alone.mistakes
        trials = self._trials((first,), weigh=True)
        seconds = self._seconds(alone, mistakes)
        able = [one for one in seconds if one.reach <= self.codes.shape[1] and not _rivals(one, first)]
        weighed = self.progress.through(able, len(able), f"weighing what is wrong beside this: {first.clause}")
        likely = trials.go_with_theirs(trials.likeliest_first(weighed, math.inf))
        found = self._beside((first,), likely, mistakes)
        if not self._explain(found):
            return []
        return self._singles_like(found[0].mistakes[1], mistakes) or found

    def _beyond_doubt(self, before: float) -> float:
        """What may be left over of what one mistake alone can have made: what an engine of another precision leaves,
        and next to nothing of what was there before."""
        return min(bounds.EXPLAINS.value, bounds.NEXT_TO_NOTHING * min(before, self.right))

    def _rivals_of(
        self, mistake: PortMistake, others: list[PortMistake], trials: Trials, enough: float
    ) -> list[tuple[float, PortMistake]]:
        """Others that do as well: the nearest, the first of those that are equal."""
        able = (other for other in others if other.reach <= self.codes.shape[1])
        rivals = {id(other): other for other in able if other is not mistake}.values()
        told = (other for other, left in self._glimpsed(trials, rivals) if left <= enough)
        good = [(left, other) for other in told if (left := trials.glimpsed(other)) <= enough]  # not roughly alone
        alike = [(0.0 if left <= self.explained else left, other) for left, other in good]
        return sorted(alike, key=lambda entry: entry[0])[: bounds.MOST_OTHERS]

    def _explanation(self, trials: Trials, base: tuple[PortMistake, ...], mistake: PortMistake) -> Explanation:
        frames = self._frames_of(base, mistake)
        return Explanation((*base, mistake), trials.residual(mistake, frames), self._right.residual(None, frames))

    def _looked_at(self, trials: Trials, nearer: list[tuple[float, PortMistake]], tried: int) -> list[PortMistake]:
        """Those that come nearest where few samples were looked at, by place after place, at each a third of them: of
        thousands many do well at one place by chance."""
        if len(nearer) < 2:
            return [mistake for _, mistake in nearer]
        for place in range(1, trials.n_places):
            most = max(bounds.LOOKED_AT_AGAIN, tried // (bounds.LOOKED_AT * bounds.FEWER ** (place - 1)))
            nearer = sorted(nearer, key=lambda entry: entry[0])[:most]
            words = f"looking at another place, number {place}"
            lefts = [left for left, _ in nearer]
            again = self.progress.through((mistake for _, mistake in nearer), len(nearer), words)
            seen = self._glimpsed(trials, again, place)
            nearer = [
                ((place * left + here) / (place + 1), mistake)
                for left, (mistake, here) in zip(lefts, seen, strict=True)
            ]
        return [mistake for _, mistake in sorted(nearer, key=lambda entry: entry[0])]

    def _frames_of(self, base: tuple[PortMistake, ...], mistake: PortMistake) -> int:
        """On how many they are judged: all, where the first hang on the last, or the last of few on what follows."""
        ahead = any(one.looks_ahead or one.sees_later for one in (*base, mistake))
        frames = bounds.MOST_FRAMES_AHEAD if ahead else max(self.many, mistake.reach + 1)
        return int(min(self.codes.shape[1], bounds.MOST_FRAMES_AHEAD, frames))

    def _trials(self, base: tuple[PortMistake, ...], weigh: bool = False) -> Trials:
        mirror, choices = with_mistakes(self.mirror, base)
        codes = _codes_of(base, self.codes)
        ahead = any(mistake.looks_ahead for mistake in base)
        many = min(codes.shape[1], bounds.MOST_FRAMES_AHEAD) if ahead else self.many
        weigh = weigh or not base
        return Trials(
            mirror, choices, codes, self.theirs, self.per_frame, many, self.explained, ahead, weigh, self.at_once
        )


def explained_residual(floor: float) -> float:
    """What a right engine leaves over of a sound file that rounds `floor` away."""
    return max(bounds.FLOOR_TIMES.value * floor, bounds.EXPLAINED_RESIDUAL.value)


def _less_likely(mistake: PortMistake) -> tuple[bool, bool]:
    return mistake.is_of_one, MULTIPLIED in mistake.clause


def _rivals(one: PortMistake, other: PortMistake) -> bool:
    """Whether they change modules of the same modules, so that one may make what the other does."""
    mine, theirs = ({path.rpartition(".")[0] for path in mistake.paths()} for mistake in (one, other))
    return bool(mine) and mine == theirs


def _behind(one: PortMistake, every: list[PortMistake]) -> list[PortMistake]:
    """All that come behind it."""
    return every[next(n for n, other in enumerate(every) if other is one) + 1 :]


def _chooses_for(one: PortMistake, other: PortMistake) -> bool:
    """Whether it is a choice of the modules that the other changes, or of those that hold them."""
    held = {*other.paths(), *(path.rpartition(".")[0] for path in other.paths())}
    return bool(one.choices.changes) and {*one.paths()} <= held


def _both(one: PortMistake, other: PortMistake) -> PortMistake:
    """Two as one."""
    clause = f"{one.clause}, and {other.clause}"
    return PortMistake(one.kind, one.where, clause, one.choices + other.choices, one.weights + other.weights)


def _inside(one: PortMistake, other: PortMistake) -> bool:
    """Whether it is the other, made in some of its modules."""
    return _is_alike(one, other) and {*one.paths()} < {*other.paths()}


def _is_alike(one: PortMistake, other: PortMistake) -> bool:
    """Whether it is the same, made in other modules."""
    return one.anywhere == other.anywhere


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
