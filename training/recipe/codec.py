"""The codec: what the codes of a frame mean.

Code 0 names the phone of the frame and the place in it, so that it follows from the text. Code 1 is the pitch and the
voicing. The others share the spectrum: what the mean of code 0 leaves of it is turned to its principal axes, and each
group is the nearest of 256 points in a few of these, the strongest axes first and in smaller groups. A code that is
guessed one cell off is then heard as one cell off, whatever the codes beside it.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .data import Utterance
from .features import MOMENTS, SPECTRUM

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

GROUPS = 8
CODES = 256
AXES = (2, 3, 4, 5, 6, 8)
"""Principal axes in each of the groups that share the spectrum."""

PLACES = 3
_VOICING_WEIGHT = 0.5
_PITCH_WEIGHT = 3.0
_ROUNDS = 25
_SAMPLE = 60_000


@dataclass(frozen=True)
class Codec:
    """`phones`: the names that code 0 knows. `means` [CODES, SPECTRUM]: the spectrum of each code 0. `axes`
    [SPECTRUM, sum(AXES)]: principal axes of the rest. `prosody` [CODES, 2 * MOMENTS] and `points` (per group
    [CODES, axes]): the cells."""

    phones: tuple[str, ...]
    means: Floats
    axes: Floats
    prosody: Floats
    points: tuple[Floats, ...]

    def encode(self, utterance: Utterance) -> npt.NDArray[np.int64]:
        """Codes [GROUPS, frames] of an utterance."""
        first = first_codes(utterance, self.phones)
        features = utterance.features.astype(np.float32)
        rest = (features[:, :SPECTRUM] - self.means[first]) @ self.axes
        codes = [first, nearest(weighted_prosody(features), self.prosody)]
        start = 0
        for points in self.points:
            codes.append(nearest(rest[:, start : start + points.shape[1]], points))
            start += points.shape[1]
        return np.stack(codes)

    def latent(self, codes: npt.NDArray[np.int64]) -> Floats:
        """Codes [GROUPS, frames] -> prosody and spectrum that they stand for, [frames, PROSODY + SPECTRUM]."""
        rest = np.concatenate([points[code] for points, code in zip(self.points, codes[2:], strict=True)], axis=1)
        spectrum = self.means[codes[0]] + rest @ self.axes.T
        return np.concatenate([self.prosody[codes[1]], spectrum], axis=1)

    def coordinates(self, codes: npt.NDArray[np.int64]) -> Floats:
        """Codes [GROUPS, frames] -> their cells' points side by side, [frames, n]."""
        cells_of = (self.prosody, *self.points)
        return np.concatenate([points[code] for points, code in zip(cells_of, codes[1:], strict=True)], axis=1)

    @property
    def coordinates_width(self) -> int:
        """Values a frame that `coordinates` gives."""
        return self.prosody.shape[1] + sum(points.shape[1] for points in self.points)

    def save(self, path: Path) -> None:
        """Write the codec into one file."""
        points = {f"points{index}": value for index, value in enumerate(self.points)}
        names = np.frombuffer(json.dumps(self.phones).encode(), np.uint8)
        np.savez(path, phones=names, means=self.means, axes=self.axes, prosody=self.prosody, **points)

    @staticmethod
    def load(path: Path) -> Codec:
        """Read what `save` wrote."""
        with np.load(path) as file:
            points = tuple(file[f"points{index}"] for index in range(len(AXES)))
            names = tuple(json.loads(file["phones"].tobytes()))
            return Codec(names, file["means"], file["axes"], file["prosody"], points)


def first_codes(utterance: Utterance, phones: Sequence[str]) -> npt.NDArray[np.int64]:
    """Code 0 of every frame: phone times PLACES plus place. A rare phone that has no name is its unstressed one."""
    index = {name: number for number, name in enumerate(phones)}
    numbers = [index.get(name, index.get(name[-1], 0)) for name in utterance.phones]
    return np.asarray(numbers, np.int64) * PLACES + utterance.places


def weighted_prosody(features: Floats) -> Floats:
    """Voicing and log pitch on the scale on which their cells are made."""
    voicing, pitch = features[:, SPECTRUM : SPECTRUM + MOMENTS], features[:, SPECTRUM + MOMENTS :]
    return np.concatenate([voicing * _VOICING_WEIGHT, (pitch - 5.0) * _PITCH_WEIGHT], axis=1)


def fit_codec(utterances: Sequence[Utterance], seed: int) -> Codec:
    """Make the cells from rendered utterances."""
    rng = np.random.default_rng(seed)
    phones = _phone_names(utterances)
    features = np.concatenate([row.features for row in utterances]).astype(np.float32)
    first = np.concatenate([first_codes(row, phones) for row in utterances])
    means = _class_means(features[:, :SPECTRUM], first)
    rest = features[:, :SPECTRUM] - means[first]
    values, vectors = np.linalg.eigh(rest.T @ rest / len(rest))
    axes = np.ascontiguousarray(vectors[:, ::-1][:, : sum(AXES)]).astype(np.float32)
    kept = float(np.sort(values)[::-1][: sum(AXES)].sum() / values.sum())
    sample = rng.choice(len(rest), min(_SAMPLE, len(rest)), replace=False)
    turned = rest[sample] @ axes
    bounds = np.cumsum([0, *AXES])
    points = tuple(cells(turned[:, low:high], rng) for low, high in pairwise(bounds))
    prosody = cells(weighted_prosody(features[sample]), rng)
    codec = Codec(phones, means, axes, prosody, points)
    log.info("codec: %d phones, axes keep %.3f of the variance within phones", len(phones), kept)
    return codec


def _phone_names(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    counts = Counter(phone for row in utterances for phone in row.phones)
    common = sorted(counts, key=lambda name: (-counts[name], name))[: CODES // PLACES]
    return tuple(common)


def _class_means(spectrum: Floats, first: npt.NDArray[np.int64]) -> Floats:
    counts = np.bincount(first, minlength=CODES)
    sums = np.zeros((CODES, spectrum.shape[1]), np.float64)
    np.add.at(sums, first, spectrum)
    overall = spectrum.mean(0)
    # A few frames of the overall mean keep rare codes sane.
    return ((sums + 3 * overall) / (counts + 3)[:, None]).astype(np.float32)


def cells(values: Floats, rng: np.random.Generator) -> Floats:
    """k-means: CODES points among `values` [n, axes]."""
    points = values[rng.choice(len(values), CODES, replace=False)].copy()
    for _ in range(_ROUNDS):
        owner = nearest(values, points)
        counts = np.bincount(owner, minlength=CODES)
        sums = np.stack([np.bincount(owner, column, CODES) for column in values.T], axis=1)
        filled = counts > 0
        points[filled] = (sums[filled] / counts[filled, None]).astype(np.float32)
        empty = np.flatnonzero(~filled)
        points[empty] = values[rng.choice(len(values), len(empty))]
    return points


def nearest(values: Floats, points: Floats) -> npt.NDArray[np.int64]:
    """Index of the nearest point for every row."""
    squares = (points**2).sum(1) / 2
    return np.concatenate([np.argmin(squares - part @ points.T, axis=1) for part in _parts(values)])


def _parts(values: Floats, rows: int = 20_000) -> list[Floats]:
    return [values[start : start + rows] for start in range(0, max(1, len(values)), rows)]
