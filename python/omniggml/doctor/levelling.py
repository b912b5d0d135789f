"""Ours at a loudness that changes, as limiters, compressors and loudness filters make it: softer where it is loud."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds

Samples = npt.NDArray[np.float64]

_TINY = 1e-12


def in_pieces(x: Samples) -> Samples:
    """[pieces, samples], without what is behind the last whole one."""
    return x[: len(x) // bounds.PIECE * bounds.PIECE].reshape(-1, bounds.PIECE)


def both_in_pieces(theirs: Samples, ours: Samples) -> tuple[Samples, Samples]:
    """[pieces, samples] of each, as far as both go."""
    n = min(len(theirs), len(ours))
    return in_pieces(theirs[:n]), in_pieces(ours[:n])


def left_with_gains(theirs: Samples, ours: Samples) -> float:
    """The share of theirs that ours leaves over, as loud in each piece as it fits best: a limiter's gains change."""
    x, y = both_in_pieces(theirs, ours)
    power = float(np.square(x).sum())
    if power == 0:
        return 1.0
    products, own = (x * y).sum(axis=1), np.square(y).sum(axis=1)
    sign = np.sign(products.sum())
    fits = np.square(np.maximum(sign * products, 0)) / np.maximum(own, _TINY)
    return 1 - float(fits.sum()) / power


def levelled(theirs: Samples, ours: Samples, left: float) -> tuple[float, float] | None:
    """The gains where ours is loudest and where it isn't, where theirs is ours but for a loudness that falls where ours
    is loud. `left`: the share of theirs that ours at one loudness leaves over."""
    x, y = both_in_pieces(theirs, ours)
    own = np.square(y).sum(axis=1)
    loud = own > bounds.LOUD_PIECE * own.mean()
    with_gains = left_with_gains(theirs, ours)
    beats = bounds.CHANGE_BEATS.below(with_gains / max(left, _TINY)) and bounds.ENVELOPE_LEAVES.below(with_gains)
    if not beats or loud.sum() < bounds.FEWEST_PIECES:
        return None
    gains = (x * y).sum(axis=1)[loud] / own[loud]
    # A limiter is ahead of what is loud, and behind it for a while.
    around = np.pad(own, bounds.LIMITER_REACH)
    recent = np.max([around[n : n + len(own)] for n in range(sum(bounds.LIMITER_REACH) + 1)], axis=0)[loud]
    falls = np.asarray(np.corrcoef(np.argsort(np.argsort(gains)), np.argsort(np.argsort(recent))))[0, 1]
    if gains.min() <= 0 or falls > -bounds.FALLS:
        return None
    low, high = np.quantile(gains, bounds.STEADY_PARTS)
    return float(low), float(high)


def comes_back(gains: Samples) -> bool:
    """Whether gains of pieces in a row, NaN of quiet ones, are the same again at regular distances, and others in
    between: as windows make them, and nothing that hears how loud it is."""
    others = False
    for lag in range(1, len(gains) // 3 + 1):
        one, other = gains[:-lag], gains[lag:]
        both = ~(np.isnan(one) | np.isnan(other))
        if both.sum() < bounds.FEWEST_PIECES or min(one[both].std(), other[both].std()) < _TINY:
            continue
        like = float(np.corrcoef(one[both], other[both])[0, 1])
        if others and bounds.GAINS_COME_BACK.above(like):
            return True
        others |= like < bounds.IS_ANOTHER
    return False


def hold(gains: Samples) -> bool:
    """Whether they stay what they are for a while and become others at once, several times: as where pieces are made
    louder each by itself. What hears how loud it is holds one gain at most, where it does nothing."""
    changes, last, level = 0, -len(gains), np.inf  # the last piece that was held, and at which gain
    for at in range(len(gains) - bounds.HELD_PIECES + 1):
        some = gains[at : at + bounds.HELD_PIECES]
        if np.isnan(some).any() or np.ptp(some) > bounds.HELD_GAIN * some.mean():
            continue
        changes += at - last <= bounds.CHANGED_WITHIN and abs(some.mean() / level - 1) > bounds.OTHER_GAIN
        last, level = at + bounds.HELD_PIECES - 1, float(some.mean())
    return changes >= bounds.HELD_CHANGES


def levelled_words(gains: tuple[float, float]) -> str:
    """As people say it."""
    return (
        f"Your audio is ours times {gains[0]:.2f} where it is loud to {gains[1]:.2f} where it isn't, as a limiter or a "
        "compressor makes it."
    )
