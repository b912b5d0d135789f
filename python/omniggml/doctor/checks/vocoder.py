"""The vocoder: is it alive, and is their audio what it makes of their codes - or with which mistake?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import MISTAKE_SENTENCES
from omniggml.doctor.checks.audio import swapped
from omniggml.doctor.counterfactuals import VocoderMistake, in_pieces, vocoder_mistakes
from omniggml.doctor.vocoder_mirror import Choices, VocoderMirror
from omniggml.errors import OmniError
from omniggml.gguf.type_names import LARGEST_F16
from omniggml.model import Model

IntArray = npt.NDArray[np.int32]
Samples = npt.NDArray[np.float64]

_TRIAL_FRAMES = 16
_MOST_FRAMES = 400
_BUDGET = 3e10  # products a run of the mirror, about a second
_SAME = 0.02  # share of energy left over by which audio counts as the same, another precision allowed for
_CLEARLY = 10.0  # times less must a mistake leave over than the right vocoder
_NOTHING_LEFT = 1e-10
_FULL = 0.999


def check_vocoder(case: Case) -> None:
    """Needs a model or at least the vocoder's tensors; compares with the audio where codes and audio are given."""
    if case.mirror is None:
        return
    case.checked.append("vocoder")
    if case.model is not None:
        _check_life(case, case.model)
    if case.audio is None or case.codes is None:
        return
    if case.right_codes is None:
        case.skipped.append("their audio against ours: the codes can't be decoded as they are")
        return
    theirs = case.audio.mono
    if theirs.size and np.isfinite(theirs).all() and theirs.any():
        Recognition(case, case.mirror, _decoded_codes(case, case.mirror, theirs), theirs).run()


def _decoded_codes(case: Case, mirror: VocoderMirror, theirs: Samples) -> IntArray:
    """Codes in a wrong order may be what was decoded, or were only saved so: those that fit the audio better."""
    assert case.right_codes is not None and case.codes is not None
    if not case.has("codes.group-order", "codes.frame-order") or case.codes.shape != case.right_codes.shape:
        return case.right_codes
    choices = [case.right_codes, case.codes.astype(np.int32)]
    samples = [mirror(codes[:, :_TRIAL_FRAMES]) for codes in choices]
    left = [match(theirs[: len(ours)], ours, 0).residual for ours in samples]
    return choices[int(np.argmin(left))]


def _check_life(case: Case, model: Model) -> None:
    geometry = model.geometry["code2wav"]
    draw = np.random.default_rng(1).integers(0, geometry["codebook_size"], (3, geometry["num_quantizers"], 12))
    draw[0] = 0
    try:
        zero, one, two = (model.code2wav(codes) for codes in draw)
    except OmniError as error:
        case.find("vocoder.not-finite", f"The vocoder fails: {error}", certainty=0.9)
        return
    case.measurements["vocoder"] = {
        "rms_of_zero_codes": round(float(zero.std()), 6),
        "rms_of_random_codes": round(float(one.std()), 6),
    }
    if float(np.abs(one).max(initial=0)) < 1e-6:
        case.find("vocoder.silent", "Random codes make silence.", certainty=0.9)
    elif match(one, two, 0).correlation > 0.9999:
        case.find("vocoder.deaf", "Two sets of random codes make the same audio.", certainty=0.9)
    elif float(np.mean(np.abs(one) >= 0.999)) > 0.5:
        share = float(np.mean(np.abs(one) >= 0.999))
        case.find(
            "vocoder.clips", f"Of random codes' samples {share:.0%} are at the limits.", certainty=0.55, share=share
        )
    _check_overflow(case, draw[1])


