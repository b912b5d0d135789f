"""The vocoder: is it alive, and is their audio what it makes of their codes - or with which mistake?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded
from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.afterwards import Alteration, change_of, noise_over
from omniggml.doctor.alignment import Stretch, Whole, pieces, resampled, whole
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import MISTAKE_SENTENCES, Certainty
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.audio import find_rate, judge_rate, noisiness, swapped
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.coding import coded_share, like_coded
from omniggml.doctor.counterfactuals import VocoderMistake, in_pieces, kept, vocoder_mistakes
from omniggml.doctor.difference import Shape, shape_of
from omniggml.doctor.grids import step_of
from omniggml.doctor.next_question import where_to_cut, which_module
from omniggml.doctor.port_search import Explanation, PortSearch, explained_residual
from omniggml.doctor.progress import Progress
from omniggml.doctor.rewriting import REWRITINGS, SLIPS, SWAPPED
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.vocoder_grammar import PortMistake
from omniggml.doctor.vocoder_mirror import DILATIONS, Choices, Scoped, VocoderMirror
from omniggml.errors import OmniError
from omniggml.model import Model
from omniggml.spec.model_config import SAMPLE_RATE

IntArray = npt.NDArray[np.int32]
Samples = npt.NDArray[np.float64]

_DRAWS = 3
_TINY = 1e-12
_DECIBELS = 10
_UNIFORM = 12  # a step squared over the variance of what is rounded to it
# A residual unit's second convolution has one tap of seven.
_BOTH_CONVOLUTIONS = 8 / 7


def check_vocoder(case: Case, given: Readable, untrained: bool) -> Report:
    """Needs a model or at least the vocoder's tensors; compares with the audio where codes and audio are given.
    `untrained`: see `check_file`."""
    if case.mirror is None:
        return Report()
    report = Report("vocoder")
    if case.model is not None:
        check_life(report, case.mirror, case.model)
    if case.audio is None or case.codes is None:
        return report
    if given.right is None:
        report.skip("their audio against ours: the codes can't be decoded as they are")
        judge_rate(case, report, case.audio, untrained)
        return report
    theirs = case.audio.mono
    if theirs.size and np.isfinite(theirs).all() and not bounds.SILENT.below(float(theirs.std())):
        codes = _decoded_codes(case.codes, given, case.mirror, theirs)
        Recognition(case, report, case.mirror, codes, theirs).run()
    return report


def _decoded_codes(as_given: npt.NDArray[Any], read: Readable, mirror: VocoderMirror, theirs: Samples) -> IntArray:
    """Codes in a wrong order may be what was decoded, or were only saved so: those that fit the audio better."""
    assert read.right is not None
    if not read.rearranged or len(as_given) != len(read.right):
        return read.right
    choices = [read.right, as_given.astype(np.int32)]
    # Frames that come twice, or in another order, may do so late.
    late = as_given.shape != read.right.shape
    samples = [mirror(codes if late else codes[:, : bounds.TRIAL_FRAMES]) for codes in choices]
    left = [match(theirs[: len(ours)], ours, 0).residual for ours in samples]
    return choices[int(np.argmin(left))]


def check_life(report: Report, mirror: VocoderMirror, model: Model) -> None:
    """Whether the engine's vocoder makes sound that depends on the codes."""
    geometry = model.geometry["code2wav"]
    draw = np.random.default_rng(1).integers(
        0, geometry["codebook_size"], (_DRAWS, geometry["num_quantizers"], bounds.ALIVE_FRAMES)
    )
    draw[0] = 0
    try:
        zero, one, two = (model.code2wav(codes) for codes in draw)
    except OmniError as error:
        report.find("vocoder.not-finite", f"The vocoder fails: {error}")
        return
    report.measurements["vocoder"] = {
        "rms_of_zero_codes": round(float(zero.std()), 6),
        "rms_of_random_codes": round(float(one.std()), 6),
    }
    share = float(np.mean(np.abs(one) >= bounds.FULL))
    if bounds.DEAD.below(float(np.abs(one).max(initial=0))):
        report.find("vocoder.silent", "Random codes make silence.")
    elif bounds.DEAF.above(match(one, two, 0).correlation):
        report.find("vocoder.deaf", "Two sets of random codes make the same audio.")
    elif bounds.LOUD.above(share):
        report.find("vocoder.clips", f"Of random codes' samples {share:.0%} are at the limits.", share=share)
    _check_overflow(report, mirror, draw[1])


