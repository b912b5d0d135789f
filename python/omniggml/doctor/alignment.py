"""Where our samples are in theirs: as a whole, at another loudness or rate, or in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds

Samples = npt.NDArray[np.float64]

_TINY = 1e-12


@dataclass(frozen=True)
class Whole:
    """Theirs is ours times `gain`, `lag` samples later; `before` and `after` are samples of theirs that ours has not,
    `lost_before` and `lost_after` samples of ours that theirs has not, `faded` samples at the ends that are softer.
    `residual`: the share of what is common that is left over."""

    gain: float
    lag: int
    before: int
    after: int
    lost_before: int
    lost_after: int
    faded: int
    residual: float
    silent_around: bool

    def placed(self, theirs: Samples, ours: Samples) -> Samples:
        """Theirs where ours is, as long as ours; where it has none of it, or less of it at its ends, ours as loud."""
        placed = self.gain * ours
        at, end = max(self.lag, 0), len(theirs) - self.after
        faded = min(bounds.FADE, (end - at) // 4) if self.faded else 0
        source = at + faded - self.lag
        placed[source : source + end - at - 2 * faded] = theirs[at + faded : end - faded]
        return placed


@dataclass(frozen=True)
class Stretch:
    """`theirs` from sample `at` on is `ours` from sample `source` on, for `length` samples."""

    at: int
    source: int
    length: int


def resampled(x: Samples, rate: int, to: int) -> Samples:
    """By Fourier transform: exact for what both rates can hold."""
    if rate == to:
        return x
    n = max(1, round(len(x) * to / rate))
    spectrum = np.fft.rfft(x)
    out = np.zeros(n // 2 + 1, complex)
    common = min(len(out), len(spectrum))
    out[:common] = spectrum[:common]
    return np.asarray(np.fft.irfft(out, n) * n / len(x))


def whole(theirs: Samples, ours: Samples) -> Whole | None:
    """Ours in theirs as a whole; None where they have too little in common."""
    lag = _lag(theirs, ours)
    at, source = max(lag, 0), max(-lag, 0)
    n = min(len(theirs) - at, len(ours) - source)
    if n < bounds.LEAST_COMMON:
        return None
    a, b = theirs[at : at + n], ours[source : source + n]
    inner = slice(min(bounds.FADE, n // 4), n - min(bounds.FADE, n // 4))
    power = float(b[inner] @ b[inner])
    if power == 0:
        return None
    gain = float(a[inner] @ b[inner]) / power
    left = float(np.square(a[inner] - gain * b[inner]).sum()) / max(float(np.square(a[inner]).sum()), _TINY)
    outside = np.concatenate([theirs[:at], theirs[at + n :]])
    quiet = not len(outside) or float(np.abs(outside).max()) <= bounds.QUIET_AROUND.value * float(np.abs(theirs).max())
    return Whole(
        gain,
        lag,
        before=at,
        after=len(theirs) - at - n,
        lost_before=source,
        lost_after=len(ours) - source - n,
        faded=_faded(a, gain * b),
        residual=left,
        silent_around=quiet,
    )


def _faded(a: Samples, b: Samples) -> int:
    """Samples at the ends, together, in which a is softer than b."""
    total, n = 0, min(bounds.FADE, len(a) // 4)
    for one, other in ((a[:n], b[:n]), (a[::-1][:n], b[::-1][:n])):
        loud = np.abs(other) > bounds.AUDIBLE
        softer = loud & (np.abs(one) < bounds.SOFTER.value * np.abs(other))
        total += int(np.flatnonzero(softer)[-1]) + 1 if softer.sum() * 2 > loud[: n // 2].sum() and softer.any() else 0
    return total


def correlated(theirs: Samples, ours: Samples) -> Samples:
    """Their product, ours being so many samples later in theirs; from the end on, earlier."""
    size = 1 << (len(theirs) + len(ours)).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size)), size))


def _lag(theirs: Samples, ours: Samples) -> int:
    crossed = correlated(theirs, ours)
    at = int(np.argmax(np.abs(crossed)))
    return at if at < len(theirs) else at - len(crossed)


def place_of(theirs: Samples, ours: Samples) -> int | None:
    """Where in ours theirs is, a bit of it; None where it isn't."""
    return _Search(ours, len(theirs)).source_of(theirs, -1)


def pieces(theirs: Samples, ours: Samples) -> list[Stretch]:
    """Stretches of theirs that are ours, in their order; those too short or too quiet to tell are passed over.

    [] where hardly any of them is.
    """
    width = bounds.PIECE
    if len(ours) < 2 * width:
        return []
    search = _Search(ours, width)
    loud = bounds.AUDIBLE * width**0.5
    places = [at for at in range(0, len(theirs) - width + 1, width) if np.linalg.norm(theirs[at : at + width]) > loud]
    asked = places[:: max(1, len(places) // bounds.PIECES_ASKED)]
    if sum(search.source_of(theirs[at : at + width], -1) is not None for at in asked) * 2 < len(asked):
        return []
    found: list[Stretch] = []
    for at in places:
        expected = found[-1].source + at - found[-1].at if found else -1
        source = search.source_of(theirs[at : at + width], expected)
        if source is None:
            continue
        if found and source == expected:
            found[-1] = Stretch(found[-1].at, found[-1].source, at + width - found[-1].at)
        else:
            found.append(Stretch(at, source, width))
    return [piece for piece in found if piece.length >= 2 * width]


class _Search:
    """Looks for blocks of `width` samples in ours."""

    def __init__(self, ours: Samples, width: int) -> None:
        self.ours, self.width = ours, width
        self.size = 1 << (len(ours) + width).bit_length()
        self.spectrum = np.fft.rfft(ours, self.size)
        energy = np.concatenate([[0.0], np.cumsum(np.square(ours))])
        self.norms = np.sqrt(np.maximum(energy[width:] - energy[:-width], _TINY))

    def source_of(self, block: Samples, expected: int) -> int | None:
        """Where in ours a block is, looked for at `expected` first; None where it isn't."""
        norm = float(np.linalg.norm(block))
        if 0 <= expected < len(self.norms):
            here = abs(float(self.ours[expected : expected + self.width] @ block))
            if here > bounds.PIECE_ALIKE.value * norm * self.norms[expected]:
                return expected
        crossed = np.fft.irfft(self.spectrum * np.conj(np.fft.rfft(block, self.size)), self.size)[: len(self.norms)]
        alike = np.abs(crossed) / (self.norms * norm)
        source = int(np.argmax(alike))
        return source if alike[source] > bounds.PIECE_ALIKE.value else None