def _check_overflow(case: Case, codes: npt.NDArray[np.integer]) -> None:
    mirror = case.mirror
    assert mirror is not None
    mirror.watch = True
    mirror(codes[:, :6])
    mirror.watch = False
    largest = {name: float(np.abs(values).max(initial=0)) for name, values in mirror.seen.items()}
    beyond = {name: value for name, value in largest.items() if value > LARGEST_F16}
    if beyond:
        name = max(beyond, key=lambda key: beyond[key])
        case.find(
            "vocoder.f16-overflow",
            f"{name} reaches {beyond[name]:.3g}; float16 ends at {LARGEST_F16:.0f}.",
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

    def __init__(self, case: Case, mirror: VocoderMirror, codes: IntArray, theirs: Samples) -> None:
        self.case, self.mirror, self.codes, self.theirs = case, mirror, codes, theirs
        geometry = mirror.geometry
        self.per_frame = int(np.prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]]))
        self.lost = _lost(geometry["upsample_rates"])
        self.n_frames = codes.shape[1]

    def run(self) -> None:
        """Add what is found."""
        if self._in_pieces() or self._beyond_the_end():
            return
        frames = min(self.n_frames, _MOST_FRAMES, max(_TRIAL_FRAMES, int(_BUDGET / self._products())))
        right = self._trial(None, frames)
        self.case.measurements["theirs"] = {
            "correlation": round(right.match.correlation, 6),
            "gain": round(right.match.gain, 6),
            "lag": right.match.lag,
            "residual": right.match.residual,
        }
        if right.match.residual < _NOTHING_LEFT or not self._mistaken(right, frames):
            self._judge_right(right)

    def _products(self) -> float:
        """Multiplications a frame, roughly: each tensor's values as often as it is applied."""
        total, times = 0.0, 1.0
        shapes = self.mirror.weights
        for stage, ratio in enumerate(self.mirror.geometry["upsampling_ratios"]):
            times *= ratio
            total += times * shapes[f"code2wav.upsample.{stage}.1.pwconv1.weight"].size * 2
        for number, rate in enumerate(self.mirror.geometry["upsample_rates"], 1):
            times *= rate
            total += 3 * times * shapes[f"code2wav.decoder.{number}.block.2.conv1.conv.weight"].size * 8 / 7
        return total

    def _trial(self, mistake: VocoderMistake | None, frames: int) -> Trial:
        if mistake is None:
            ours = self.mirror(self.codes[:, :frames])
        else:
            ours = self.mirror(mistake.codes(self.codes)[:, :frames], mistake.choices)
        # A little more of theirs, for a lag; the end of ours only where it is theirs too.
        theirs = self.theirs[: len(ours)] if frames < self.n_frames else self.theirs
        return Trial(mistake, match(theirs, ours, self.per_frame))

    def _mistaken(self, right: Trial, frames: int) -> bool:
        first = min(frames, _TRIAL_FRAMES)
        right_of_few = self._trial(None, first)
        trials = []
        for mistake in vocoder_mistakes(self.mirror.geometry, self.n_frames):
            on = frames if mistake.choices.window is not None or frames <= first else first
            trial = self._trial(mistake, on)
            if mistake.choices.half and right.match.residual < _SAME:
                continue
            beaten = (right if on == frames else right_of_few).match.residual
            trials.append((trial.match.residual / max(beaten, 1e-12), trial))
        ratio, best = min(trials, key=lambda entry: entry[0])
        assert best.mistake is not None
        others = [trial for _, trial in trials if trial.mistake and trial.mistake.name != best.mistake.name]
        alone = _stands_out(best, [right, *others])
        if not alone and (best.match.residual > 0.5 or ratio > 1 / _CLEARLY):
            return False
        what = MISTAKE_SENTENCES[best.mistake.name]
        verb = "equals" if best.match.residual < 0.5 else "is like"
        self.case.find(
            best.mistake.id,
            f"Your audio {verb} ours when {what} (correlation {best.match.correlation:.4f}; without that mistake "
            f"{right.match.correlation:.4f}).",
            certainty=0.98,
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
        if found.residual > _SAME and self._only_clipped():
            return
        if found.residual > _SAME:
            swap = match(swapped(self.theirs), self.mirror(self.codes[:, :_TRIAL_FRAMES]), self.per_frame)
            if swap.residual < _SAME:
                self.case.find(
                    "audio.bytes", "With the bytes of its samples swapped, your audio equals ours.", certainty=0.98
                )
                return
            self.case.find(
                "vocoder.differs",
                f"Your audio is not what the model makes of these codes (correlation {found.correlation:.3f}), and "
                f"no known "
                "mistake makes it.",
                certainty=0.8,
                correlation=found.correlation,
                residual=found.residual,
            )
            return
        if found.gain < 0:
            self.case.find(
                "audio.negated",
                f"Your audio is ours with its sign turned (gain {found.gain:.3f}).",
                certainty=0.8,
                gain=found.gain,
            )
        elif not 0.97 < found.gain < 1.03:
            self.case.find("audio.gain", f"Your audio is ours times {found.gain:.3f}.", certainty=0.8, gain=found.gain)
        self._judge_constant(found)
        self._judge_length(found)

    def _only_clipped(self) -> bool:
        """Whether theirs is ours, too loud, cut at the limits."""
        ours = self.mirror(self.codes[:, :_TRIAL_FRAMES]).astype(np.float64)
        n = min(len(ours), len(self.theirs))
        ours, theirs = ours[:n], self.theirs[:n]
        inside = np.abs(theirs) < _FULL
        if inside.mean() > 0.995 or inside.sum() < 30:
            return False
        gain = float(ours[inside] @ theirs[inside]) / max(float(ours[inside] @ ours[inside]), 1e-12)
        return match(theirs, np.clip(gain * ours, -1, 1), 0).residual < _SAME

    def _judge_constant(self, found: Match) -> None:
        ours = self.mirror(self.codes[:, :_TRIAL_FRAMES])
        constant = float(self.theirs[: len(ours)].mean() - found.gain * ours.mean())
        if abs(constant) > 0.02 and abs(constant) > 0.1 * float(ours.std()):
            self.case.find(
                "audio.dc", f"Your audio is ours shifted by {constant:.3f}.", certainty=0.85, constant=constant
            )

    def _judge_length(self, found: Match) -> None:
        have, want = len(self.theirs), self.per_frame * self.n_frames - self.lost
        if have != want and not self._one_sided(found):
            self.case.find(
                "audio.length",
                f"{have} samples for {self.n_frames} frames; the model makes {want}"
                + (f", {found.lag} samples later in yours." if found.lag else "."),
                certainty=0.8,
                samples=have,
                expected=want,
                lag=found.lag,
            )

    def _one_sided(self, found: Match) -> bool:
        """Transposed convolutions trimmed on one side alone make more samples, of which ours are a part."""
        for name in ("right-trim", "left-trim"):
            ours = self.mirror(self.codes, Choices(trim=name.partition("-")[0]))
            if len(ours) != len(self.theirs):
                continue
            # What is trimmed elsewhere shows at one end, where silence may have been added instead.
            end = slice(-self.lost, None) if name == "left-trim" else slice(self.lost)
            if max(match(self.theirs, ours, 0).residual, match(self.theirs[end], ours[end], 0).residual) < _SAME:
                what = MISTAKE_SENTENCES[name]
                self.case.find(
                    f"vocoder.{name}",
                    f"Your audio equals ours when {what}: {len(ours)} samples, {self.per_frame} a frame.",
                    certainty=0.97,
                    samples=len(ours),
                    residual_without=found.residual,
                )
                return True
        return False

    def _beyond_the_end(self) -> bool:
        """Whole frames more than codes, after audio that is ours: those that only end the speech were vocoded."""
        frames, rest = divmod(len(self.theirs) + self.lost, self.per_frame)
        extra = frames - self.n_frames
        if rest or not 1 <= extra <= _MOST_EXTRA:
            return False
        end = self.per_frame * self.n_frames - self.lost
        first = max(0, self.n_frames - _TRIAL_FRAMES - 2 * self.mirror.geometry["sliding_window"])
        ours = self.mirror(self.codes[:, first:])[-(_TRIAL_FRAMES // 2) * self.per_frame :]
        before = match(self.theirs[end - len(ours) : end], ours, 0)
        loud = float(np.abs(self.theirs[end:]).max()) > 0.01 * float(np.abs(self.theirs[:end]).max())
        if before.residual > _SAME or not loud:
            return False
        self.case.find(
            "vocoder.end-frame",
            f"Your audio equals ours and goes on for {_frames(extra)} that the codes don't have"
            + (", as it does when codec eos is looked up as a code." if self._ended_by_eos(frames) else "."),
            certainty=0.985,
            extra_frames=extra,
            residual=before.residual,
        )
        return True

    def _ended_by_eos(self, frames: int) -> bool:
        """Whether the codes as given, their frames of control ids included, make the end of theirs."""
        given = self.case.codes
        if given is None or given.shape != (len(self.codes), frames) or not np.issubdtype(given.dtype, np.integer):
            return False
        window = 2 * self.mirror.geometry["sliding_window"] + _TRIAL_FRAMES
        ours = self.mirror(given[:, -window:].astype(np.int32))[-self.per_frame :]
        return match(self.theirs[-len(ours) :], ours, 0).residual < _SAME

    def _in_pieces(self) -> bool:
        """Every piece decoded alone loses the samples of a start; so many pieces there are."""
        missing = self.per_frame * self.n_frames - len(self.theirs)
        pieces = missing // self.lost if self.lost and missing % self.lost == 0 else 0
        if pieces < 2:
            return False
        right = match(self.theirs, self.mirror(self.codes), self.per_frame)
        candidates = [piece for piece in range(1, self.n_frames) if -(-self.n_frames // piece) == pieces]
        candidates.sort(key=lambda piece: piece not in _USUAL_PIECES)
        best = (1.0, 0, 0)
        for piece in candidates[:_MOST_PIECES]:
            for context in _CONTEXTS:
                trial = match(self.theirs, in_pieces(self.mirror, self.codes, piece, context), 0)
                best = min(best, (trial.residual, piece, context))
            if best[0] < 1e-4:
                break
        if best[0] > min(0.05, right.residual / _CLEARLY):
            return False
        residual, piece, context = best
        self.case.find(
            "audio.seams",
            f"Your audio equals ours decoded {piece} frames at a time with {context} before them: {pieces - 1} "
            f"seams lose "
            f"{self.lost} samples each.",
            certainty=0.98,
            piece=piece,
            context=context,
            residual=residual,
            residual_without=right.residual,
        )
        return True


_MOST_EXTRA = 8
_MOST_PIECES = 12
_CONTEXTS = (0, 25, 10, 4, 2)
_USUAL_PIECES = (
    1,
    2,
    4,
    5,
    8,
    10,
    12,
    15,
    16,
    20,
    24,
    25,
    30,
    32,
    40,
    48,
    50,
    60,
    64,
    75,
    80,
    96,
    100,
    128,
    150,
    200,
    250,
    256,
    300,
)


def _stands_out(best: Trial, others: list[Trial]) -> bool:
    """Whether it explains a fifth of theirs, and nothing else a tenth of that: what is left of a signal that was cut at
    the limits, or of a computation in which the smallest difference grows."""
    explained = 1 - best.match.residual
    return explained > 0.2 and all(1 - other.match.residual < explained / 10 for other in others)


def _frames(n: int) -> str:
    return "one frame" if n == 1 else f"{n} frames"


def _lost(rates: tuple[int, ...]) -> int:
    """Samples that a start loses: 555 with the published rates."""
    lost = 0
    for rate in rates:
        lost = lost * rate + rate
    return lost
