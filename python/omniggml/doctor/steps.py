"""A loudness that is one for a while and then another: pieces that were made louder or softer each by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds

Samples = npt.NDArray[np.float64]

_TINY = 1e-12


def in_steps(theirs: Samples, ours: Samples) -> tuple[list[int], list[float]] | None:
    """From which samples on theirs is ours times another factor, the first of them 0, and these factors; None where it
    isn't made of such pieces. Both are as long."""
    width = bounds.PIECE
    n = len(ours) // width
    x, y = (one[: n * width].reshape(n, width) for one in (theirs, ours))
    own = np.square(y).sum(axis=1)
    loud = np.flatnonzero(own > bounds.LOUD_PIECE * own.mean()) if n else np.zeros(0, int)
    if not len(loud):
        return None
    gains = (x * y).sum(axis=1)[loud] / own[loud]
    runs = _runs(gains)
    factors = [float(np.median(gains[first:end])) for first, end in runs]
    covered = sum(end - first for first, end in runs)
    if len(runs) < 2 or covered < bounds.IN_STEPS * len(loud) or min(factors) <= 0:
        return None
    begins = [0]
    for (one, two), (_, end), (first, _) in zip(pairwise(factors), runs, runs[1:], strict=False):
        window = slice(int(loud[end - 1]) * width, (int(loud[first]) + 1) * width)
        begins.append(window.start + _change(theirs[window], ours[window], one, two))
    last = begins[-1] + bounds.FEWEST_OF_A_STEP * width
    begins += [last + behind] if (behind := _tail(theirs[last:], ours[last:], factors[-1])) else []
    return begins, [_gain(theirs[a:b], ours[a:b]) for a, b in pairwise([*begins, len(ours)])]


def _runs(gains: Samples) -> list[tuple[int, int]]:
    """First and end of those in a row that are alike, without the few that a change lies in."""
    cuts = np.flatnonzero(np.abs(np.diff(gains)) > bounds.STEP * np.abs(gains[1:])) + 1
    found: list[tuple[int, int]] = []
    for first, end in pairwise([0, *cuts.tolist(), len(gains)]):
        if end - first < bounds.FEWEST_OF_A_STEP:
            continue
        before = float(np.median(gains[slice(*found[-1])])) if found else np.inf
        here = float(np.median(gains[first:end]))
        if abs(before - here) <= bounds.STEP * abs(here):
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found


def _change(theirs: Samples, ours: Samples, before: float, behind: float) -> int:
    """The sample from which on theirs is ours times `behind`, so that least is left over."""
    one, two = np.square(theirs - before * ours), np.square(theirs - behind * ours)
    return int(np.argmin(np.concatenate([[0.0], np.cumsum(one - two)])))


def _tail(theirs: Samples, ours: Samples, before: float) -> int:
    """The sample from which on a last piece has a factor of its own, however short and soft; 0: there is none."""
    if not len(ours):
        return 0
    mixed, own, power = (one[::-1].cumsum()[::-1] for one in (theirs * ours, np.square(ours), np.square(theirs)))
    behind = power - np.square(mixed) / np.maximum(own, _TINY)
    errors = np.concatenate([[0.0], np.cumsum(np.square(theirs - before * ours))])
    whole, least = errors[-1], errors[:-1] + behind
    at = int(np.argmin(least))
    gain = float(mixed[at]) / max(float(own[at]), _TINY)
    another = gain > 0 and abs(gain - before) > bounds.STEP * before
    return at if another and bounds.CHANGE_BEATS.below(float(least[at]) / (float(whole) or 1.0)) else 0


def _gain(theirs: Samples, ours: Samples) -> float:
    return float(theirs @ ours) / max(float(ours @ ours), _TINY)
