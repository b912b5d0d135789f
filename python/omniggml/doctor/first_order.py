"""What mistakes change in a few samples, to first order, and which two of them together make what theirs differs by.

Sums of the samples with random weights stand for them: what changes the samples alike has like sums, and sums of two
changes add up, so that all pairs of thousands of mistakes are looked at without computing one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.vocoder_adjoint import VocoderAdjoint
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_mirror import AnyChoices, FloatArray, VocoderMirror


class FirstOrder:
    """`ours`: the samples that the cone looks at; `theirs`: the same of theirs, of which a gain and a constant tell
    nothing; `given`: what each stage behind the transformer is given for them."""

    def __init__(
        self,
        mirror: VocoderMirror,
        choices: AnyChoices,
        cone: Cone,
        given: Sequence[npt.NDArray[np.generic]],
        ours: FloatArray,
        theirs: npt.NDArray[np.float64],
        threads: int = 1,
    ) -> None:
        # What was cut at the limits tells nothing.
        inside = (np.abs(theirs) < bounds.FULL).astype(np.float64)
        known, _ = np.linalg.qr(np.stack([inside, inside * ours], axis=1))
        weights = inside * np.random.default_rng(0).standard_normal((bounds.SUMS, len(ours))) / np.sqrt(bounds.SUMS)
        weights -= (weights @ known) @ known.T
        self._inside, self._theirs = inside > 0, theirs
        # Of what is cut at the limits nobody knows how large it was.
        self._too_large = math.inf if inside.mean() < bounds.HARDLY_CUT else bounds.TOO_LARGE
        self._weights = weights.astype(np.float32)
        self.observed = self._differs(ours)
        self._power = float(np.square(ours - ours.mean()).sum())
        self.n_samples = len(ours)
        self._before = cone.convolutions - 1
        parts = np.array_split(self._weights, threads)
        pulled = side_by_side(partial(VocoderAdjoint.of(mirror).pulled_back, cone, given, choices), parts, threads)
        self._adds = [np.concatenate(adds) for adds in zip(*(adds for _, adds in pulled), strict=True)]

    def _differs(self, ours: FloatArray) -> FloatArray:
        """Sums of what theirs differs by from such samples, as loud as these."""
        mine, theirs = (some[self._inside] - some[self._inside].mean() for some in (ours, self._theirs))
        power = max(float(mine @ mine), bounds.LEAST_SHARE)
        gain, louder = float(theirs @ mine) / power, float(np.sqrt(theirs @ theirs / power))
        # Of what is hardly alike only the levels say how much louder theirs is.
        gain = gain if abs(gain) > louder / 2 else louder
        return np.asarray(self._weights @ (self._theirs / (gain or 1.0) - ours), np.float32)

    def sums_of(self, stage: int, changes: Sequence[FloatArray]) -> FloatArray:
        """[changes, sums] of what changes of what a stage makes, all [channels, time], change in the samples."""
        adds = self._adds[stage - self._before]
        return np.asarray(np.stack(changes).reshape(len(changes), -1) @ adds.reshape(len(adds), -1).T, np.float32)

    def goes_with(self, sums: FloatArray) -> float:
        """The cosine of what theirs differs by and of such a change."""
        size = float(np.linalg.norm(sums)) * float(np.linalg.norm(self.observed))
        return float(sums @ self.observed) / size if size > 0 else 0.0

    def share(self, sums: FloatArray) -> float:
        """Of the samples' energy that such a change is: to first order alone where it is small."""
        return float(sums @ sums) / (self._power or 1.0)

    def is_apt(self, sums: FloatArray) -> bool:
        """Whether it is neither too small to be seen beside what theirs differs by, nor far too large."""
        power = float(self.observed @ self.observed)
        return bounds.TOO_SMALL * power < float(sums @ sums) < self._too_large * power

    def leads_away(self, sums: FloatArray, most: float, least: float = 0.0) -> bool:
        """Whether theirs is no nearer with such a change, by `least` of what it differs by, where that is at most this
        share of the samples' energy, or it isn't apt."""
        # What only makes ours louder is nothing to first order.
        if self.share(sums) > bounds.LEAST_CHANGE and not self.is_apt(sums):
            return True
        # By how much theirs is louder is known roughly, since a mistake changes that, too.
        nearer = least / 2 * float(self.observed @ self.observed)
        return self.share(sums) < most and float(sums @ self.observed) < float(sums @ sums) / 4 + nearer

    def left_beside(self, samples: FloatArray, every: FloatArray) -> npt.NDArray[np.float32]:
        """What each of [changes, sums] leaves over of what theirs differs by from such samples of ours."""
        return np.asarray(np.square(self._differs(samples) - every).sum(axis=1), np.float32)

    def sums_of_samples(self, samples: FloatArray) -> FloatArray:
        """[sums] of so many samples as ours are."""
        return np.asarray(self._weights @ samples, np.float32)


def likely_pairs(observed: FloatArray, sums: FloatArray, most: int) -> list[tuple[int, int]]:
    """sums: [mistakes, sums]. The pairs whose sums together, times a factor, come nearest to what is observed, in that
    order; none that leave too much of it."""
    goes, sizes = sums @ observed, np.square(sums).sum(axis=1)
    power = float(observed @ observed)
    enough, found = (1 - bounds.PAIR_LEAVES) * power, np.zeros((0, 3))  # what is explained, and the two
    for start in range(0, len(sums), bounds.PAIRS_AT_ONCE):
        rows = slice(start, start + bounds.PAIRS_AT_ONCE)
        both = goes[rows, None] + goes[start:]
        size = 2 * sums[rows] @ sums[start:].T
        size += sizes[rows, None]
        size += sizes[start:]
        np.maximum(size, bounds.LEAST_CHANGE * power, out=size)
        factor = both / size
        both *= factor
        one, other = np.nonzero(both > enough)
        near = (one < other) & (factor[one, other] > 0.5) & (factor[one, other] < 2)  # each pair once
        one, other = one[near], other[near]
        found = np.concatenate([found, np.stack([both[one, other], start + one, start + other], axis=1)])
        if len(found) > most:
            found = found[np.argsort(-found[:, 0], kind="stable")[:most]]
            enough = max(enough, float(found[-1, 0]))
    order = np.argsort(-found[:, 0], kind="stable")
    return [(int(one), int(other)) for _, one, other in found[order]]
