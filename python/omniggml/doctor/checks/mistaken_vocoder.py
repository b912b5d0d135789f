"""With which mistake does the vocoder make their audio?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.afterwards import Alteration, change_of, noise_over
from omniggml.doctor.catalogue import MISTAKE_SENTENCES, Certainty
from omniggml.doctor.checks.audio import swapped
from omniggml.doctor.checks.their_audio import TheirAudio
from omniggml.doctor.counterfactuals import VocoderMistake, kept, vocoder_mistakes
from omniggml.doctor.next_question import where_to_cut, which_module
from omniggml.doctor.port_search import Explanation, PortSearch, explained_residual
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.vocoder_grammar import PortMistake, hangs_on_later
from omniggml.doctor.vocoder_mirror import DILATIONS, Scoped
from omniggml.doctor.words import share
from omniggml.spec.model_config import SAMPLE_RATE

_TINY = 1e-12
# A residual unit's second convolution has one tap of seven.
_BOTH_CONVOLUTIONS = 8 / 7


@dataclass(frozen=True)
class Trial:
    """What a vocoder with a mistake (None: without) leaves over of their audio."""

    mistake: VocoderMistake | None
    match: Match


class MistakenVocoder(TheirAudio):
    """Their audio against what a vocoder makes of their codes with mistakes: well-known ones, any, or two."""

    def _mistaken(self, right: Trial, frames: int) -> bool:
        """Whether mistakes explain theirs: one that is well known, any that can be made, or two."""
        # What their file rounds away is left over of the right one, too, and no mistake leaves less.
        own = match(self.theirs, self.made, self.per_frame).residual  # by the engine, in the precision that it takes
        left = min(right.match.residual, own)
        if bounds.NOTHING_LEFT.below(left) or self.rounded_away(left):
            return False
        if self._changed(change_of(self.theirs, self.made, self.by_another_engine)):
            return True
        # Noise is in pauses, too, where no codec puts any.
        if bounds.SAME.above(right.match.residual) and self._changed(noise_over(self.theirs, self.made)):
            return True
        if self.unexplained(right.match.residual) and self.is_coded(right.match, sure=True):
            return False
        known = self._known(right, frames)
        if known is not None and known.match.residual <= explained_residual(self.floor):
            return self._say_known(known, right)
        if bounds.SAME.above(right.match.residual) and self._changed_afterwards():
            return True
        unexplained = right.match.residual > min(explained_residual(self.floor), bounds.SAME.value)
        if unexplained and self._searched(right, known):
            return True
        return known is not None and self._say_known(known, right)

    @cached_property
    def search(self) -> PortSearch:
        coarse = self.rate != SAMPLE_RATE or self.audio.subtype in bounds.LOSSY
        floor = min(self.floor, bounds.EXPLAINS.value / bounds.FLOOR_TIMES.value)
        return PortSearch(
            self.mirror,
            self.codes,
            self.theirs,
            floor,
            self.announce,
            self.made,
            coarse=coarse,
            threads=self.threads,
            thorough=self.thorough,
        )

    def _known(self, right: Trial, frames: int) -> Trial | None:
        """The well-known mistake that explains far more than none does."""
        first = min(frames, bounds.TRIAL_FRAMES)
        right_of_few = self._trial(None, first)
        every = [
            mistake
            for mistake in vocoder_mistakes(self.mirror.geometry, self.n_frames)
            if not (mistake.choices.half and bounds.SAME.below(right.match.residual))
        ]
        tried = self.progress.through(every, len(every), "trying well-known mistakes")
        places = self.search.glimpsed(_anywhere(mistake) for mistake in tried)
        glimpsed = [(left, number) for number, left in enumerate(places)]
        again = [number for _, number in sorted(glimpsed)[: bounds.KNOWN_LOOKED_AT_AGAIN]]
        # Where activations overflow, one place tells nothing.
        again += [n for n, mistake in enumerate(every) if mistake.choices.half and n not in again]

        def tried_again(number: int) -> tuple[float, Trial]:
            choices = every[number].choices
            far = choices.window is not None or hangs_on_later(choices)
            trial = self._trial(every[number], frames if far else first)
            beaten = (right if far or frames == first else right_of_few).match.residual
            return trial.match.residual / max(beaten, _TINY), trial

        numbers = self.progress.through(again, len(again), "trying the likeliest of them again")
        trials = [trial for _, trial in side_by_side(tried_again, numbers, self.search.at_once)]
        ratio, best = min(trials, key=lambda entry: entry[0])
        assert best.mistake is not None
        others = [left for left, number in glimpsed if every[number].name != best.mistake.name]
        others += [
            trial.match.residual for _, trial in trials if trial.mistake and trial.mistake.name != best.mistake.name
        ]
        alone = _stands_out(best.match.residual, [right.match.residual, *others])
        leaves_little = not bounds.MISTAKE_LEAVES.above(best.match.residual)
        if not alone and not (leaves_little and bounds.MISTAKE_BEATS.below(ratio)):
            return None
        return best

    def _trial(self, mistake: VocoderMistake | None, frames: int) -> Trial:
        if mistake is None:
            ours = self.mirror(self.codes[:, :frames])
        else:
            ours = self.mirror(mistake.codes(self.codes)[:, :frames], mistake.choices)
        # A little more of theirs, for a lag; the end of ours only where it is theirs too.
        theirs = self.theirs[: len(ours)] if frames < self.n_frames else self.theirs
        return Trial(mistake, match(theirs, ours, self.per_frame))

    def _say_known(self, best: Trial, right: Trial) -> bool:
        assert best.mistake is not None
        what = MISTAKE_SENTENCES[best.mistake.name]
        verb = "is like" if bounds.MISTAKE_LEAVES.above(best.match.residual) else "equals"
        self.report.find(
            best.mistake.id,
            f"Your audio {verb} ours when {what} (correlation {best.match.correlation:.4f}; without that mistake "
            f"{right.match.correlation:.4f}).",
            cause=best.mistake.cause,
            correlation=best.match.correlation,
            residual=best.match.residual,
            correlation_without=right.match.correlation,
            residual_without=right.match.residual,
            gain=best.match.gain,
            lag=best.match.lag,
        )
        return True

    def _searched(self, right: Trial, known: Trial | None) -> bool:
        found = self.search.run()
        self.explanations = found
        known_leaves = known.match.residual if known else 1.0
        best = next((e for e in found if _is_far_better(e) and e.residual < known_leaves and _explains(e)), None)
        if best is None:
            return False
        clauses = [mistake.clause for mistake in best.mistakes]
        both = "two things are wrong: " if len(clauses) > 1 else ""
        self.report.find(
            f"vocoder.{best.mistakes[0].kind}",
            f"Your audio equals ours when {both}{', and '.join(clauses)} ({share(best.residual)} of it is left over; "
            f"{share(best.without)} without).{self._beyond(best)}",
            tensors=tuple(mistake.where for mistake in best.mistakes),
            cause=tuple(mistake.cause for mistake in best.mistakes),
            residual=best.residual,
            residual_without=best.without,
        )
        others = _as_good(best, found)
        if others:
            left = [explanation.mistakes for explanation in (best, *others)]
            self.report.ask(which_module(self.mirror, self.codes, left, self.dumped))
        for other in others:
            self.report.find(
                f"vocoder.{other.mistakes[-1].kind}",
                f"It equals ours as well when {', and '.join(mistake.clause for mistake in other.mistakes)}.",
                certainty=Certainty.HINT,
                tensors=tuple(mistake.where for mistake in other.mistakes),
                cause=tuple(mistake.cause for mistake in other.mistakes),
                residual=other.residual,
            )
        return True

    def _beyond(self, best: Explanation) -> str:
        """What is left over may hide what makes less."""
        if best.residual <= max(bounds.LEFT_BY_ROUNDING, self.search.explained):
            return ""
        return " What is left over is what an engine of 16 bits leaves, or a smaller mistake beside it."

    def _changed(self, change: Alteration | None) -> bool:
        if change is None:
            return False
        self.say_changed(change, certainty=Certainty.REPRODUCED)
        return True

    def _changed_afterwards(self) -> bool:
        """Whether theirs is ours, cut at the limits (which is found already) or with its bytes swapped."""
        if self._only_clipped():
            return True
        swap = match(swapped(self.theirs), self.mirror(self.codes[:, : bounds.TRIAL_FRAMES]), self.per_frame)
        if not bounds.SAME.below(swap.residual):
            return False
        self.say_swapped()
        return True

    def _only_clipped(self) -> bool:
        """Whether theirs is ours, too loud, cut at the limits."""
        ours = self.mirror(self.codes[:, : bounds.TRIAL_FRAMES]).astype(np.float64)
        n = min(len(ours), len(self.theirs))
        ours, theirs = ours[:n], self.theirs[:n]
        inside = np.abs(theirs) < bounds.FULL
        if bounds.INSIDE.above(float(inside.mean())) or inside.sum() < bounds.LEAST_INSIDE:
            return False
        gain = float(ours[inside] @ theirs[inside]) / max(float(ours[inside] @ ours[inside]), _TINY)
        return bounds.SAME.below(match(theirs, np.clip(gain * ours, -1, 1), 0).residual)

    def _products(self) -> float:
        """Multiplications a frame, roughly: each tensor's values as often as it is applied."""
        total, times = 0.0, 1.0
        shapes = self.mirror.weights
        for stage, ratio in enumerate(self.mirror.geometry["upsampling_ratios"]):
            times *= ratio
            total += times * shapes[f"code2wav.upsample.{stage}.1.pwconv1.weight"].size * 2
        for number, rate in enumerate(self.mirror.geometry["upsample_rates"], 1):
            times *= rate
            total += (
                len(DILATIONS)
                * times
                * shapes[f"code2wav.decoder.{number}.block.2.conv1.conv.weight"].size
                * _BOTH_CONVOLUTIONS
            )
        return total

    def _nearest(self) -> Explanation | None:
        """What leaves far less than none does, though not little enough: of those as good the fewest mistakes."""
        nearer = [one for one in self.explanations if _is_far_better(one)]
        least = min((one.residual for one in nearer), default=0.0)
        as_good = [one for one in nearer if not bounds.AS_GOOD.above(one.residual / (least or 1))]
        return min(as_good, key=lambda one: (len(one.mistakes), one.residual), default=None)

    def _nearest_cause(self) -> tuple[dict[str, str], ...] | None:
        best = self._nearest()
        return None if best is None else tuple(mistake.cause for mistake in best.mistakes)

    def _nearest_words(self) -> str:
        """What comes nearest, where that is far nearer than without, though it doesn't explain all."""
        best, tried = self._nearest(), self.search.tried
        none = f"none of the {tried} mistakes that were tried makes" if tried else "no known mistake makes"
        more = self.search.untried
        on = f"; {more} that are less likely were not: --thorough tries them" if tried and more else ""
        if best is None:
            return f"{none} it{on}"
        clauses = ", and ".join(mistake.clause for mistake in best.mistakes)
        return f"{none} all of it; it comes nearest when {clauses} ({share(best.residual)} is left over){on}"

    def _ask_on(self, since: int) -> None:
        """`since`: the first frame that differs."""
        causes = [one.mistakes for one in self.explanations]
        self.report.ask(
            which_module(self.mirror, self.codes, causes, self.dumped, since)
            or where_to_cut(self.mirror, self.codes, self.dumped, since)
        )