def _check_overflow(report: Report, mirror: VocoderMirror, codes: npt.NDArray[np.integer]) -> None:
    mirror.watch = True
    mirror(codes[:, : bounds.OVERFLOW_FRAMES])
    mirror.watch = False
    largest = {name: float(np.abs(values).max(initial=0)) for name, values in mirror.seen.items()}
    beyond = {name: value for name, value in largest.items() if bounds.OVERFLOW.above(value)}
    if beyond:
        name = max(beyond, key=lambda key: beyond[key])
        report.find(
            "vocoder.f16-overflow",
            f"{name} reaches {beyond[name]:.3g}; float16 ends at {bounds.OVERFLOW.value:.0f}.",
            tensors=tuple(beyond),
        )


# --- recognising ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What a vocoder with a mistake (None: without) leaves over of their audio."""

    mistake: VocoderMistake | None
    match: Match


class Recognition:
    """Their audio against what the file's vocoder makes of their codes, with and without known mistakes."""

    def __init__(self, case: Case, report: Report, mirror: VocoderMirror, codes: IntArray, theirs: Samples) -> None:
        assert case.audio is not None and case.codes is not None
        self.report, self.mirror, self.as_given, self.codes, self.theirs = report, mirror, case.codes, codes, theirs
        self.announce, self.audio, self.rate = case.announce, case.audio, case.audio.rate
        self.progress = Progress(case.announce)
        self.threads = case.options.threads
        self.model = case.model
        self.dumped = frozenset(case.theirs or ())
        self.explanations: list[Explanation] = []
        geometry = mirror.geometry
        self.per_frame = int(np.prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]]))
        self.lost = _lost(geometry["upsample_rates"])
        self.n_frames = codes.shape[1]

    def run(self) -> None:
        """Add what is found."""
        self.progress.begins("comparing your audio with what the model makes of the codes")
        if self._in_pieces() or self._beyond_the_end() or self._copied():
            return
        names = [name for name in self.mirror.weights if name.startswith("code2wav.")]
        read = self.progress.through(names, len(names), "reading the vocoder's weights")
        for _ in side_by_side(self.mirror.weight, read, min(self.threads, bounds.TENSORS_AT_ONCE)):
            pass  # they are kept
        frames = min(self.n_frames, bounds.MOST_FRAMES, max(bounds.TRIAL_FRAMES, int(bounds.BUDGET / self._products())))
        right = self._trial(None, frames)
        self.report.measurements["theirs"] = {
            "correlation": round(right.match.correlation, 6),
            "gain": round(right.match.gain, 6),
            "lag": right.match.lag,
            "residual": right.match.residual,
        }
        if not self._mistaken(right, frames):
            self._judge_right(right)

    def _copied(self) -> bool:
        """Whether theirs is ours, edited on its way into the file: what was done is a note, or a map of its pieces."""
        if self._at_a_rate():
            return True
        ours, theirs = self._made, self.theirs
        found = whole(theirs, ours)
        if found is not None and self._comes_later(found):
            self.theirs = found.placed(theirs, ours)
            self._say_edited(found)
            return False
        if found is None or not bounds.COPIED.below(found.residual):
            return self._rewritten(theirs, ours) or self._in_other_order(theirs, ours) or self._slipped(theirs, ours)
        lost = found.lost_before + found.lost_after
        # Transposed convolutions that are trimmed on one side alone make whole frames, of which ours is a part.
        whole_frames = len(theirs) == self.per_frame * self.n_frames
        if not whole_frames and not found.silent_around and self._in_other_order(theirs, ours):
            return True
        if whole_frames or not found.silent_around or bounds.LOST_ENDS.above(lost) or found.gain < 0:
            return False
        exact = found.residual <= explained_residual(self.floor)
        if not (exact and found.faded) and len(theirs) == len(ours):
            return False
        self._say_edited(found)
        alike = not self._unexplained(found.residual)
        if not alike:
            self.theirs = found.placed(theirs, ours)  # where it is ours, what else was done to it is looked for
        return alike

    def _comes_later(self, found: Whole) -> bool:
        """Whether theirs is like ours, so far away that a delay isn't looked for there, with silence around."""
        far = max(found.lag, found.after) > self.per_frame and found.silent_around
        return far and bounds.COPIED.above(found.residual) and bounds.ALIGNED.above(math.sqrt(1 - found.residual))

    def _at_a_rate(self) -> bool:
        """Whether theirs is ours at another rate: the header's, which is a note, or one that it doesn't say."""
        others = (rate for rate in bounds.RATES if rate not in (self.rate, SAMPLE_RATE))
        for rate in (self.rate, SAMPLE_RATE, *others):
            left = self._left_at(rate)
            if left is None or not bounds.COPIED.below(left):
                continue
            if rate == SAMPLE_RATE != self.rate:
                find_rate(self.report, self.rate, rate)
            if rate == SAMPLE_RATE:
                return False  # what else was done to it is looked for
            if rate == self.rate:
                return self._resampled(left)
            if not self._rewritten(self.theirs, self._made, bounds.MISTAKE_BEATS.value * left):
                self.report.find(
                    "audio.rate",
                    f"Your audio is ours at {rate} samples a second; the header says {self.rate} Hz.",
                    cause={"kind": "rate", "where": "audio"},
                    rate=self.rate,
                    expected=rate,
                    residual=left,
                )
            return True
        if self._lasts_at(self.rate):
            self._say_resampled(1.0)
            self._read_at_ours()
        elif self.rate != SAMPLE_RATE:
            find_rate(self.report, self.rate, SAMPLE_RATE)
        return False

    def _lasts_at(self, rate: int) -> bool:
        """Whether theirs is as long as ours by the header's rate, which isn't ours, whatever its samples are."""
        theirs, ours = len(self.theirs) / rate, len(self._made) / SAMPLE_RATE
        return rate != SAMPLE_RATE and not bounds.LASTS_ALIKE.above(abs(theirs / ours - 1))

    def _read_at_ours(self) -> None:
        self.theirs = resampled(self.theirs, self.rate, SAMPLE_RATE)

    def _say_resampled(self, left: float) -> None:
        how = "" if left == 1 else f" ({_share(left)} of it is left over)"
        self.report.find(
            "audio.resampled",
            f"Your audio is resampled to {self.rate} Hz, as its header says{how}.",
            rate=self.rate,
            residual=left,
        )

    def _resampled(self, left: float) -> bool:
        """Whether that is all: where more is left over than resampling leaves, a mistake is looked for as well, if the
        file's rate holds all of ours."""
        self._say_resampled(left)
        if not bounds.RESAMPLED_LEAVES.above(left):
            return True
        if self.rate > SAMPLE_RATE:
            self._read_at_ours()
            found = whole(self.theirs, self._made)
            self.theirs = self.theirs if found is None else found.placed(self.theirs, self._made)
            return False
        self.report.find(
            "vocoder.close",
            f"Your audio is close to ours at {self.rate} Hz, but not equal: {_share(left)} of it is left over, more "
            "than resampling leaves.",
            residual=left,
        )
        self.report.ask(f"Send the audio as the model makes it, at {SAMPLE_RATE} Hz: a mistake is looked for there.")
        return True

    def _left_at(self, rate: int) -> float | None:
        """What ours leaves over of theirs, read at a rate, as far as both rates reach."""
        lower = min(rate, SAMPLE_RATE)
        theirs, ours = (resampled(x, own, lower) for x, own in ((self.theirs, rate), (self._made, SAMPLE_RATE)))
        copy = whole(theirs, ours)
        return None if copy is None else copy.residual

    @cached_property
    def floor(self) -> float:
        """The share of its energy that their sound file's type leaves over: of a codec, what it leaves over of ours."""
        if self.audio.subtype not in bounds.LOSSY:
            return rounding_share(self.audio)
        coded = coded_share(self._made, self.audio)
        # Codecs whose quality can be chosen leave over more of theirs than of ours, in the same places.
        chosen = self.audio.subtype in bounds.CONTAINERS and bounds.LIKE_CODED.above(self.like_coded)
        return max(bounds.LOSSY_SHARE, coded) if chosen or coded == 0 else coded

    @cached_property
    def search(self) -> PortSearch:
        coarse = self.rate != SAMPLE_RATE or self.audio.subtype in bounds.LOSSY
        floor = min(self.floor, bounds.EXPLAINS.value / bounds.FLOOR_TIMES.value)
        return PortSearch(
            self.mirror, self.codes, self.theirs, floor, self.announce, self._made, coarse=coarse, threads=self.threads
        )

    @cached_property
    def _made(self) -> Samples:
        """What the engine makes of the codes; where there is none, the mirror."""
        made = self.mirror(self.codes) if self.model is None else self.model.code2wav(self.codes)
        return made.astype(np.float64)

    def _say_edited(self, found: Whole) -> None:
        if found.faded:
            self.report.find(
                "audio.faded", f"{found.faded} samples at the ends are softer than ours.", samples=found.faded
            )
        if found.before or found.after:
            self.report.find(
                "audio.silence-around",
                f"{found.before} samples of silence come before ours, {found.after} after it.",
                before=found.before,
                after=found.after,
            )
        if found.lost_before or found.lost_after:
            self.report.find(
                "audio.trimmed",
                f"{found.lost_before} samples are cut from the beginning of ours, {found.lost_after} from its end.",
                lost_before=found.lost_before,
                lost_after=found.lost_after,
            )
        if bounds.QUIETER.below(found.gain) or bounds.LOUDER.above(found.gain):
            self.report.find("audio.gain", f"Your audio is ours times {found.gain:.3f}.", gain=found.gain)

    def _rewritten(self, theirs: Samples, ours: Samples, most: float = bounds.REWRITTEN.value) -> bool:
        """Whether theirs is ours with its bytes or samples taken for something else, which leaves over less than
        `most`."""
        if _left(theirs, ours) < bounds.REWRITTEN.value:
            return False  # it is as it should be, but for a factor or a constant
        channels = self.audio.samples
        if channels.shape[1] > 1 and _left(channels.ravel(), ours) < bounds.REWRITTEN.value:
            self._say_rewritten("one channel's samples are written as if channels took turns", "channels")
            return True
        left, number = min((_left(way.theirs(theirs), way.ours(ours)), n) for n, way in enumerate(REWRITINGS))
        if not bounds.REWRITTEN.below(left) or left > most:
            return False
        if REWRITINGS[number] is SWAPPED:
            self._say_swapped()
            return True
        self._say_rewritten(REWRITINGS[number].clause, REWRITINGS[number].kind)
        return True

    def _slipped(self, theirs: Samples, ours: Samples) -> bool:
        """Whether theirs is ours up to a sample, and ours with its bytes in another place from there on."""
        n = min(len(theirs), len(ours)) // bounds.PIECE
        a, b = (x[: n * bounds.PIECE].reshape(n, bounds.PIECE) for x in (theirs, ours))
        off = np.square(a - b).sum(axis=1) > bounds.COPIED.value * (
            np.square(b).sum(axis=1) + bounds.PIECE * bounds.AUDIBLE**2
        )
        first = int(np.argmax(off)) if off.any() else 0
        if not 0 < first < n - 1:
            return False
        start = (first + 1) * bounds.PIECE
        for way in SLIPS:
            left = match(way.theirs(theirs[start:]), ours[start:], bounds.PIECE).residual
            if bounds.REWRITTEN.below(left):
                self._say_rewritten(f"{way.clause} at {first * bounds.PIECE / SAMPLE_RATE:.2f} s", way.kind)
                return True
        return False

    def _say_swapped(self) -> None:
        self.report.find("audio.bytes", "With the bytes of its samples swapped, your audio equals ours.")

    def _say_rewritten(self, clause: str, kind: str) -> None:
        self.report.find(
            "audio.rewritten",
            f"Your audio equals ours when {clause}.",
            cause={"kind": kind, "where": "audio"},
        )

    def _in_other_order(self, theirs: Samples, ours: Samples) -> bool:
        found = pieces(theirs, ours)
        covered = sum(piece.length for piece in found)
        loud = int(np.sum(np.abs(theirs) > bounds.AUDIBLE))
        if (
            len(found) < 2
            or covered * 2 < loud
            or not (self.audio.subtype in bounds.LOSSY or _copies(found, theirs, ours))
        ):
            return False
        jumps = [(two.at, two.source - one.source - (two.at - one.at)) for one, two in pairwise(found)]
        words = [
            f"at {at / SAMPLE_RATE:.2f} s {abs(by)} samples {'are cut out' if by > 0 else 'come again or are added'}"
            for at, by in jumps[: bounds.MOST_OTHERS]
        ]
        kinds = {by > 0 for _, by in jumps}
        kind = "order" if len(kinds) > 1 else "cut" if kinds == {True} else _doubled_or_gap(found, theirs)
        self.report.find(
            "audio.pieces",
            f"Your audio is ours in {len(found)} pieces: {'; '.join(words)}.",
            cause={"kind": kind, "where": "audio"},
            pieces=[[piece.at, piece.source, piece.length] for piece in found[: bounds.NAMED_ERRORS]],
        )
        return True

    def _mistaken(self, right: Trial, frames: int) -> bool:
        """Whether mistakes explain theirs: one that is well known, any that can be made, or two."""
        # What their file rounds away is left over of the right one, too, and no mistake leaves less.
        own = match(self.theirs, self._made, self.per_frame).residual  # by the engine, in the precision that it takes
        left = min(right.match.residual, own)
        if bounds.NOTHING_LEFT.below(left) or self._rounded_away(left):
            return False
        explained = min(max(explained_residual(self.floor), bounds.EXPLAINS.value), bounds.SAME.value)
        if self._changed(change_of(self.theirs, self._made, explained)):
            return True
        if self._unexplained(right.match.residual) and self._is_coded(right.match, sure=True):
            return False
        known = self._known(right, frames)
        if known is not None and known.match.residual <= explained_residual(self.floor):
            return self._say_known(known, right)
        if bounds.SAME.above(right.match.residual) and self._changed_afterwards():
            return True
        unexplained = right.match.residual > min(explained_residual(self.floor), bounds.SAME.value)
        if unexplained and self._searched(right, known):
            return True
        if bounds.SAME.above(right.match.residual) and self._changed(noise_over(self.theirs, self._made)):
            return True
        return known is not None and self._say_known(known, right)

    def _changed(self, change: Alteration | None) -> bool:
        if change is None:
            return False
        self.report.find(
            change.id,
            change.sentence,
            certainty=Certainty.REPRODUCED,
            cause={"kind": change.kind, "where": "audio"},
            residual=change.left,
            **change.evidence,
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
            f"Your audio equals ours when {both}{', and '.join(clauses)} ({_share(best.residual)} of it is left over; "
            f"{_share(best.without)} without).",
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

    def _trial(self, mistake: VocoderMistake | None, frames: int) -> Trial:
        if mistake is None:
            ours = self.mirror(self.codes[:, :frames])
        else:
            ours = self.mirror(mistake.codes(self.codes)[:, :frames], mistake.choices)
        # A little more of theirs, for a lag; the end of ours only where it is theirs too.
        theirs = self.theirs[: len(ours)] if frames < self.n_frames else self.theirs
        return Trial(mistake, match(theirs, ours, self.per_frame))

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
        trials = []
        for number in self.progress.through(again, len(again), "trying the likeliest of them again"):
            far = every[number].choices.window is not None
            trial = self._trial(every[number], frames if far else first)
            beaten = (right if far or frames == first else right_of_few).match.residual
            trials.append((trial.match.residual / max(beaten, _TINY), trial))
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

    def _judge_right(self, right: Trial) -> None:
        found = right.match
        if self.audio.subtype in bounds.LOSSY and self._rounded_away(found.residual):
            self.report.find(
                "audio.lossy",
                f"Your audio is ours, stored as {self.audio.subtype}, which leaves over {_share(found.residual)} of "
                "it: a mistake that is smaller can't be told from that.",
                subtype=self.audio.subtype,
                residual=found.residual,
            )
        elif bounds.EXPLAINS.above(found.residual) and self._rounded_away(found.residual):
            bits = 1 - math.log2(math.sqrt(self.floor * _UNIFORM * float(np.mean(np.square(self.theirs)))))
            self.report.find(
                "audio.lossy",
                f"Your audio is ours, rounded to about {bits:.0f} bits, which leaves over {_share(found.residual)} of "
                "it: a mistake that is smaller can't be told from that.",
                bits=round(bits),
                residual=found.residual,
            )
        elif self._unexplained(found.residual) and self._is_coded(found):
            self.report.find(
                "audio.lossy",
                f"Your audio is ours, decoded again from a lossy codec: {_share(found.residual)} of it is left over, "
                "as MP3, Opus or Vorbis would leave it. A mistake that is smaller can't be told from that.",
                residual=found.residual,
                likeness=self.like_coded,
            )
        elif bounds.SAME.above(found.residual) and not self._rounded_away(found.residual):
            self.report.find(
                "vocoder.differs",
                f"Your audio is not what the model makes of these codes (correlation {found.correlation:.3f}), and "
                f"{self._nearest_words()}.{self._shape(found).sentence}",
                cause=self._nearest_cause(),
                correlation=found.correlation,
                residual=found.residual,
                **self._shape(found).as_evidence(),
            )
            self._ask_on()
            return
        elif self._unexplained(found.residual):
            self._say_close(found)
        if found.gain < 0:
            self.report.find(
                "audio.negated",
                f"Your audio is ours with its sign turned (gain {found.gain:.3f}).",
                gain=found.gain,
            )
        elif bounds.QUIETER.below(found.gain) or bounds.LOUDER.above(found.gain):
            self.report.find("audio.gain", f"Your audio is ours times {found.gain:.3f}.", gain=found.gain)
        self._judge_constant(found)
        self._judge_length(found)

    def _unexplained(self, residual: float) -> bool:
        """Whether more is left over than an engine in 16 bits, and their file, would leave."""
        return bounds.EXPLAINS.above(residual) and not self._rounded_away(residual)

    def _rounded_away(self, residual: float) -> bool:
        """Whether their file's type leaves as much over of ours."""
        most = bounds.CODED if self.audio.subtype in bounds.LOSSY else bounds.ROUNDED_AWAY
        return most.below(residual / self.floor)

    def _is_coded(self, found: Match, sure: bool = False) -> bool:
        """Whether theirs was through a codec, though its file doesn't say so."""
        if self.audio.subtype in bounds.LOSSY or bounds.CODED_LEAVES.above(found.residual):
            return False
        return (bounds.SURELY_CODED if sure else bounds.LIKE_CODED).above(self.like_coded)

    @cached_property
    def like_coded(self) -> float:
        """See `coding.like_coded`; the engine's audio of all codes beside theirs."""
        return like_coded(self.theirs, self._made, match(self.theirs, self._made, self.per_frame))

    def _say_close(self, found: Match) -> None:
        """Theirs is neither ours nor anything else: by as much as few bits do, or by more, or bound to a time."""
        shape = self._shape(found)
        decibels = -_DECIBELS * math.log10(found.residual)
        few_bits = not bounds.CLOSE.above(found.residual) and not shape.in_time
        alike = f"{decibels:.0f} dB ({_share(found.residual)} of it is left over)"
        self.report.find(
            "vocoder.few-bits" if few_bits else "vocoder.close",
            f"Your audio is ours to within {alike}, as of an engine in 8 bits.{shape.sentence}"
            if few_bits
            else f"Your audio is close to ours, but not equal: {alike}, and {self._nearest_words()}.{shape.sentence}",
            cause=None if few_bits else self._nearest_cause(),
            residual=found.residual,
            **shape.as_evidence(),
        )
        if not few_bits:
            self._ask_on()

    def _ask_on(self) -> None:
        self.report.ask(
            which_module(self.mirror, self.codes, [one.mistakes for one in self.explanations], self.dumped)
            or where_to_cut(self.mirror, self.codes, self.dumped)
        )

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
        best = self._nearest()
        if best is None:
            return "no known mistake makes it"
        clauses = ", and ".join(mistake.clause for mistake in best.mistakes)
        return (
            f"no known mistake makes all of it; it comes nearest when {clauses} ({_share(best.residual)} is left over)"
        )

    def _shape(self, found: Match) -> Shape:
        return shape_of(self.theirs, self._made, found, self.per_frame)

    def _changed_afterwards(self) -> bool:
        """Whether theirs is ours, cut at the limits (which is found already) or with its bytes swapped."""
        if self._only_clipped():
            return True
        swap = match(swapped(self.theirs), self.mirror(self.codes[:, : bounds.TRIAL_FRAMES]), self.per_frame)
        if not bounds.SAME.below(swap.residual):
            return False
        self._say_swapped()
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

    def _judge_constant(self, found: Match) -> None:
        ours = self.mirror(self.codes[:, : bounds.TRIAL_FRAMES])
        constant = float(self.theirs[: len(ours)].mean() - found.gain * ours.mean())
        beside = abs(constant) / (float(ours.std()) or 1)
        if not bounds.SHIFTED.above(abs(float(self.theirs.mean()))):
            return  # a constant of ours was taken away
        if bounds.SHIFTED.above(abs(constant)) and bounds.SHIFTED_BESIDE.above(beside):
            self.report.find(
                "audio.dc",
                f"Your audio is ours shifted by {constant:.3f}.",
                certainty=Certainty.REPRODUCED,
                cause={"kind": "constant", "where": "audio"},
                constant=constant,
            )

    def _judge_length(self, found: Match) -> None:
        """Beyond the end of ours there may be something else, or ours again."""
        have, want = len(self.theirs), self.per_frame * self.n_frames - self.lost
        coded = self.audio.subtype in bounds.LOSSY or (self._unexplained(found.residual) and self._is_coded(found))
        if coded and 0 <= have - want <= bounds.CODEC_DELAY:
            return  # codecs make whole blocks
        if have != want and not self._one_sided(found):
            self.report.find(
                "audio.length",
                f"{have} samples for {self.n_frames} frames; the model makes {want}"
                + (f", {found.lag} samples later in yours." if found.lag else "."),
                cause={"kind": self._kind_of_length(have, want), "where": "audio"},
                samples=have,
                expected=want,
                lag=found.lag,
            )

    def _kind_of_length(self, have: int, want: int) -> str:
        if have < want:
            return "cut"
        if bounds.SAME.below(_left(self.theirs[want:], self.theirs[2 * want - have : want])):
            return "doubled"
        flatness, voiced = noisiness(self.theirs[want:], SAMPLE_RATE)
        noise = bounds.FLAT_SPECTRUM.above(flatness) and bounds.VOICED.below(voiced)
        return "noise" if noise else "gap" if _longest_silence(self.theirs[want:]) == have - want else "doubled"

    def _one_sided(self, found: Match) -> bool:
        """Transposed convolutions trimmed on one side alone make more samples, of which ours are a part."""
        for name in ("right-trim", "left-trim"):
            ours = self.mirror(self.codes, Choices(trim=name.partition("-")[0]))
            if len(ours) != len(self.theirs):
                continue
            # What is trimmed elsewhere shows at one end, where silence may have been added instead.
            end = slice(-self.lost, None) if name == "left-trim" else slice(self.lost)
            left = max(match(self.theirs, ours, 0).residual, match(self.theirs[end], ours[end], 0).residual)
            if bounds.SAME.below(left):
                what = MISTAKE_SENTENCES[name]
                self.report.find(
                    f"vocoder.{name}",
                    f"Your audio equals ours when {what}: {len(ours)} samples, {self.per_frame} a frame.",
                    samples=len(ours),
                    residual_without=found.residual,
                )
                return True
        return False

    def _beyond_the_end(self) -> bool:
        """Whole frames more than codes, after audio that is ours: those that only end the speech were vocoded."""
        frames, rest = divmod(len(self.theirs) + self.lost, self.per_frame)
        extra = frames - self.n_frames
        if rest or not 1 <= extra <= bounds.MOST_EXTRA_FRAMES:
            return False
        end = self.per_frame * self.n_frames - self.lost
        first = max(0, self.n_frames - bounds.TRIAL_FRAMES - 2 * self.mirror.geometry["sliding_window"])
        ours = self.mirror(self.codes[:, first:])[-(bounds.TRIAL_FRAMES // 2) * self.per_frame :]
        before = match(self.theirs[end - len(ours) : end], ours, 0)
        loudest = float(np.abs(self.theirs[end:]).max()) / (float(np.abs(self.theirs[:end]).max()) or 1)
        if bounds.SAME.above(before.residual) or not bounds.LOUD_END.above(loudest):
            return False
        self.report.find(
            "vocoder.end-frame",
            f"Your audio equals ours and goes on for {_frames(extra)} that the codes don't have"
            + (", as it does when codec eos is looked up as a code." if self._ended_by_eos(frames) else "."),
            extra_frames=extra,
            residual=before.residual,
        )
        return True

    def _ended_by_eos(self, frames: int) -> bool:
        """Whether the codes as given, their frames of control ids included, make the end of theirs."""
        given = self.as_given
        if given.shape != (len(self.codes), frames) or not np.issubdtype(given.dtype, np.integer):
            return False
        window = 2 * self.mirror.geometry["sliding_window"] + bounds.TRIAL_FRAMES
        ours = self.mirror(given[:, -window:].astype(np.int32))[-self.per_frame :]
        return bounds.SAME.below(match(self.theirs[-len(ours) :], ours, 0).residual)

    def _in_pieces(self) -> bool:
        """Every piece decoded alone loses the samples of a start; so many pieces there are."""
        missing = self.per_frame * self.n_frames - len(self.theirs)
        pieces = missing // self.lost if self.lost and missing % self.lost == 0 else 0
        if pieces < 2:
            return False
        right = match(self.theirs, self.mirror(self.codes), self.per_frame)
        candidates = [piece for piece in range(1, self.n_frames) if -(-self.n_frames // piece) == pieces]
        candidates.sort(key=lambda piece: piece not in bounds.USUAL_PIECES)
        residual, piece, context = self._best_pieces(candidates)
        beats = bounds.MISTAKE_BEATS.below(residual / (right.residual or 1))
        exact = residual <= explained_residual(self.floor) < right.residual
        if not (bounds.PIECES_LEAVE.below(residual) and (beats or exact)):
            return False
        self.report.find(
            "audio.seams",
            f"Your audio equals ours decoded {piece} frames at a time with {context} before them: {pieces - 1} "
            f"seams lose "
            f"{self.lost} samples each.",
            piece=piece,
            context=context,
            residual=residual,
            residual_without=right.residual,
        )
        return True

    def _best_pieces(self, candidates: list[int]) -> tuple[float, int, int]:
        """What is left over, frames a piece, and frames before each. Where the seams are matters more than what comes
        before them, so that is looked for first."""

        def left(piece: int, context: int) -> float:
            return match(self.theirs, in_pieces(self.mirror, self.codes, piece, context), 0).residual

        best = (1.0, 0, 0)
        for piece in candidates[: bounds.MOST_PIECES]:
            best = min(best, (left(piece, bounds.CONTEXTS[0]), piece, bounds.CONTEXTS[0]))
            if best[0] <= explained_residual(self.floor):
                return best
        return min([best, *((left(best[1], context), best[1], context) for context in bounds.CONTEXTS[1:] if best[1])])


def _left(theirs: Samples, ours: Samples) -> float:
    """What ours leaves over of theirs, from their beginning on; all where one is much longer."""
    n = min(len(theirs), len(ours))
    if n < bounds.LEAST_COMMON or max(len(theirs), len(ours)) > bounds.AS_LONG * n:
        return 1.0
    return match(theirs[:n], ours[:n], 0).residual


def _copies(found: list[Stretch], theirs: Samples, ours: Samples) -> bool:
    """Whether half of the pieces are ours but for another engine's precision: what a mistake moves is only alike."""
    left = [
        match(theirs[one.at : one.at + one.length], ours[one.source : one.source + one.length], 0).residual
        for one in found
    ]
    return bounds.PIECE_LEFT.below(float(np.median(left)))


def _doubled_or_gap(found: list[Stretch], theirs: Samples) -> str:
    """What lies between pieces whose sources overlap or touch: silence as long as what was added, or sound."""
    gaps = 0
    for one, two in pairwise(found):
        added = (two.at - one.at) - (two.source - one.source)
        between = theirs[one.at + one.length - bounds.PIECE : two.at + bounds.PIECE]
        gaps += _longest_silence(between) > added - bounds.LEAST_INSIDE
    return "gap" if gaps * 2 >= len(found) - 1 else "doubled"


def _longest_silence(x: Samples) -> int:
    """Samples in a row that a sound file holds as nothing."""
    loud = np.flatnonzero(np.abs(x) > bounds.NOTHING)
    return int(np.diff(np.concatenate([[-1], loud, [len(x)]])).max()) - 1


def _is_far_better(explanation: Explanation) -> bool:
    """Than none, on the same frames."""
    return bounds.MISTAKE_BEATS.below(explanation.residual / (explanation.without or 1))


def _explains(explanation: Explanation) -> bool:
    return not bounds.EXPLAINS.above(explanation.residual)


def _as_good(best: Explanation, found: list[Explanation]) -> list[Explanation]:
    """Other explanations that leave as little, the first few."""
    others = [other for other in found if other is not best and len(other.mistakes) == len(best.mistakes)]
    good = [other for other in others if not bounds.AS_GOOD.above(other.residual / (best.residual or 1))]
    return good[: bounds.MOST_OTHERS]


def _share(residual: float) -> str:
    return f"{residual:.0%}" if residual >= bounds.SAME.value else f"{residual:.1e}"


def rounding_share(audio: Recorded) -> float:
    """The share of its energy that the sound file's type rounds away."""
    bits = bounds.SOUND_BITS.get(audio.subtype)
    power = float(np.mean(np.square(audio.mono))) if audio.mono.size else 0.0
    if not np.isfinite(power) or power == 0:
        return _TINY
    # What was rounded before it came into this file stays rounded.
    step = max(0.0 if bits is None else float(2 ** (1 - bits)), step_of(audio.samples[:, 0]))
    return min(1.0, max(_TINY, step * step / _UNIFORM / power))


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


def _frames(n: int) -> str:
    return "one frame" if n == 1 else f"{n} frames"


def _lost(rates: tuple[int, ...]) -> int:
    """Samples that a start loses: 555 with the published rates."""
    lost = 0
    for rate in rates:
        lost = lost * rate + rate
    return lost
