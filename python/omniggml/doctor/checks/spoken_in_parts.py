"""Was a text spoken part by part, each decoded by itself, and is their audio these parts one after the other?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.alignment import correlated, resampled, whole
from omniggml.doctor.checks.their_audio import Samples, TheirAudio, left_over
from omniggml.spec.model_config import SAMPLE_RATE


@dataclass(frozen=True)
class SpokenPart:
    """Frames `first` to `end` of the codes, decoded alone, are `samples`, which lie in theirs from `at` on."""

    first: int
    end: int
    at: int
    samples: Samples

    @property
    def until(self) -> int:
        return self.at + len(self.samples)


class SpokenInParts(TheirAudio):
    """Theirs against parts of the codes that are decoded alone, with silence in between or none."""

    def _in_parts(self) -> bool:
        """Whether theirs is such parts, and nothing else is wrong; where something is, one part is looked at on."""
        as_long = len(self.theirs) == self.per_frame * self.n_frames - self.lost
        if self.n_frames < 2 * bounds.FEWEST_OF_A_PART or (as_long and self.rate == SAMPLE_RATE):
            return False
        theirs = resampled(self.theirs, self.rate, SAMPLE_RATE)
        alone = whole(theirs, self.made)
        if alone is not None and bounds.COPIED.below(alone.residual):
            return False
        parts = self._parts(theirs)
        if len(parts) < 2:
            return False
        made = np.zeros(len(theirs))
        for part in parts:
            made[part.at : part.until] = part.samples[: len(theirs) - part.at]
        found = match(theirs, made, 0)
        self._say_parts(theirs, parts)
        if self.rate != SAMPLE_RATE:
            self.report.find(
                "audio.resampled",
                f"Your audio is resampled to {self.rate} Hz, as its header says.",
                rate=self.rate,
                residual=found.residual,
            )
        if self._is_right(theirs, made, found):
            self.say_gain(found.gain)
            return True
        self._look_at(max(parts, key=lambda part: part.end - part.first), theirs)
        return False

    def _is_right(self, theirs: Samples, made: Samples, found: Match) -> bool:
        left = found.residual
        if not self.unexplained(left) or (self.rate != SAMPLE_RATE and not bounds.RESAMPLED_LEAVES.above(left)):
            return True
        return not bounds.CODED_LEAVES.above(left) and self.says_coded(theirs, made, found, left)

    def _look_at(self, part: SpokenPart, theirs: Samples) -> None:
        self.codes, self.theirs = self.codes[:, part.first : part.end], theirs[part.at : part.until]
        self.n_frames, self.rate = self.codes.shape[1], SAMPLE_RATE
        self.made = part.samples

    def _say_parts(self, theirs: Samples, parts: list[SpokenPart]) -> None:
        """A speech ends, and begins, in silence; pieces that a port decodes alone are cut anywhere."""
        loud = theirs.std() or 1.0
        cuts = [*(part.until for part in parts[:-1]), *(part.at for part in parts[1:])]
        beside = [theirs[max(0, cut - bounds.BESIDE_A_CUT) : cut + bounds.BESIDE_A_CUT].std() / loud for cut in cuts]
        frames = [part.end - part.first for part in parts]
        lengths = ", ".join(map(str, frames[: bounds.NAMED_ERRORS]))
        if bounds.CUT_LOUD.above(float(max(beside))):
            self.report.find(
                "audio.seams",
                f"Your audio equals ours decoded in pieces of {lengths} frames, each by itself: {len(parts) - 1} seams "
                f"lose {self.lost} samples each, in the middle of sound.",
                frames=frames,
            )
            return
        pauses = [two.at - one.until for one, two in pairwise(parts)]
        self.report.find(
            "audio.parts",
            f"Your audio is ours, spoken in {len(parts)} parts of {lengths} frames, each decoded by itself"
            + (f", with up to {max(pauses) / SAMPLE_RATE:.2f} s of silence in between." if any(pauses) else "."),
            frames=frames,
            pauses=pauses,
        )

    # --- where a part ends ------------------------------------------------------------------------------------------

    def _parts(self, theirs: Samples) -> list[SpokenPart]:
        """All frames of the codes in parts; [] where theirs isn't made of them."""
        parts: list[SpokenPart] = []
        first, at = 0, 0
        while first < self.n_frames and len(parts) < bounds.MOST_PARTS:
            if self.n_frames - first < bounds.FEWEST_OF_A_PART:
                return []
            ours = self._alone(first, self.n_frames)
            # Of a beginning that is faded, the place where it is likest may be another.
            begins = {at, self._begins(theirs, ours, at) or at}
            alike, begin = max((_alike(theirs[begin:], ours), begin) for begin in begins)
            if alike < bounds.FEWEST_OF_A_PART * self.per_frame // 2:
                return []
            end = self._end_of(theirs, begin, first, alike)
            if end is None or end - first < bounds.FEWEST_OF_A_PART:
                return []
            parts.append(SpokenPart(first, end, begin, ours[: self.per_frame * (end - first) - self.lost]))
            first, at = end, parts[-1].until
        return parts if first == self.n_frames else []

    def _alone(self, first: int, end: int) -> Samples:
        return self.decoded(np.ascontiguousarray(self.codes[:, first:end]))

    def _begins(self, theirs: Samples, ours: Samples, at: int) -> int | None:
        """From which sample of theirs on, at or behind `at`, ours is: within the longest pause."""
        some = ours[: bounds.FRAMES_OF_A_BEGINNING * self.per_frame]
        near = theirs[at : at + len(some) + bounds.LONGEST_PAUSE]
        if len(near) < bounds.LEAST_COMMON or not some.any():
            return None
        # Beside what is loud there: louder speech of something else isn't alike.
        starts = np.arange(min(bounds.LONGEST_PAUSE, len(near)))
        energy = np.concatenate([[0.0], np.cumsum(np.square(near))])
        loud = energy[np.minimum(starts + len(some), len(near))] - energy[starts]
        alike = correlated(near, some)[: len(starts)] / np.sqrt(loud + bounds.LOUD_PIECE * (loud.max() or 1.0))
        return at + int(np.argmax(alike))

    def _end_of(self, theirs: Samples, begin: int, first: int, alike: int) -> int | None:
        """The frame before which the part ends that is ours for `alike` samples: what follows, decoded alone, is theirs
        from its end on. It ends in silence, so that it may seem to go on for some frames."""
        latest = min(self.n_frames, first + (alike + self.lost) // self.per_frame + 1)
        if latest == self.n_frames and begin + self.per_frame * (latest - first) - self.lost <= len(theirs) + 1:
            return int(self.n_frames)
        best: int | None = None
        least = bounds.CODED_LEAVES.value
        for end in range(latest, max(first, latest - bounds.SEEMS_TO_GO_ON), -1):
            ours = self._alone(end, min(self.n_frames, end + bounds.FRAMES_OF_A_BEGINNING))
            after = begin + self.per_frame * (end - first) - self.lost
            start = self._begins(theirs, ours, after) if len(ours) else None
            if start is None:
                continue
            left = left_over(theirs[start : start + len(ours)], ours)
            if left < least:
                best, least = end, left
        return best


def _alike(theirs: Samples, ours: Samples) -> int:
    """For how many samples theirs is ours times a gain, before loud blocks in a row are something else."""
    n = min(len(theirs), len(ours)) // bounds.PIECE
    x, y = (samples[: n * bounds.PIECE].reshape(n, bounds.PIECE) for samples in (theirs, ours))
    power = np.maximum(np.square(x).sum(axis=1), np.square(y).sum(axis=1))
    loud = power > bounds.LOUD_PIECE * (power.mean() if n else 0)
    products, own = (x * y).sum(axis=1), np.square(y).sum(axis=1)
    few = np.flatnonzero(loud)[: bounds.PIECES_ASKED]
    gain = float(products[few].sum() / max(own[few].sum(), np.finfo(float).tiny))
    off = np.square(x - gain * y).sum(axis=1) > bounds.SOMETHING_ELSE * power
    wrong = np.flatnonzero(loud & off)
    # A codec of few bits spoils a block or two.
    row = bounds.WRONG_IN_A_ROW
    ended = next((one for one, last in zip(wrong, wrong[row - 1 :], strict=False) if last - one < 2 * row), n)
    return int(ended) * bounds.PIECE