def _is_far_better(explanation: Explanation) -> bool:
    """Than none, on the same frames."""
    return bounds.MISTAKE_BEATS.below(explanation.residual / (explanation.without or 1))


def _explains(explanation: Explanation) -> bool:
    return not bounds.EXPLAINS.above(explanation.residual)


def _as_good(best: Explanation, found: list[Explanation]) -> list[Explanation]:
    """Other explanations that leave as little, the first few."""
    others = [other for other in found if not _same(other, best) and len(other.mistakes) == len(best.mistakes)]
    good = [other for other in others if not bounds.AS_GOOD.above(other.residual / (best.residual or 1))]
    return good[: bounds.MOST_OTHERS]


def _same(one: Explanation, other: Explanation) -> bool:
    """Whether they are of the same mistakes, in whatever order."""
    return {mistake.clause for mistake in one.mistakes} == {mistake.clause for mistake in other.mistakes}


def _anywhere(mistake: VocoderMistake) -> PortMistake:
    """A well-known mistake as one among all: made in every module."""
    codes = None if mistake.codes is kept else mistake.codes
    return PortMistake(mistake.name, "code2wav", mistake.name, Scoped((("*", mistake.choices),)), codes=codes)


def _stands_out(left: float, others: list[float]) -> bool:
    """Whether it explains a fifth of theirs, and nothing else a tenth of that: what is left of a signal that was cut at
    the limits, or of a computation in which the smallest difference grows."""
    explained = 1 - left
    if not bounds.STANDS_OUT.above(explained):
        return False
    return bounds.STANDS_ALONE.below(max(1 - other for other in others) / explained)
