"""How long is their audio, and what is at its end or between its pieces?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.alignment import place_of
from omniggml.doctor.catalogue import MISTAKE_SENTENCES
from omniggml.doctor.checks.audio import noisiness
from omniggml.doctor.checks.their_audio import TheirAudio, left_over, longest_silence
from omniggml.doctor.counterfactuals import faded_pieces, in_pieces
from omniggml.doctor.difference import shape_of
from omniggml.doctor.port_search import explained_residual
from omniggml.doctor.vocoder_mirror import Choices
from omniggml.doctor.words import seams_lose
from omniggml.spec.model_config import SAMPLE_RATE


class AudioLength(TheirAudio):
    """What their number of samples tells."""

    def _is_a_bit(self) -> bool:
        """Whether theirs is so much shorter than ours, and so short, that nothing else can be told of it: then that is
        said, and which bit of ours it is."""
        have, want = len(self.theirs), len(self.made)
        if self.rate != SAMPLE_RATE or have >= min(bounds.A_BIT, want // bounds.BITS):
            return False
        place = place_of(self.theirs, self.made)
        where = "too few to tell more of" if place is None else f"and are ours from sample {place} on"
        self.report.find(
            "audio.length",
            f"{have} samples for {self.n_frames} frames, {where}; the model makes {want}.",
            cause={"kind": "cut", "where": "audio"},
            samples=have,
            expected=want,
        )
        return True

    def _judge_length(self, found: Match) -> None:
        """Beyond the end of ours there may be something else, or ours again."""
        have, want = len(self.theirs), self.per_frame * self.n_frames - self.lost
        coded = self.audio.subtype in bounds.LOSSY or (self.unexplained(found.residual) and self.is_coded(found))
        if coded and 0 <= have - want <= bounds.CODEC_DELAY:
            return  # codecs make whole blocks
        if have != want and not self._one_sided(found):
            self.report.find(
                "audio.length",
                f"{have} samples for {self.n_frames} frames; the model makes {want}"
                + (
                    f", {abs(found.lag)} samples {'later' if found.lag > 0 else 'earlier'} in yours."
                    if found.lag
                    else "."
                ),
                cause={"kind": self._kind_of_length(have, want), "where": "audio"},
                samples=have,
                expected=want,
                lag=found.lag,
            )

    def _kind_of_length(self, have: int, want: int) -> str:
        if have < want:
            return "cut"
        if bounds.SAME.below(left_over(self.theirs[want:], self.theirs[2 * want - have : want])):
            return "doubled"
        flatness, voiced = noisiness(self.theirs[want:], SAMPLE_RATE)
        noise = bounds.FLAT_SPECTRUM.above(flatness) and bounds.VOICED.below(voiced)
        return "noise" if noise else "gap" if longest_silence(self.theirs[want:]) == have - want else "doubled"

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
            return self._faded_into_each_other(missing)
        right = match(self.theirs, self.mirror(self.codes), self.per_frame)
        candidates = [piece for piece in range(1, self.n_frames) if -(-self.n_frames // piece) == pieces]
        candidates.sort(key=lambda piece: piece not in bounds.USUAL_PIECES)
        residual, piece, context, alone = self._best_pieces(candidates)
        beats = bounds.MISTAKE_BEATS.below(residual / (right.residual or 1))
        exact = residual <= explained_residual(self.floor) < right.residual
        if not (bounds.PIECES_LEAVE.below(residual) and (beats or exact)):
            return self._cut_from_the_end(candidates, pieces)
        self.report.find(
            "audio.seams",
            f"Your audio equals ours {_decoded(piece, context, alone)}: {seams_lose(pieces - 1, self.lost)}.",
            piece=piece,
            context=context,
            convolutions_alone=alone,
            residual=residual,
            residual_without=right.residual,
        )
        return True

    def _cut_from_the_end(self, candidates: list[int], pieces: int) -> bool:
        """Whether samples of the frames before a piece are kept, and as many cut from its end: then a piece begins
        with these frames."""
        second = [
            (self._left_of_beginning(piece - context, piece, self.per_frame * piece - self.lost), piece, context)
            for piece in candidates[: bounds.MOST_PIECES]
            for context in bounds.CONTEXTS[1:]
            if context <= piece
        ]
        beginning, piece, context = min(second, default=(1.0, 0, 0))
        if not bounds.PIECES_LEAVE.below(beginning):
            return False
        return self._says_seams(
            in_pieces(self.mirror, self.codes, piece, context, from_end=True),
            f"Your audio equals ours decoded {piece} frames at a time with {context} before them, whose samples are "
            f"kept while as many are cut from the end: {seams_lose(pieces - 1, self.lost)}, and frames come twice.",
            piece=piece,
            context=context,
        )

    def _says_seams(self, ours: npt.NDArray[np.float32], sentence: str, **evidence: Any) -> bool:
        """Whether such pieces are far nearer to theirs than the whole is: then that is said."""
        residual = match(self.theirs, ours, 0).residual
        right = match(self.theirs, self.made, self.per_frame).residual
        far_nearer = bounds.PIECES_LEAVE.below(residual) and bounds.MISTAKE_BEATS.below(residual / (right or 1))
        if far_nearer:
            self.report.find("audio.seams", sentence, **evidence, residual=residual)
        return far_nearer

    def _left_of_beginning(self, frame: int, piece: int, at: int, faded: int = 0) -> float:
        """What ours from a frame on, decoded by itself, leaves over of a few frames of theirs, no more than a piece
        has, but for the first samples, which are `faded`."""
        few = min(piece, bounds.FRAMES_OF_A_BEGINNING)
        ours = self.mirror(self.codes[:, frame : frame + few]).astype(np.float64)
        return left_over(self.theirs[at + faded : at + len(ours)], ours[faded:])

    def _faded_into_each_other(self, missing: int) -> bool:
        """Whether pieces that are decoded alone overlap: each seam loses so many samples more."""
        second = []
        for piece in range(1, self.n_frames):
            seams = -(-self.n_frames // piece) - 1
            over, rest = divmod(missing - (seams + 1) * self.lost, seams)
            last = self.per_frame * (self.n_frames - piece * seams) - self.lost
            if not rest and 0 < over < min(self.per_frame * piece - self.lost, last):
                at = self.per_frame * piece - self.lost - over
                second.append((piece not in bounds.USUAL_PIECES, piece, over, at))
        tried = sorted(second)[: bounds.MOST_PIECES]
        likely = [(self._left_of_beginning(piece, piece, at, over), piece, over) for _, piece, over, at in tried]
        beginning, piece, over = min(likely, default=(1.0, 0, 0))
        if not bounds.PIECES_LEAVE.below(beginning):
            return False
        return self._says_seams(
            faded_pieces(self.mirror, self.codes, piece, over),
            f"Your audio equals ours decoded {piece} frames at a time, each by itself and faded into the next over "
            f"{over} samples: {seams_lose(-(-self.n_frames // piece) - 1, self.lost + over)}.",
            piece=piece,
            context=0,
            overlap=over,
        )

    def _with_little_before(self, found: Match) -> bool:
        """Whether pieces that lose no samples were decoded with too few frames before them: theirs is ours up to the
        first seam."""
        if self.n_frames < 2 or len(self.theirs) != len(self.made) or not self.unexplained(found.residual):
            return False
        begins = self._frames_that_are_ours() or shape_of(self.theirs, self.made, found, self.per_frame).begins

        def of_the_second(piece: int, context: int, alone: bool) -> float:
            ours = self._seamless(piece, context, alone, 2 * piece).astype(np.float64)
            return left_over(self.theirs[self.per_frame * piece : len(ours)], ours[self.per_frame * piece :])

        second = [
            (of_the_second(piece, context, alone), piece, context, alone)
            for piece in (begins, begins + 1)
            for context in bounds.CONTEXTS[1:]
            for alone in (False, True)
            if begins and piece < self.n_frames - 1
        ]
        left, piece, context, alone = min(second, default=(1.0, 0, 0, False))
        return left < 1 and self._says_seams(
            self._seamless(piece, context, alone),
            f"Your audio equals ours {_decoded(piece, context, alone)}, which are too few.",
            piece=piece,
            context=context,
            convolutions_alone=alone,
        )

    def _frames_that_are_ours(self) -> int:
        """From the first on, to within what their file rounds away."""
        whole = self.n_frames - 1  # the last is shorter
        right = self.mirror(self.codes)  # in float32, as the engine may not be
        theirs, ours = (x[: whole * self.per_frame].reshape(whole, -1) for x in (self.theirs, right))
        left = np.square(theirs - ours).mean(axis=1)
        most = explained_residual(self.floor) * float(np.square(right).mean())
        return int(np.argmax(left > most))

    def _seamless(self, piece: int, context: int, alone: bool, frames: int | None = None) -> npt.NDArray[np.float32]:
        codes = self.codes[:, :frames]
        return in_pieces(self.mirror, codes, piece, context, convolutions_alone=alone, kept=self.lost)

    def _best_pieces(self, candidates: list[int]) -> tuple[float, int, int, bool]:
        """What is left over, frames a piece, frames before each, and whether the convolutions alone were given pieces.
        Where the seams are matters more than what comes before them, so that is looked for first."""

        def decoded(piece: int, context: int, alone: bool = False) -> tuple[float, int, int, bool]:
            ours = in_pieces(self.mirror, self.codes, piece, context, convolutions_alone=alone)
            return match(self.theirs, ours, 0).residual, piece, context, alone

        enough = explained_residual(self.floor)
        found: list[tuple[float, int, int, bool]] = []
        for piece in candidates[: bounds.MOST_PIECES]:
            found.append(decoded(piece, bounds.CONTEXTS[0]))
            if found[-1][0] <= enough:
                return found[-1]
        best = min(found, default=(1.0, 0, 0, False))
        # A seam that is a frame off looks much like it.
        likely = [piece for _, piece, _, _ in sorted(found)[: bounds.LIKELY_PIECES]]
        others = [(piece, bounds.CONTEXTS[0], True) for piece in likely]
        others += [
            (piece, context, alone) for piece in likely for context in bounds.CONTEXTS[1:] for alone in (False, True)
        ]
        for piece, context, alone in others:
            best = min(best, decoded(piece, context, alone))
            if best[0] <= enough:
                return best
        return best


def _decoded(piece: int, context: int, convolutions_alone: bool) -> str:
    if convolutions_alone:
        return (
            f"where the transformer sees all and the convolutions {piece} frames at a time with {context} before them"
        )
    return f"decoded {piece} frames at a time with {context} before them"


def _frames(n: int) -> str:
    return "one frame" if n == 1 else f"{n} frames"
