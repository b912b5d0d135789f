"""What can be heard in a sound file alone, without codes to make it again: what comes twice, clicks, a window on each
piece, noise over it, another colour than the voice's, and speech backwards. Each is one measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.rewriting import SLIPS, Rewriting

Samples = npt.NDArray[np.float64]

_FULL_16_BIT = 32768
_FULL_TURN = 2.0  # from one limit to the other
_TINY, _QUIETEST = 1e-15, 1e-9
_ODD = 6364136223846793005  # odd, so that it has an inverse among numbers of 64 bits


@dataclass(frozen=True)
class Again:
    """`length` samples from `at` on are those from `source` on."""

    at: int
    source: int
    length: int


def again(x: Samples) -> Again | None:
    """The longest that comes twice, sample by sample, as no speech does; None where nothing that is heard does, or all
    goes round."""
    width = bounds.SAME_WINDOW
    n = len(x) - width + 1
    if n < 2:
        return None
    values = np.round(x * _FULL_16_BIT).astype(np.int64).astype(np.uint64)
    powers, inverse = (np.cumprod(np.full(len(x) + 1, base, np.uint64)) for base in (_ODD, pow(_ODD, -1, 1 << 64)))
    summed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values * powers[:-1], dtype=np.uint64)])
    told = (summed[width : width + n] - summed[:n]) * inverse[:n]
    size = np.concatenate([[0.0], np.cumsum(np.abs(x))])
    heard = np.flatnonzero((size[width : width + n] - size[:n]) / width > bounds.AUDIBLE_MEAN)
    order = heard[np.argsort(told[heard], kind="stable")]
    same = told[order[1:]] == told[order[:-1]]
    source, at = order[:-1][same], order[1:][same]
    apart = at - source >= width
    if not apart.any():
        return None
    source, at = source[apart], at[apart]
    lags, counts = np.unique(at - source, return_counts=True)
    lag = int(lags[counts.argmax()])
    if float(np.mean(x[lag:] == x[:-lag])) > bounds.GOES_ROUND:
        return None  # said again as a whole
    own = at - source == lag
    return Again(int(at[own].min()), int(source[own].min()), int(counts.max()) + width - 1)


def spikes(x: Samples) -> npt.NDArray[np.int64]:
    """Where single samples stand out of those beside them, as nothing does that a vocoder filters."""
    width = bounds.SPIKE_WINDOW
    off = np.abs(x[1:-1] - (x[:-2] + x[2:]) / 2)
    n = len(off) // width
    if n < bounds.FEWEST_PIECES:
        return np.zeros(0, np.int64)
    blocks = off[: n * width].reshape(n, width)
    usual = np.sort(blocks, axis=1)[:, -4]  # a spike makes three of them
    usual = np.maximum(np.maximum(usual, np.roll(usual, 1)), np.roll(usual, -1)) + bounds.AUDIBLE
    times = blocks.max(axis=1) / usual
    loud = np.flatnonzero((times > bounds.SPIKE.value) & (blocks.max(axis=1) > bounds.SPIKE_SIZE))
    bounds.SPIKE.above(float(times.max()))
    places = loud * width + blocks[loud].argmax(axis=1) + 1
    step = np.abs(x[places - 1] - x[places + 1])
    return np.asarray(places[step < off[places - 1] / 2], np.int64)


def noise_floor(x: Samples, rate: int) -> tuple[float, float]:
    """Flatness of the spectrum that is there all the time, and the share of all energy that this is."""
    power = _power(x, rate // bounds.FLOOR_RATE)
    wide = bounds.FLOOR_BAND
    n = (power.shape[1] - 1) // wide
    if len(power) < bounds.FEWEST_PIECES or n < 2:
        return 0.0, 0.0
    bands = power[:, 1 : 1 + n * wide].reshape(len(power), n, wide).mean(axis=2)
    least = np.quantile(bands, bounds.STEADY_PARTS[0], axis=0) + _TINY
    return float(np.exp(np.mean(np.log(least))) / least.mean()), float(least.mean() / (bands.mean() + _TINY))


def window_on_pieces(x: Samples, rate: int) -> tuple[float, int]:
    """How soft it is, beside what is around, where it is softest at regular distances, and samples between these; 1 and
    0 where nothing is regular."""
    block = rate // bounds.ENVELOPE_RATE
    n = len(x) // block
    size = np.sqrt(np.square(x[: n * block]).reshape(n, block).mean(axis=1))
    reach = np.ones(bounds.AROUND) / bounds.AROUND
    around = np.sqrt(np.convolve(np.square(size), reach, "same")) if n >= bounds.AROUND else size
    heard = around > bounds.HEARD * np.sqrt(np.mean(np.square(size)))
    soft = np.where(heard, np.minimum(size / (around + _TINY), 1), 0.0)
    dips = np.where(heard & (soft < bounds.DIP), 1.0, 0.0)
    likeness = np.fft.irfft(np.square(np.abs(np.fft.rfft(dips - dips.mean(), 2 * n))))[:n]
    lags = np.arange(bounds.SHORTEST_PERIOD, min(bounds.LONGEST_PERIOD, n // bounds.FEWEST_PERIODS))
    best = (1.0, 0)
    for lag in lags[np.argsort(-likeness[lags])[: bounds.PERIODS_TRIED]]:
        for period in range(int(lag - 1) * block, int(lag + 1) * block, 2):
            phase = (np.arange(n) * block % period) // block
            count = np.bincount(phase, heard)
            told = count >= max(bounds.FEWEST_PERIODS, bounds.HEARD_PERIODS * n * block / period)
            if told.any():
                mean = np.bincount(phase, soft)[told] / count[told]
                best = min(best, (float(mean.min()), period))
    return best


def tilt(x: Samples, rate: int) -> float:
    """Decibels by which highs are louder than lows, see `thresholds.BANDS`."""
    power = _power(x, bounds.NOISE_WINDOW).mean(axis=0)
    hertz = np.arange(len(power)) * rate / bounds.NOISE_WINDOW
    lows, highs = (power[(hertz >= low) & (hertz < high)].mean() + _TINY for low, high in bounds.BANDS)
    return float(10 * np.log10(highs / lows))


def onsets(x: Samples, rate: int) -> float:
    """Skewness of how loudness changes in 20 ms: speech sets in at once and fades, backwards the other way round.
    0 where there is too little of it to tell: a cut-out of a word rises or falls as it happens."""
    block = max(1, rate // bounds.ONSET_RATE)
    n = len(x) // block
    if n < bounds.ENOUGH_ONSETS:
        return 0.0
    loudness = np.log(np.sqrt(np.square(x[: n * block]).reshape(n, block).mean(axis=1)) + bounds.ONSET_FLOOR)
    changes = loudness[bounds.ONSET_BLOCKS :] - loudness[: -bounds.ONSET_BLOCKS]
    square = float(np.mean(np.square(changes))) if len(changes) else 0.0
    return float(np.mean(changes**3)) / square**1.5 if square > 0 else 0.0


def taken_apart(samples: Samples) -> bool:
    """Whether two channels [samples, 2] are every other sample of one: from one to the other and back are two steps,
    half as long as each channel's own."""
    one, other = samples[:, 0], samples[:, 1]
    there, back, own = (float(step.std()) for step in (other - one, one[1:] - other[:-1], np.diff(one)))
    if not own or min(there, back) * bounds.ALIKE_STEPS < max(there, back):
        return False
    return bounds.HALF_STEPS.below(max(there, back) / own)


