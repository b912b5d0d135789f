"""Is their audio ours, edited on its way into the file?"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from omniggml.comparison.agreement import match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.afterwards import change_of
from omniggml.doctor.alignment import Stretch, Whole, pieces, resampled, whole
from omniggml.doctor.checks.audio import find_rate
from omniggml.doctor.checks.their_audio import Samples, TheirAudio, left_over, longest_silence
from omniggml.doctor.port_search import explained_residual
from omniggml.doctor.rewriting import REWRITINGS, SLIPS, SWAPPED
from omniggml.doctor.words import share
from omniggml.spec.model_config import SAMPLE_RATE


class EditedAudio(TheirAudio):
    """What was done to samples that are right."""

    def _copied(self) -> bool:
        """Whether theirs is ours, edited on its way into the file: what was done is a note, or a map of its pieces."""
        if self._at_a_rate():
            return True
        ours, theirs = self.made, self.theirs
        found = whole(theirs, ours)
        if found is not None and self._comes_later(found):
            self.theirs = found.placed(theirs, ours)
            self._say_edited(found)
            return False
        if found is None or not bounds.COPIED.below(found.residual):
            return self._rewritten(theirs, ours) or self._in_other_order(theirs, ours) or self._slipped(theirs, ours)
        if self._rewritten(theirs, ours, bounds.MISTAKE_BEATS.value * found.residual):
            return True
        # Transposed convolutions that are trimmed on one side alone make whole frames, of which ours is a part.
        whole_frames = len(theirs) == self.per_frame * self.n_frames
        if not whole_frames and not found.silent_around and self._in_other_order(theirs, ours):
            return True
        if whole_frames or not found.silent_around or found.gain < 0:
            return False
        if self._lost_much(found):
            # What is lost by less is compared with what their samples lie beside.
            return found.lost_before > self.per_frame and self._begins_late(found)
        exact = found.residual <= explained_residual(self.floor)
        if not (exact and found.faded) and len(theirs) == len(ours):
            return False
        self._say_edited(found)
        alike = not self.unexplained(found.residual)
        if not alike:
            self.theirs = found.placed(theirs, ours)  # where it is ours, what else was done to it is looked for
        return alike

    def _begins_late(self, found: Whole) -> bool:
        """Whether that is all, or it was faded as well: then it is said."""
        if self.unexplained(found.residual) and not self._says_faded(found):
            return False
        self.report.find(
            "audio.length",
            f"{found.lost_before} samples of ours are missing at the beginning of yours, and {found.lost_after} at its "
            "end.",
            cause={"kind": "cut", "where": "audio"},
            samples=len(self.theirs),
            expected=len(self.made),
            lag=found.lag,
        )
        return True

    def _says_faded(self, found: Whole) -> bool:
        """Whether what is there of ours is faded."""
        theirs = self.theirs[found.before : len(self.theirs) - found.after]
        ours = self.made[found.lost_before : len(self.made) - found.lost_after]
        change = change_of(theirs, ours, self.by_another_engine)
        if change is None or change.id != "audio.faded":
            return False
        self.say_changed(change)
        return True

    def _lost_much(self, found: Whole) -> bool:
        """Whether more is cut from the ends of ours than whoever edits it cuts: sound, or whole frames."""
        ends = [found.lost_before, found.lost_after]
        if not bounds.LOST_ENDS.above(sum(ends)):
            return False
        if all(lost % self.per_frame == 0 for lost in ends):
            return True
        lost = np.concatenate([self.made[: ends[0]], self.made[len(self.made) - ends[1] :]])
        return bounds.LOST_LOUD.above(float(lost.std() / (self.made.std() or 1)))

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
            if not self._rewritten(self.theirs, self.made, bounds.MISTAKE_BEATS.value * left):
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
        theirs, ours = len(self.theirs) / rate, len(self.made) / SAMPLE_RATE
        return rate != SAMPLE_RATE and not bounds.LASTS_ALIKE.above(abs(theirs / ours - 1))

    def _read_at_ours(self) -> None:
        self.theirs = resampled(self.theirs, self.rate, SAMPLE_RATE)

    def _say_resampled(self, left: float) -> None:
        how = "" if left == 1 else f" ({share(left)} of it is left over)"
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
        if not bounds.RESAMPLED_LEAVES.above(left) or self.rounded_away(left):
            return True
        if self.rate > SAMPLE_RATE:
            self._read_at_ours()
            found = whole(self.theirs, self.made)
            self.theirs = self.theirs if found is None else found.placed(self.theirs, self.made)
            return False
        if self._is_coded_at_its_rate(left):
            return True
        self.report.find(
            "vocoder.close",
            f"Your audio is close to ours at {self.rate} Hz, but not equal: {share(left)} of it is left over, more "
            "than resampling leaves.",
            residual=left,
        )
        self.report.ask(f"Send the audio as the model makes it, at {SAMPLE_RATE} Hz: a mistake is looked for there.")
        return True

    def _is_coded_at_its_rate(self, left: float) -> bool:
        """Whether a codec leaves that over, of ours at their rate."""
        if bounds.CODED_LEAVES.above(left):
            return False
        if self.audio.subtype in bounds.LOSSY:
            self.say_lossy(f"stored as {self.audio.subtype} at {self.rate} Hz, which leaves over {{}} of it", left)
            return True
        theirs = resampled(self.theirs, self.rate, SAMPLE_RATE)
        ours = resampled(resampled(self.made, SAMPLE_RATE, self.rate), self.rate, SAMPLE_RATE)
        return self.says_coded(theirs, ours, match(theirs, ours, self.per_frame), left)

    def _left_at(self, rate: int) -> float | None:
        """What ours leaves over of theirs, read at a rate, as far as both rates reach, and what resamples lets pass."""
        lower = SAMPLE_RATE if rate == SAMPLE_RATE else int(bounds.RESAMPLED_BAND * min(rate, SAMPLE_RATE))
        theirs, ours = (resampled(x, own, lower) for x, own in ((self.theirs, rate), (self.made, SAMPLE_RATE)))
        copy = whole(theirs, ours)
        return None if copy is None else copy.residual

    def _say_edited(self, found: Whole) -> None:
        if found.faded:
            self.report.find(
                "audio.faded",
                f"Your audio is softer than ours at its ends, for {found.faded} samples or more.",
                samples=found.faded,
            )
        if found.before or found.after:
            self.report.find(
                "audio.silence-around",
                f"{_silence(found.before, found.after)} ours.",
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
        self.say_gain(found.gain)

    def _rewritten(self, theirs: Samples, ours: Samples, most: float = bounds.REWRITTEN.value) -> bool:
        """Whether theirs is ours with its bytes or samples taken for something else, which leaves over less than
        `most`."""
        if left_over(theirs, ours) < bounds.REWRITTEN.value:
            return False  # it is as it should be, but for a factor or a constant
        channels = self.audio.samples
        if channels.shape[1] > 1 and left_over(channels.ravel(), ours) < bounds.REWRITTEN.value:
            self._say_rewritten("one channel's samples are written as if channels took turns", "channels")
            return True
        left, number = min((left_over(way.theirs(theirs), way.ours(ours)), n) for n, way in enumerate(REWRITINGS))
        if not bounds.REWRITTEN.below(left) or left > most:
            return False
        if REWRITINGS[number] is SWAPPED:
            self.say_swapped()
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
        # Where parts of a speech that were decoded apart meet, so many are missing by right.
        jumps = [(at, by) for at, by in jumps if by != self.lost] or jumps
        words = [
            f"at {at / SAMPLE_RATE:.2f} s {abs(by)} samples {'are cut out' if by > 0 else 'come again or are added'}"
            for at, by in jumps[: bounds.MOST_OTHERS]
        ]
        if self.audio.subtype in bounds.LOSSY and max(abs(by) for _, by in jumps) <= bounds.CODEC_JITTER:
            return False
        kinds = {by > 0 for _, by in jumps}
        kind = "order" if len(kinds) > 1 else "cut" if kinds == {True} else _doubled_or_gap(found, theirs)
        self.report.find(
            "audio.pieces",
            f"Your audio is ours in {len(found)} pieces: {'; '.join(words)}.",
            cause={"kind": kind, "where": "audio"},
            pieces=[[piece.at, piece.source, piece.length] for piece in found[: bounds.NAMED_ERRORS]],
        )
        return True


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
        gaps += longest_silence(between) > added - bounds.LEAST_INSIDE
    return "gap" if gaps * 2 >= len(found) - 1 else "doubled"


def _silence(before: int, after: int) -> str:
    """At either end, or at both."""
    if before and after:
        return f"{before} samples of silence come before and {after} samples come after"
    return f"{before} samples of silence come before" if before else f"{after} samples of silence come after"
