"""Somebody's audio of codes beside what the vocoder makes of these, and what their file leaves over of that."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded
from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.afterwards import Alteration
from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.coding import coded_share, like_coded
from omniggml.doctor.grids import step_of
from omniggml.doctor.port_search import Explanation, explained_residual
from omniggml.doctor.progress import Progress
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.doctor.words import share

IntArray = npt.NDArray[np.int32]
Samples = npt.NDArray[np.float64]

AS_CODED = (
    "as after a lossy codec (MP3, Opus, Vorbis), an engine of few bits or noise as faint, which leaves over {} of it"
)
_TINY = 1e-12
_UNIFORM = 12  # a step squared over the variance of what is rounded to it


class TheirAudio:
    """`theirs`: their samples of `codes`, brought to where ours are as it gets known."""

    def __init__(self, case: Case, report: Report, mirror: VocoderMirror, codes: IntArray, theirs: Samples) -> None:
        assert case.audio is not None and case.codes is not None
        self.report, self.mirror, self.as_given, self.codes, self.theirs = report, mirror, case.codes, codes, theirs
        self.announce, self.audio, self.rate = case.announce, case.audio, case.audio.rate
        self.progress = Progress(case.announce)
        self.threads, self.thorough = case.options.threads, case.thorough
        self.model = case.model
        self.dumped = frozenset(case.theirs or ())
        self.explanations: list[Explanation] = []
        self.per_frame = mirror.per_frame
        self.lost = _lost(mirror.geometry["upsample_rates"])
        self.n_frames: int = codes.shape[1]

    @cached_property
    def made(self) -> Samples:
        """What is made of all codes."""
        return self.decoded(self.codes)

    def decoded(self, codes: IntArray) -> Samples:
        """What the engine makes of codes; where there is none, the mirror."""
        made = self.mirror(codes) if self.model is None else self.model.code2wav(codes)
        return made.astype(np.float64)

    @cached_property
    def floor(self) -> float:
        """The share of its energy that their sound file's type leaves over: of a codec, what it leaves over of ours."""
        if self.audio.subtype not in bounds.LOSSY:
            return rounding_share(self.audio)
        coded = coded_share(self.made, self.audio)
        # Codecs whose quality can be chosen leave over more of theirs than of ours, in the same places.
        chosen = self.audio.subtype in bounds.CONTAINERS and bounds.LIKE_CODED.above(self.like_coded)
        if not chosen:
            return coded or bounds.LOSSY_SHARE
        # Not every level is one of every rate.
        return max(bounds.LOSSY_SHARE, coded, *(coded_share(self.made, self.audio, n) for n in bounds.CODED_LEVELS))

    @cached_property
    def like_coded(self) -> float:
        """See `coding.like_coded`; the engine's audio of all codes beside theirs."""
        return like_coded(self.theirs, self.made, match(self.theirs, self.made, self.per_frame))

    @property
    def by_another_engine(self) -> float:
        """The share that may be left over where theirs is ours but for an engine's precision and its file's."""
        return min(max(explained_residual(self.floor), bounds.EXPLAINS.value), bounds.SAME.value)

    def say_changed(self, change: Alteration, **more: Any) -> None:
        """What was done to samples that are right."""
        cause = {"kind": change.kind, "where": "audio"}
        self.report.find(change.id, change.sentence, cause=cause, residual=change.left, **change.evidence, **more)

    def unexplained(self, residual: float) -> bool:
        """Whether more is left over than an engine in 16 bits, and their file, would leave."""
        return bounds.EXPLAINS.above(residual) and not self.rounded_away(residual)

    def rounded_away(self, residual: float) -> bool:
        """Whether their file's type leaves as much over of ours."""
        most = bounds.CODED if self.audio.subtype in bounds.LOSSY else bounds.ROUNDED_AWAY
        return most.below(residual / self.floor)

    def is_coded(self, found: Match, sure: bool = False) -> bool:
        """Whether theirs was through a codec, though its file doesn't say so."""
        if self.audio.subtype in bounds.LOSSY or bounds.CODED_LEAVES.above(found.residual):
            return False
        return (bounds.SURELY_CODED if sure else bounds.LIKE_CODED).above(self.like_coded)

    def say_lossy(self, how: str, left: float, **evidence: Any) -> None:
        """`how`: what was done to it, with the place of the share that is left over."""
        words = how.format(share(left))
        self.report.find(
            "audio.lossy",
            f"Your audio is ours, {words}: a mistake that is smaller can't be told from that.",
            residual=left,
            **evidence,
        )

    def says_coded(self, theirs: Samples, ours: Samples, found: Match, left: float) -> bool:
        """Whether what ours leaves over of theirs is like what a codec leaves over; then that is said. See
        `coding.like_coded`."""
        likeness = like_coded(theirs, ours, found)
        if bounds.LIKE_CODED.above(likeness):
            self.say_lossy(AS_CODED, left, likeness=likeness)
        return bounds.LIKE_CODED.above(likeness)

    def say_gain(self, gain: float) -> None:
        if bounds.QUIETER.below(gain) or bounds.LOUDER.above(gain):
            self.report.find("audio.gain", f"Your audio is ours times {gain:.3f}.", gain=gain)

    def say_swapped(self) -> None:
        self.report.find("audio.bytes", "With the bytes of its samples swapped, your audio equals ours.")


def left_over(theirs: Samples, ours: Samples) -> float:
    """What ours leaves over of theirs, from their beginning on; all where one is much longer."""
    n = min(len(theirs), len(ours))
    if n < bounds.LEAST_COMMON or max(len(theirs), len(ours)) > bounds.AS_LONG * n:
        return 1.0
    return match(theirs[:n], ours[:n], 0).residual


def longest_silence(x: Samples) -> int:
    """Samples in a row that a sound file holds as nothing."""
    loud = np.flatnonzero(np.abs(x) > bounds.NOTHING)
    return int(np.diff(np.concatenate([[-1], loud, [len(x)]])).max()) - 1


def rounding_step(audio: Recorded) -> float:
    """Between two samples of the sound file's type, or of what they were rounded to before they came into it; 0.0 of
    floats."""
    bits = bounds.SOUND_BITS.get(audio.subtype)
    return max(0.0 if bits is None else float(2 ** (1 - bits)), step_of(audio.samples[:, 0]))


def rounding_share(audio: Recorded) -> float:
    """The share of its energy that is rounded away."""
    power = float(np.mean(np.square(audio.mono))) if audio.mono.size else 0.0
    if not np.isfinite(power) or power == 0:
        return _TINY
    return min(1.0, max(_TINY, rounding_step(audio) ** 2 / _UNIFORM / power))


def _lost(rates: tuple[int, ...]) -> int:
    """Samples that a start loses: 555 with the published rates."""
    lost = 0
    for rate in rates:
        lost = lost * rate + rate
    return lost
