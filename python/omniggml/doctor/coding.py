"""What a lossy codec leaves over of a sound: as much as theirs, and in the same places?"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from omniggml.audio import Recorded
from omniggml.comparison.agreement import Match, match
from omniggml.doctor import thresholds as bounds
from omniggml.spec.model_config import SAMPLE_RATE
from omniggml.undisturbed import undisturbed

Samples = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]


def coded_share(ours: Samples, audio: Recorded, level: float | None = None) -> float:
    """The share of ours that is left over where it is stored as theirs is, compressed by a `level`; 0 where libsndfile
    can't."""
    options = {} if level is None else {"compression_level": level}
    coded = _coded(ours, audio.rate, audio.subtype, **options)
    return 0.0 if coded is None else match(coded, ours, bounds.CODEC_DELAY).residual


def like_coded(theirs: Samples, ours: Samples, found: Match) -> float:
    """How much what ours leaves over of theirs is like what a codec leaves over of ours, in each 20 ms and band:
    Pearson's r of the logarithms of both, beside the sound, in the loudest seconds. The highest of some codecs; 0 where
    libsndfile has none."""
    loud = _loudest(ours, bounds.MOST_CODED)
    ours, theirs = ours[loud : loud + bounds.MOST_CODED], theirs[loud : loud + bounds.MOST_CODED + max(found.lag, 0)]
    observed = _noise_map(theirs, ours, found)
    likeness = 0.0
    for coded in _coded_copies(ours):
        expected = _noise_map(coded, ours, match(coded, ours, bounds.CODEC_DELAY))
        n = min(len(observed), len(expected))
        pair = np.stack([observed[:n].ravel(), expected[:n].ravel()])
        pair = pair[:, np.isfinite(pair).all(axis=0)]
        if pair.shape[1] > bounds.FEWEST_CODED and pair.std(axis=1).all():
            likeness = max(likeness, float(np.corrcoef(pair)[0, 1]))
    return likeness


def _loudest(x: Samples, n: int) -> int:
    """The first of the n samples that together are the loudest."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(x))])
    return int(np.argmax(energy[n:] - energy[:-n])) if len(x) > n else 0


def _coded_copies(ours: Samples) -> Iterator[Samples]:
    for subtype in bounds.CONTAINERS:
        for level in bounds.CODED_LEVELS:
            coded = _coded(ours, SAMPLE_RATE, subtype, compression_level=level)
            if coded is not None:
                yield coded


def _coded(ours: Samples, rate: int, subtype: str, **options: float) -> Samples | None:
    file = io.BytesIO()
    container = bounds.CONTAINERS.get(subtype, "WAV")
    try:
        undisturbed(partial(soundfile.write, file, ours, rate, format=container, subtype=subtype, **options))
        file.seek(0)
        return np.asarray(undisturbed(lambda: soundfile.read(file))[0])
    except (soundfile.LibsndfileError, ValueError):
        return None


def _noise_map(theirs: Samples, ours: Samples, found: Match) -> Floats:
    """Decades by which what is left over is over the sound, [pieces, bands]; NaN where the sound is silent."""
    a, b = theirs[max(found.lag, 0) :], ours[max(-found.lag, 0) :]
    n = min(len(a), len(b))
    a, b = a[:n] - a[:n].mean(), found.gain * (b[:n] - b[:n].mean())
    left, sound = _in_bands(a - b), _in_bands(b)
    heard = sound > bounds.HEARD_SHARE * sound.max(initial=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(heard, np.log10(left + bounds.LEAST_SHARE) - np.log10(sound), np.nan)


def _in_bands(x: Samples) -> Floats:
    """Energy in each piece and critical band, [pieces, bands]."""
    pieces = max(len(x) // bounds.PIECE - 1, 0)
    hertz = np.fft.rfftfreq(2 * bounds.PIECE, 1 / SAMPLE_RATE)
    edges = np.searchsorted(hertz, (*bounds.LOW_BARKS, *bounds.HIGH_BARKS))
    starts = bounds.PIECE * np.arange(pieces)[:, None]
    windowed = x[starts + np.arange(2 * bounds.PIECE)] * np.hanning(2 * bounds.PIECE)
    powers = np.square(np.abs(np.fft.rfft(windowed, axis=1)))
    return np.asarray(np.add.reduceat(powers, edges, axis=1))
