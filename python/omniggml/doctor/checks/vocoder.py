"""The vocoder: is it alive, and is their audio what it makes of their codes - or with which mistake?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import Certainty
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.audio import judge_rate
from omniggml.doctor.checks.audio_length import AudioLength
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.checks.edited_audio import EditedAudio
from omniggml.doctor.checks.mistaken_vocoder import MistakenVocoder, Trial
from omniggml.doctor.checks.spoken_in_parts import SpokenInParts
from omniggml.doctor.checks.their_audio import AS_CODED, IntArray, Samples, rounding_step
from omniggml.doctor.difference import Shape, shape_of
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.doctor.words import share
from omniggml.errors import OmniError
from omniggml.model import Model
from omniggml.spec.model_config import SAMPLE_RATE

_DRAWS = 3
_DECIBELS = 10


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


class Recognition(SpokenInParts, EditedAudio, AudioLength, MistakenVocoder):
    """Their audio against what the file's vocoder makes of their codes, with and without known mistakes."""

    def run(self) -> None:
        """Add what is found."""
        self.progress.begins("comparing your audio with what the model makes of the codes")
        if (
            self._is_a_bit()
            or self._in_parts(anywhere=False)
            or self._in_pieces()
            or (not self.report.of and self._in_parts(anywhere=True))
        ):
            return
        if self._beyond_the_end() or self._copied():
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
        every = frames == self.n_frames  # which can be afforded
        if not (every and self._with_little_before(right.match)) and not self._mistaken(right, frames):
            self._judge_right(right)

    def _judge_right(self, right: Trial) -> None:
        found = right.match
        if self.audio.subtype in bounds.LOSSY and self.rounded_away(found.residual):
            self.say_lossy(f"stored as {self.audio.subtype}, which leaves over {{}} of it", found.residual)
        elif bounds.EXPLAINS.above(found.residual) and self.rounded_away(found.residual):
            bits = round(1 - math.log2(rounding_step(self.audio)))
            self.say_lossy(f"rounded to about {bits} bits, which leaves over {{}} of it", found.residual, bits=bits)
        elif self.unexplained(found.residual) and self.is_coded(found):
            self.say_lossy(AS_CODED, found.residual, likeness=self.like_coded)
        elif bounds.SAME.above(found.residual) and not self.rounded_away(found.residual):
            self.report.find(
                "vocoder.differs",
                f"Your audio is not what the model makes of these codes (correlation {found.correlation:.3f}), and "
                f"{self._nearest_words()}.{self._left_words(found)}",
                cause=self._nearest_cause(),
                correlation=found.correlation,
                residual=found.residual,
                **self._shape(found).as_evidence(),
            )
            self._ask_on(self._shape(found).first)
            return
        elif self.unexplained(found.residual):
            self._say_close(found)
        if found.gain < 0:
            self.report.find(
                "audio.negated",
                f"Your audio is ours with its sign turned (gain {found.gain:.3f}).",
                gain=found.gain,
            )
        else:
            self.say_gain(found.gain)
        self._judge_constant(found)
        self._judge_length(found)

    def _left_words(self, found: Match) -> str:
        """What is left over; of what has nothing in common with ours, whether it may be another speech."""
        if not bounds.NOTHING_ALIKE.above(found.residual):
            return self._shape(found).sentence
        lasts, ours = (len(samples) / SAMPLE_RATE for samples in (self.theirs, self.made))
        if abs(lasts - ours) * SAMPLE_RATE <= self.per_frame:
            return ""
        return f" It lasts {lasts:.2f} s, what the codes make {ours:.2f} s: these may be another speech's codes."

    def _say_close(self, found: Match) -> None:
        """Theirs is neither ours nor anything else: by as much as few bits do, or by more, or bound to a time."""
        shape = self._shape(found)
        decibels = -_DECIBELS * math.log10(found.residual)
        few_bits = not bounds.CLOSE.above(found.residual) and not shape.in_time
        alike = f"{decibels:.0f} dB ({share(found.residual)} of it is left over)"
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
            self._ask_on(shape.first)

    def _shape(self, found: Match) -> Shape:
        return shape_of(self.theirs, self.made, found, self.per_frame)

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