def slipped(x: Samples) -> tuple[Rewriting, int] | None:
    """How the bytes are in another place, and from which sample on: before it sound is smoother as it is, and from
    there on with the bytes put back."""
    n = len(x) // bounds.PIECE
    if n < 2 * bounds.FEWEST_PIECES:
        return None
    own = _steps(x, n)
    best: tuple[float, Rewriting, int] | None = None
    for way in SLIPS:
        read = way.theirs(x)
        by = np.log(own / _steps(np.append(read, np.zeros(len(x) - len(read))), n))
        rougher = np.clip(by, -1, 1)
        summed = np.concatenate([[0.0], np.cumsum(rougher)])
        start = int(np.argmin(summed))
        before, after = rougher[:start], rougher[start:]
        if min(len(before), len(after)) < bounds.FEWEST_PIECES:
            continue
        smoother = float(by[start:].mean())  # put back rightly, the lower bytes are smooth as well
        if bounds.SLIPPED_BY.above(min(-float(before.mean()), float(after.mean()))) and (
            best is None or smoother > best[0]
        ):
            best = smoother, way, start * bounds.PIECE
    return None if best is None else best[1:]


def static_from(x: Samples, rate: int) -> int | None:
    """The sample from which on all is white noise; None where it isn't."""
    n = len(x) // bounds.PIECE
    blocks = x[: n * bounds.PIECE].reshape(n, bounds.PIECE)
    steps, size = np.diff(blocks, axis=1).std(axis=1), blocks.std(axis=1) + _TINY
    smooth = np.flatnonzero(steps < bounds.STATIC * size)
    start = (int(smooth[-1]) + 1 if len(smooth) else 0) * bounds.PIECE
    if len(x) - start < bounds.LEAST_STATIC * rate:
        return None
    if float(x[start:].std()) < bounds.HEARD * float(x.std()):
        return None
    power = _power(x[start:], bounds.PIECE).mean(axis=0)[1:-1] + _TINY
    flatness = float(np.exp(np.mean(np.log(power))) / power.mean())
    return start if bounds.WHITE.above(flatness) else None


