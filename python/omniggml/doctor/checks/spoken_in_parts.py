"""Was a text spoken part by part, each decoded by itself, and is their audio these parts one after the other?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.afterwards import FILTER_TAPS, change_of, left_delayed, noise_over, taps_of, through
from omniggml.doctor.alignment import correlated, resampled, whole
from omniggml.doctor.checks.their_audio import Samples, TheirAudio
from omniggml.doctor.levelling import both_in_pieces, in_pieces, left_with_gains, levelled, levelled_words
from omniggml.doctor.words import seams_lose
from omniggml.spec.model_config import SAMPLE_RATE

_TINY = 1e-12
_OF_ALL = ("audio.faded", "audio.band", "audio.filtered")


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

    _filter: Samples | None = None  # that ours is put through where parts are looked for

    def _in_parts(self, anywhere: bool) -> bool:
        """Whether theirs is such parts, and nothing else is wrong; where something is, one part is looked at on.
        `anywhere`: they may be cut in the middle of sound, which is told otherwise where frames lie before each."""
        if self._found_parts is None:
            return False
        theirs, made, parts = self._found_parts
        if not anywhere and _are_cut_loud(made, parts):
            return False
        worst = self._worst_of(theirs, made, parts)
        self._say_parts(made, parts)
        if worst is not None:
            self._look_at(worst, theirs, slice(bounds.TRIMMED, len(theirs) - bounds.TRIMMED))
            begins = max(0, worst.at - bounds.TRIMMED) / SAMPLE_RATE
            self.report.of = (
                f"Of part {parts.index(worst) + 1}, from {begins:.2f} s and frame {worst.first} on, where counting "
                "begins anew: "
            )
        return worst is None

    @cached_property
    def _found_parts(self) -> tuple[Samples, Samples, list[SpokenPart]] | None:
        """Theirs, with room for what was cut from the first part's beginning and from the last part's end, what the
        parts are there, and these."""
        as_long = len(self.theirs) == self.per_frame * self.n_frames - self.lost
        if self.n_frames < 2 * bounds.FEWEST_OF_A_PART or (as_long and self.rate == SAMPLE_RATE):
            return None
        heard = self._in_band(self.theirs, self.rate)
        theirs = np.pad(heard, bounds.TRIMMED)
        alone = None if self._loses(len(self.made), len(heard)) else whole(theirs, self.made)
        if alone is not None and bounds.COPIED.below(alone.residual):
            return None
        parts = self._filtered_parts(theirs)
        parts = parts if len(parts) > 1 else self._parts(theirs)
        parts = self._with_unheard_seams(theirs, parts)
        if len(parts) < 2:
            return None
        made = np.zeros(len(theirs))
        for part in parts:
            made[part.at : part.until] = part.samples[: len(theirs) - part.at]
        return None if _is_loud_elsewhere(theirs, parts) else (theirs, made, parts)

    def _worst_of(self, theirs: Samples, made: Samples, parts: list[SpokenPart]) -> SpokenPart | None:
        """The part that something else changes most; None where nothing else is wrong."""
        inner = slice(bounds.TRIMMED, len(theirs) - bounds.TRIMMED)
        lost = [max(0, inner.start - parts[0].at), max(0, parts[-1].until - inner.stop)]
        outside = np.concatenate([made[: inner.start], made[inner.stop :]])
        cut = bounds.LOST_LOUD.above(float(np.abs(outside).max() / (made.std() or 1)) / bounds.PEAK)
        found = match(theirs[inner], made[inner], 0)
        if self.rate != SAMPLE_RATE:
            self.report.find(
                "audio.resampled",
                f"Your audio is resampled to {self.rate} Hz, as its header says.",
                rate=self.rate,
                residual=found.residual,
            )
        if not cut and (
            self._says_gains(theirs, made, parts, found.residual) or self._is_right(theirs[inner], made[inner], found)
        ):
            if any(lost):
                self.report.find(
                    "audio.trimmed",
                    f"{lost[0]} samples are cut from the beginning of ours, {lost[1]} from its end.",
                    lost_before=lost[0],
                    lost_after=lost[1],
                )
            if not {"audio.gain", "audio.filtered"} & {finding.id for finding in self.report.findings}:
                self.say_gain(found.gain)
            return None
        one, last = parts[0], parts[-1]
        return (one if lost[0] >= lost[1] else last) if cut else max(parts, key=lambda part: _left_of(theirs, part))

    def _in_band(self, samples: Samples, rate: int = SAMPLE_RATE) -> Samples:
        """At ours, as far as their rate reaches, and what resamples lets pass."""
        if self.rate == SAMPLE_RATE:
            return samples
        samples = resampled(samples, rate, SAMPLE_RATE)
        spectrum = np.fft.rfft(samples)
        reach = bounds.RESAMPLED_BAND * min(self.rate, SAMPLE_RATE) / 2
        spectrum[np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) > reach] = 0
        return np.asarray(np.fft.irfft(spectrum, len(samples)))

    def _is_right(self, theirs: Samples, made: Samples, found: Match) -> bool:
        left = found.residual
        if not self.unexplained(left) or (self.rate != SAMPLE_RATE and not bounds.RESAMPLED_LEAVES.above(left)):
            return True
        change = change_of(theirs, made, self.by_another_engine)
        if change is not None and (change.id in _OF_ALL or "gains" in change.evidence):
            self.say_changed(change)
            return True
        if self._says_levelled(theirs, made, left) or (bounds.SAME.above(left) and self._says_noise(theirs, made)):
            return True
        return not bounds.CODED_LEAVES.above(left) and self.says_coded(theirs, made, found, left)

    def _says_gains(self, theirs: Samples, made: Samples, parts: list[SpokenPart], left: float) -> bool:
        """Whether each part was made louder or softer by itself, and nothing else is wrong."""
        gains = [match(theirs[part.at : part.until], part.samples, 0).gain for part in parts]
        if min(gains) <= 0 or not bounds.GAINS_APART.above(max(gains) / min(gains)):
            return False
        scaled = np.zeros(len(made))
        for part, gain in zip(parts, gains, strict=True):
            scaled[part.at : part.until] = gain * made[part.at : part.until]
        inner = slice(bounds.TRIMMED, len(theirs) - bounds.TRIMMED)
        found = match(theirs[inner], scaled[inner], 0)
        beats = bounds.CHANGE_BEATS.below(found.residual / left)
        if not beats or not self._is_right(theirs[inner], scaled[inner], found):
            return False
        shown = ", ".join(f"{gain:.2f}" for gain in gains[: bounds.NAMED_ERRORS])
        self.report.find(
            "audio.gain",
            f"Each part of your audio has a loudness of its own: they are ours times {shown}, as where each is "
            "normalised by itself.",
            gain=float(np.median(gains)),
            gains=gains,
        )
        return True

    def _says_noise(self, theirs: Samples, made: Samples) -> bool:
        noise = noise_over(theirs, made)
        if noise is not None:
            self.say_changed(noise)
        return noise is not None

    def _says_levelled(self, theirs: Samples, made: Samples, left: float) -> bool:
        gains = levelled(theirs, made, left)
        if gains is not None:
            self.report.find("audio.gain", levelled_words(gains), gain=float(np.mean(gains)))
        return gains is not None

    def _look_at(self, part: SpokenPart, theirs: Samples, inner: slice) -> None:
        self.codes = self.codes[:, part.first : part.end]
        self.theirs = theirs[max(part.at, inner.start) : min(part.until, inner.stop)]
        self.n_frames, self.rate = self.codes.shape[1], SAMPLE_RATE
        self.made = part.samples

    def _say_parts(self, made: Samples, parts: list[SpokenPart]) -> None:
        """A speech ends, and begins, in silence; pieces that a port decodes alone are cut anywhere."""
        frames = [part.end - part.first for part in parts]
        lengths = ", ".join(map(str, frames[: bounds.NAMED_ERRORS]))
        if _are_cut_loud(made, parts):
            self.report.find(
                "audio.seams",
                f"Your audio equals ours decoded in pieces of {lengths} frames, each by itself: "
                f"{seams_lose(len(parts) - 1, self.lost)}, in the middle of sound.",
                frames=frames,
            )
            return
        pauses = [two.at - one.until for one, two in pairwise(parts)]
        self.report.find(
            "audio.parts",
            f"Your audio is ours, spoken in {len(parts)} parts of {lengths} frames, each decoded by itself"
            + (f", with up to {max(pauses) / SAMPLE_RATE:.2f} s of silence in between." if max(pauses) > 0 else "."),
            frames=frames,
            pauses=pauses,
        )

    def _filtered_parts(self, theirs: Samples) -> list[SpokenPart]:
        """Parts as they are without the filter that all went through."""
        self._filter = self._filter_of_beginning(theirs)
        if self._filter is None:
            return []
        parts = self._parts(theirs)
        self._filter = None
        return [replace(part, samples=self._alone(part.first, part.end)) for part in parts]

    def _filter_of_beginning(self, theirs: Samples) -> Samples | None:
        """The taps that make theirs of the first part's frames; None where no filter does, or none is needed."""
        for frames in bounds.FRAMES_OF_A_FILTER:
            ours = self._alone(0, min(frames, self.n_frames))
            # A filter that is late may be taken for a part that is.
            for begin in (bounds.TRIMMED, self._begins(theirs, ours, 0) or 0):
                there = theirs[begin : begin + len(ours)]
                if len(there) < bounds.SAMPLES_A_TAP * len(FILTER_TAPS) or not there.any() or not ours.any():
                    continue
                taps, left = taps_of(there, ours[: len(there)], FILTER_TAPS)
                late = left_delayed(there, ours[: len(there)], FILTER_TAPS)
                if bounds.COPIED.below(left) and bounds.MISTAKE_BEATS.below(left / late):
                    return taps
        return None

    # --- where a part ends ------------------------------------------------------------------------------------------

    def _parts(self, theirs: Samples) -> list[SpokenPart]:
        """All frames of the codes in parts; [] where theirs isn't made of them."""
        parts: list[SpokenPart] = []
        first, at = 0, -1
        while first < self.n_frames and len(parts) < bounds.MOST_PARTS:
            if self.n_frames - first < bounds.FEWEST_OF_A_PART:
                return []
            ours = self._alone(first, self.n_frames)
            if not parts:
                at = self._begins_first(theirs, ours)
            end, after = self._end_of(theirs, ours, at, first)
            if end - first < bounds.FEWEST_OF_A_PART:
                return []
            parts.append(SpokenPart(first, end, at, ours[: self.per_frame * (end - first) - self.lost]))
            first, at = end, after
        return parts if first == self.n_frames else []

    def _with_unheard_seams(self, theirs: Samples, parts: list[SpokenPart]) -> list[SpokenPart]:
        """A part that ends later than there is room for, by what a start loses, may be two: among what is soft a seam
        is hardly heard."""
        ends = [part.at for part in parts[1:]]
        found: list[SpokenPart] = []
        for part, end in zip(parts, [*ends, len(theirs) - bounds.TRIMMED], strict=False):  # there may be no part
            found += self._in_two(theirs, part) if self._loses(part.until, end) else [part]
        return found

    def _loses(self, samples: int, room: int) -> bool:
        """Whether there is less room for so many samples, by what a start loses."""
        return abs(samples - room - self.lost) <= bounds.CODEC_JITTER

    def _in_two(self, theirs: Samples, part: SpokenPart) -> list[SpokenPart]:
        """A part as two, of which the second is short and is decoded alone, where theirs is nearer to these than to the
        part that goes on: in all, and clearly behind the seam, since of silence a codec's noise alone would decide."""
        there = theirs[part.at : part.until - self.lost]
        least, found = left_with_gains(there, part.samples[: len(there)]), [part]
        first = max(part.first + bounds.FEWEST_OF_A_PART, part.end - bounds.MOST_UNHEARD)
        for frame in range(first, part.end - bounds.FEWEST_OF_A_PART + 1):
            behind = self._alone(frame, part.end)
            seam = len(there) - len(behind)
            left = left_with_gains(there, np.concatenate([part.samples[:seam], behind]))
            goes_on = match(there[seam:], part.samples[seam : len(there)], 0).residual
            if left < least and match(there[seam:], behind, 0).residual < bounds.UNHEARD_BEATS * goes_on:
                one = SpokenPart(part.first, frame, part.at, part.samples[:seam])
                least, found = left, [one, SpokenPart(frame, part.end, part.at + seam, behind)]
        return found

    def _alone(self, first: int, end: int) -> Samples:
        made = self._in_band(self.decoded(np.ascontiguousarray(self.codes[:, first:end])))
        return made if self._filter is None else through(made, FILTER_TAPS, self._filter)

    def _begins_first(self, theirs: Samples, ours: Samples) -> int:
        """Of a beginning that is faded, the place where it is likest may be another."""
        some = ours[: bounds.FRAMES_OF_A_BEGINNING * self.per_frame]
        begins = {bounds.TRIMMED, self._begins(theirs, some, 0) or 0}
        return max(begins, key=lambda begin: _stops(theirs[begin:], ours)[0])

    def _begins(self, theirs: Samples, some: Samples, at: int) -> int | None:
        """From which sample of theirs on, at or behind `at`, some of ours is: within the longest pause."""
        near = theirs[at : at + len(some) + bounds.LONGEST_PAUSE]
        if len(near) < bounds.LEAST_COMMON or not some.any():
            return None
        # Beside what is loud there: louder speech of something else isn't alike.
        starts = np.arange(min(bounds.LONGEST_PAUSE, len(near)))
        energy = np.concatenate([[0.0], np.cumsum(np.square(near))])
        loud = energy[np.minimum(starts + len(some), len(near))] - energy[starts]
        alike = correlated(near, some)[: len(starts)] / np.sqrt(loud + bounds.LOUD_PIECE * (loud.max() or 1.0))
        return at + int(np.argmax(alike))

    def _end_of(self, theirs: Samples, part: Samples, begin: int, first: int) -> tuple[int, int]:
        """The frame before which the part ends that begins with `first`, and where the next one begins: what follows,
        decoded alone, is theirs from there on; `first` where there is none. Where ours may cease to be theirs it seems
        to in the midst of a part, too, that a codec spoils; and a part that ends in silence may seem to go on."""
        tried, most = first + bounds.FEWEST_OF_A_PART - 1, bounds.ENDS_TRIED
        best = (bounds.SOMETHING_ELSE, first, 0)
        for stop in _stops(theirs[begin:], part):
            latest = min(self.n_frames, first + (stop + self.lost) // self.per_frame + 1)
            if latest == self.n_frames and begin + self.per_frame * (latest - first) - self.lost <= len(theirs):
                return best[1:] if best[1] > first else (self.n_frames, 0)
            ends = range(latest, max(tried, latest - bounds.SEEMS_TO_GO_ON), -1)[:most]
            best = min([best, *(self._left_around(theirs, part, begin, first, end, latest) for end in ends)])
            if best[0] < bounds.CODED_LEAVES.value:
                break
            tried, most = max(tried, latest), most - len(ends)
        return best[1:]

    def _left_around(
        self, theirs: Samples, part: Samples, begin: int, first: int, end: int, latest: int
    ) -> tuple[float, int, int]:
        """See `_end_of`: what is left over around the end of a part from `first` to `end` where frames from there on
        are decoded alone; all, where they are hardly more alike than those of a part that goes on."""
        last = min(self.n_frames, latest + bounds.FRAMES_OF_A_BEGINNING)
        if last - end < bounds.FEWEST_OF_A_PART:
            return 1.0, first, 0
        ours = self._alone(end, last)
        after = begin + self.per_frame * (end - first) - self.lost
        start = self._begins(theirs, ours, after - bounds.CODEC_JITTER)
        if start is None:
            return 1.0, first, 0
        before = max(first, latest - bounds.SEEMS_TO_GO_ON)
        at = begin + self.per_frame * (before - first)
        there = theirs[at : start + len(ours)]
        on = part[at - begin : self.per_frame * (last - first) - self.lost]
        made = np.zeros(len(there))
        kept = on[: max(0, after - at)][: len(made)]
        made[: len(kept)] = kept
        begins = max(0, start - at)
        behind = ours[: max(0, len(made) - begins)]
        made[begins : begins + len(behind)] = behind
        left = left_with_gains(there, made)
        ends = left < bounds.GOES_ON_LEAVES * left_with_gains(there[: len(on)], on)
        # Of frames of silence, all to the next part.
        return (round(left, bounds.DIGITS_LEFT) if ends else 1.0), end, start


def _left_of(theirs: Samples, part: SpokenPart) -> float:
    return match(theirs[part.at : part.until], part.samples, 0).residual


def _are_cut_loud(made: Samples, parts: list[SpokenPart]) -> bool:
    """Whether one ends, and the next begins, in the middle of sound: some speech ends loud, but none begins so."""
    loud = made.std() or 1.0

    def beside(cut: int) -> float:
        return float(made[max(0, cut - bounds.BESIDE_A_CUT) : cut + bounds.BESIDE_A_CUT].std() / loud)

    loudest = max(min(beside(one.until), beside(two.at)) for one, two in pairwise(parts))
    return bounds.CUT_LOUD.above(loudest)


def _is_loud_elsewhere(theirs: Samples, parts: list[SpokenPart]) -> bool:
    """Whether something is heard before, between or behind the parts, as where one comes twice."""
    between = np.ones(len(theirs), bool)
    for part in parts:
        between[part.at : part.until] = False
    power = in_pieces(np.square(theirs))
    beside = in_pieces(np.where(between, np.square(theirs), 0))
    heard = beside.sum(axis=1) > bounds.LOUD_PIECE * power.sum(axis=1).mean()
    return int(heard.sum()) > bounds.HEARD_ELSEWHERE


def _stops(theirs: Samples, ours: Samples) -> list[int]:
    """Samples from which on loud pieces in a row are something else than ours times a gain; the last: where both
    end."""
    x, y = both_in_pieces(theirs, ours)
    products, own, power = (x * y).sum(axis=1), np.square(y).sum(axis=1), np.square(x).sum(axis=1)
    n = len(own)
    if not own.any() or not power.any():
        return [0]
    loud = np.maximum(power / power.mean(), own / own.mean()) > bounds.LOUD_PIECE
    few = np.flatnonzero(loud)[: bounds.PIECES_ASKED]
    alike = np.sign(products[few].sum()) * products / np.sqrt(np.maximum(power * own, _TINY))
    wrong = np.flatnonzero(loud & (alike < np.sqrt(1 - bounds.SOMETHING_ELSE)))
    # A codec of few bits spoils a block or two.
    row = bounds.WRONG_IN_A_ROW
    stops = [int(one) for one, last in zip(wrong, wrong[row - 1 :], strict=False) if last - one < 2 * row]
    return [stop * bounds.PIECE for stop in [*stops, n]]
