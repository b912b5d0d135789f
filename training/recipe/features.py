"""What is heard in one code frame, from the teacher's envelopes: spectrum, voicing and pitch at four moments."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .teacher import FRAME_SAMPLES, HOP

Floats = npt.NDArray[np.float32]

MOMENTS = 4
BANDS = 40
SPECTRUM = MOMENTS * BANDS
PROSODY = 2 * MOMENTS
WIDTH = SPECTRUM + PROSODY
"""Values a frame: the log spectrum of every moment, then voicing and log pitch of every moment."""

_FLOOR = -9.0
_CALM_PITCH = np.log(200.0)
_VOICED = 40.0


def frame_features(outputs: tuple[Floats, ...], frames: int) -> Floats:
    """The network's outputs -> float32 [frames, WIDTH]."""
    harmonic, _, noise, rest, _, f0 = outputs
    voiced = (f0 > _VOICED).astype(np.float32)
    power = np.exp(2 * np.minimum(harmonic, 7.0)) * voiced
    power += np.exp(2 * np.minimum(noise, 7.0)) + np.exp(2 * np.minimum(rest, 7.0))
    spectrum = np.log(_bands(harmonic.shape[0]) @ power + np.exp(_FLOOR)) / 2
    pitch = _filled(f0, voiced)
    rows = np.concatenate([spectrum, voiced[None], pitch[None]]).T
    at = _moments(frames, len(f0))
    taken = _mixed(rows, at).reshape(frames, MOMENTS, BANDS + 2)
    parts = taken[:, :, :BANDS].reshape(frames, -1), taken[:, :, BANDS], taken[:, :, BANDS + 1]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _moments(frames: int, ticks: int) -> Floats:
    """Positions, in the teacher's frames, of the moments of every code frame."""
    each = FRAME_SAMPLES / HOP / MOMENTS
    at = (np.arange(frames * MOMENTS) + 0.5) * each - 0.5
    return np.clip(at, 0, ticks - 1.001).astype(np.float32)


def _mixed(rows: Floats, at: Floats) -> Floats:
    low = at.astype(int)
    share = (at - low)[:, None]
    return np.asarray(rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share)


def _filled(f0: Floats, voiced: Floats) -> Floats:
    """Log pitch, drawn straight through what is unvoiced."""
    known = np.flatnonzero(voiced)
    if len(known) == 0:
        return np.full(len(f0), _CALM_PITCH, np.float32)
    return np.interp(np.arange(len(f0)), known, np.log(f0[known])).astype(np.float32)


@lru_cache(maxsize=2)
def _bands(bins: int) -> Floats:
    """Triangles evenly spaced on the mel scale, float32 [BANDS, bins]; each sums to one."""
    hertz = np.arange(bins) * 12000.0 / (bins - 1)
    mel = 2595 * np.log10(1 + hertz / 700)
    centres = np.linspace(0, 2595 * np.log10(1 + 12000.0 / 700), BANDS + 2)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    triangles = np.maximum(0, np.minimum((mel - low) / (middle - low), (high - mel) / (high - middle)))
    triangles[:, :] += 1e-6
    return (triangles / triangles.sum(1, keepdims=True)).astype(np.float32)