def wrapped_around(x: Samples) -> int:
    """Steps from one limit to the other that are small where they go on beyond it, between small ones: in a hiss large
    steps follow each other."""
    steps = np.abs(np.diff(x))
    alone = (steps[:-2] < bounds.SMALL_STEP) & (steps[2:] < bounds.SMALL_STEP)
    return int(np.count_nonzero(alone & (_FULL_TURN - steps[1:-1] < bounds.SMALL_STEP)))


def echo(x: Samples, voices: Sequence[Samples], rate: int) -> tuple[float, int]:
    """How much of the sound comes again, and samples later; what comes again in the voice itself doesn't count."""
    least, most = rate // bounds.EARLIEST_ECHO, min(rate // bounds.LATEST_ECHO, len(x))
    sharp = _sharpness(x, most)
    for voice in voices:
        own = _sharpness(voice, most)
        for place in np.flatnonzero(own > bounds.OWN_ECHO):
            sharp[max(0, place - bounds.BESIDE_ECHO) : place + bounds.BESIDE_ECHO + 1] = 0
    sharp[:least] = 0
    lag = int(np.argmax(sharp)) if len(sharp) else 0
    return (float(sharp[lag]) if lag else 0.0), lag


def _sharpness(x: Samples, most: int) -> Samples:
    """By lag, the cepstrum of the whole beside that of lags around it: an echo is one lag alone."""
    cepstrum = np.abs(np.fft.irfft(np.log(np.square(np.abs(np.fft.rfft(x, 2 * len(x)))) + _QUIETEST)))[:most]
    reach = (*range(-bounds.BESIDE_ECHO, -1), *range(2, bounds.BESIDE_ECHO + 1))
    around = np.max([np.roll(cepstrum, lag) for lag in reach], axis=0)
    return np.asarray(cepstrum - around)


def _steps(x: Samples, n: int) -> Samples:
    """How large steps from sample to sample are in each piece."""
    return np.asarray(np.diff(x[: n * bounds.PIECE].reshape(n, bounds.PIECE), axis=1).std(axis=1) + 1 / _FULL_16_BIT)


def _power(x: Samples, width: int) -> Samples:
    """Of pieces so long, [pieces, bins]."""
    n = len(x) // width
    return np.asarray(np.square(np.abs(np.fft.rfft(x[: n * width].reshape(n, width) * np.hanning(width), axis=1))))
