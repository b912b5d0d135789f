"""How much of what a model says was lost, by comparing what two models think of the same codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, log10

import numpy as np
import numpy.typing as npt

from omniggml.checked import checked
from omniggml.quantization.teacher_forcing import ForcedOutputs

FloatArray = npt.NDArray[np.float32]

_WINDOW = 1024
_HOP = 256
_FLOOR = 1e-10  # of power, so that silence has a logarithm


@checked
@dataclass(frozen=True)
class Damage:
    """`talker_kl`, `predictor_kl`: nats a frame by which the distributions of code 0, and of the others together, moved
    (Kullback-Leibler, from the reference's).
    `agreement`: how many of a hundred most probable codes stay. `noise`: power of the waveform's error over that of the
    waveform. `distance`: of the spectra's logarithms, in dB. NaN where nothing was measured."""

    talker_kl: float
    predictor_kl: float
    agreement: float
    noise: float
    distance: float

    @property
    def snr(self) -> float:
        """The waveform over its error, in dB."""
        return inf if self.noise == 0 else -10 * log10(self.noise)

    def on(self, side: str) -> float:
        """One number for "codes", nats a frame, or "audio", the noise."""
        return self.talker_kl + self.predictor_kl if side == "codes" else self.noise


def damage(reference: Iterable[ForcedOutputs], found: Iterable[ForcedOutputs]) -> Damage:
    """The mean over all frames and samples of the same items, in the same order."""
    pairs = list(zip(reference, found, strict=True))
    talker_kl = _mean([_divergence(r.talker, f.talker) for r, f in pairs])
    predictor = [_divergence(r.predictor, f.predictor).sum(axis=0) for r, f in pairs if r.predictor.size]
    same = [(r.argmax(axis=-1) == f.argmax(axis=-1)).ravel() for r, f in _code_pairs(pairs) if r.size]
    errors = [np.square(r.samples - f.samples, dtype=np.float64) for r, f in pairs]
    powers = [np.square(r.samples, dtype=np.float64) for r, _ in pairs]
    noise = _mean(errors) / _mean(powers) if any(power.any() for power in powers) else float("nan")
    distances = [_spectral_distance(r.samples, f.samples) for r, f in pairs if r.samples.size]
    return Damage(talker_kl, _mean(predictor), 100 * _mean(same), noise, _mean(distances))


def _code_pairs(pairs: list[tuple[ForcedOutputs, ForcedOutputs]]) -> Iterable[tuple[FloatArray, FloatArray]]:
    for reference, found in pairs:
        yield reference.talker, found.talker
        yield reference.predictor, found.predictor


def _divergence(reference: FloatArray, found: FloatArray) -> npt.NDArray[np.float64]:
    """KL for every code, from logarithms of probabilities [..., codes]."""
    wide = reference.astype(np.float64)
    return np.asarray((np.exp(wide) * (wide - found)).sum(axis=-1))


def _spectral_distance(reference: FloatArray, found: FloatArray) -> npt.NDArray[np.float64]:
    """Root mean square over frequencies of the difference in dB, for every window."""
    difference = _decibels(reference) - _decibels(found)
    return np.asarray(np.sqrt(np.square(difference).mean(axis=-1)))


def _decibels(samples: FloatArray) -> npt.NDArray[np.float64]:
    short = max(0, _WINDOW - len(samples))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, short)), _WINDOW)[::_HOP]
    spectrum = np.fft.rfft(windows * np.hanning(_WINDOW), axis=-1)
    return np.asarray(10 * np.log10(np.abs(spectrum) ** 2 + _FLOOR))


def _mean(parts: Iterable[npt.NDArray[np.generic]]) -> float:
    values = [np.ravel(part).astype(np.float64) for part in parts]
    joined = np.concatenate(values) if values else np.zeros(0)
    return float(joined.mean()) if joined.size else float("nan")
