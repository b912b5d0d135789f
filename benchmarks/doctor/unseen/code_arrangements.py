"""What happens to right codes on their way to the vocoder, or to the text that is said to be theirs.

An arrangement takes codes [groups, frames], a generator and `Others`, and returns codes and the text to be told with
them, None where the right one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Codes = Any
Rng = np.random.Generator


@dataclass(frozen=True)
class Others:
    """Codes of another text, of the same text by another speaker, of the same with another seed; the size of a
    codebook; the right text, and another."""

    speech: Codes
    speaker: Codes
    seed: Codes
    codebook: int
    text: str
    other_text: str


@dataclass(frozen=True)
class Arrangement:
    """`kind`: a word of `grading.KINDS`."""

    name: str
    kind: str
    make: Callable[[Codes, Rng, Others], tuple[Codes, str | None]]


def _middle(codes: Codes, rng: Rng) -> int:
    return int(rng.integers(codes.shape[1] // 4, 3 * codes.shape[1] // 4))


def _from_on(change: Callable[[Codes, Rng, Others], Codes]) -> Callable[[Codes, Rng, Others], Codes]:
    def make(codes: Codes, rng: Rng, others: Others) -> Codes:
        at = _middle(codes, rng)
        return np.concatenate([codes[:, :at], change(codes[:, at:], rng, others)], axis=1)

    return make


def _fitted(codes: Codes, frames: int) -> Codes:
    return np.tile(codes, (1, -(-frames // codes.shape[1])))[:, :frames]


def _rotated(c: Codes, rng: Rng, o: Others) -> Codes:
    return np.roll(c, int(rng.choice([-2, -1, 1, 2])), axis=0)


def _two_groups_exchanged(c: Codes, rng: Rng, o: Others) -> Codes:
    a, b = rng.choice(len(c), 2, replace=False)
    c = c.copy()
    c[[a, b]] = c[[b, a]]
    return c


def _groups_of(which: str, first: bool) -> Callable[[Codes, Rng, Others], Codes]:
    def make(c: Codes, rng: Rng, o: Others) -> Codes:
        other = _fitted(getattr(o, which), c.shape[1])
        return np.concatenate([other[:1], c[1:]] if first else [c[:1], other[1:]])

    return make


def _one_group_of_another(c: Codes, rng: Rng, o: Others) -> Codes:
    c, group = c.copy(), int(rng.integers(1, len(c)))
    c[group] = _fitted(o.speech, c.shape[1])[group]
    return c


def _delayed(c: Codes, rng: Rng, o: Others) -> Codes:
    """Group g comes g frames later, as delay patterns store it."""
    return np.stack([np.roll(row, g) for g, row in enumerate(c)])


def _later(by: int, start: int) -> Callable[[Codes, Rng, Others], Codes]:
    return lambda c, rng, o: np.concatenate([c[:start], np.roll(c[start:], by, axis=1)])


def _one_later(c: Codes, rng: Rng, o: Others) -> Codes:
    c, group = c.copy(), int(rng.integers(len(c)))
    c[group] = np.roll(c[group], int(rng.choice([-1, 1, 2])))
    return c


def _cut(c: Codes, rng: Rng, o: Others) -> Codes:
    at = _middle(c, rng)
    return np.delete(c, np.arange(at, min(at + int(rng.integers(3, 9)), c.shape[1] - 3)), axis=1)


def _doubled(c: Codes, rng: Rng, o: Others) -> Codes:
    at, n = _middle(c, rng), int(rng.integers(3, 9))
    return np.concatenate([c[:, : at + n], c[:, at:]], axis=1)


def _pieces_exchanged(c: Codes, rng: Rng, o: Others) -> Codes:
    at, n = c.shape[1] // 4, int(rng.integers(4, max(5, c.shape[1] // 4)))
    return np.concatenate([c[:, :at], c[:, at + n : at + 2 * n], c[:, at : at + n], c[:, at + 2 * n :]], axis=1)


def _pairs_exchanged(c: Codes, rng: Rng, o: Others) -> Codes:
    n = c.shape[1] // 2 * 2
    return np.concatenate([c[:, :n].reshape(len(c), -1, 2)[:, :, ::-1].reshape(len(c), -1), c[:, n:]], axis=1)


def _piece_of(which: str) -> Callable[[Codes, Rng, Others], Codes]:
    def make(c: Codes, rng: Rng, o: Others) -> Codes:
        at, n = _middle(c, rng), c.shape[1] // 4
        other = _fitted(getattr(o, which), c.shape[1])
        return np.concatenate([c[:, :at], other[:, at : at + n], c[:, at + n :]], axis=1)

    return make


def _alternating(c: Codes, rng: Rng, o: Others) -> Codes:
    """Frames of two speeches in turn: two slots of a batch taken for one."""
    other = _fitted(o.speech, c.shape[1])
    return np.stack([c, other], axis=2).reshape(len(c), -1)[:, : c.shape[1]]


def _random_from(c: Codes, rng: Rng, o: Others) -> Codes:
    return rng.integers(0, o.codebook, c.shape)


def _some_random(c: Codes, rng: Rng, o: Others) -> Codes:
    return np.where(rng.random(c.shape) < rng.uniform(0.2, 0.5), rng.integers(0, o.codebook, c.shape), c)


def _group_random(c: Codes, rng: Rng, o: Others) -> Codes:
    c, group = c.copy(), int(rng.integers(len(c)))
    c[group] = rng.integers(0, o.codebook, c.shape[1])
    return c


def _flat(c: Codes, rng: Rng, o: Others) -> Codes:
    """[frames, groups] in memory taken for [groups, frames]."""
    return np.ascontiguousarray(c.T).reshape(c.shape)


def _stream_shifted(c: Codes, rng: Rng, o: Others) -> Codes:
    """A code too many at the beginning of a flat stream, so that every frame is cut in the wrong place."""
    return np.roll(c.T.ravel(), int(rng.choice([1, 3]))).reshape(c.T.shape).T


_ON_CODES: dict[str, tuple[str, Callable[[Codes, Rng, Others], Codes]]] = {
    "groups rotated": ("order", _rotated),
    "groups rotated from a frame on": ("order", _from_on(_rotated)),
    "two groups exchanged": ("order", _two_groups_exchanged),
    "two groups exchanged from a frame on": ("order", _from_on(_two_groups_exchanged)),
    "groups reversed from a frame on": ("order", _from_on(lambda c, rng, o: c[::-1])),
    "reshaped instead of transposed": ("order", _flat),
    "first group of another speech": ("mixed", _groups_of("speech", True)),
    "predicted groups of another speech": ("mixed", _groups_of("speech", False)),
    "predicted groups of another speaker": ("mixed", _groups_of("speaker", False)),
    "predicted groups of another seed": ("mixed", _groups_of("seed", False)),
    "one group of another speech": ("mixed", _one_group_of_another),
    "group g delayed by g": ("delay", _delayed),
    "predicted groups a frame later": ("delay", _later(1, 1)),
    "predicted groups a frame earlier": ("delay", _later(-1, 1)),
    "one group a frame or two off": ("delay", _one_later),
    "a piece cut out": ("cut", _cut),
    "a piece twice": ("doubled", _doubled),
    "two pieces exchanged": ("order", _pieces_exchanged),
    "each two frames exchanged": ("order", _pairs_exchanged),
    "backwards": ("order", lambda c, rng, o: c[:, ::-1]),
    "backwards from a frame on": ("order", _from_on(lambda c, rng, o: c[:, ::-1])),
    "a piece of another speech": ("mixed", _piece_of("speech")),
    "a piece of another speaker": ("mixed", _piece_of("speaker")),
    "frames of two speeches in turn": ("mixed", _alternating),
    "another speech from a frame on": ("mixed", _from_on(lambda c, r, o: _fitted(o.speech, c.shape[1]))),
    "ids one higher": ("ids", lambda c, rng, o: (c + 1) % o.codebook),
    "ids one lower": ("ids", lambda c, rng, o: (c - 1) % o.codebook),
    "first group's ids one higher": ("ids", lambda c, rng, o: np.concatenate([(c[:1] + 1) % o.codebook, c[1:]])),
    "predicted ids one higher": ("ids", lambda c, rng, o: np.concatenate([c[:1], (c[1:] + 1) % o.codebook])),
    "ids counted from the end": ("ids", lambda c, rng, o: o.codebook - 1 - c),
    "drawn at random from a frame on": ("mixed", _from_on(_random_from)),
    "some drawn at random": ("mixed", _some_random),
    "one group drawn at random": ("mixed", _group_random),
    "each frame twice": ("doubled", lambda c, rng, o: np.repeat(c, 2, axis=1)),
    "every other frame": ("cut", lambda c, rng, o: c[:, ::2]),
    "the last frame held": ("doubled", lambda c, rng, o: np.append(c, np.repeat(c[:, -1:], 20, axis=1), axis=1)),
    "the stream shifted": ("order", _stream_shifted),
    "the end lost": ("cut", lambda c, rng, o: c[:, : int(c.shape[1] * rng.uniform(0.5, 0.8))]),
    "ended after four frames": ("end", lambda c, rng, o: c[:, :4]),
    "last groups zero": ("silent", lambda c, rng, o: np.concatenate([c[: len(c) // 2], 0 * c[len(c) // 2 :]])),
}


def _left_out(text: str) -> str:
    words = text.split()
    return " ".join(words[: len(words) // 2])


_ON_TEXT: dict[str, Callable[[str, str], str]] = {
    "told another text": lambda text, other: other,
    "told half the text": lambda text, other: _left_out(text),
    "told the text twice": lambda text, other: f"{text} {text}",
    "told the words backwards": lambda text, other: " ".join(text.split()[::-1]),
}


def _with_code(change: Callable[[Codes, Rng, Others], Codes]) -> Callable[..., tuple[Codes, str | None]]:
    return lambda codes, rng, others: (change(codes, rng, others), None)


def _with_text(change: Callable[[str, str], str]) -> Callable[..., tuple[Codes, str | None]]:
    return lambda codes, rng, others: (codes, change(others.text, others.other_text))


FAULTS = {name: Arrangement(name, kind, _with_code(change)) for name, (kind, change) in _ON_CODES.items()}
FAULTS |= {name: Arrangement(name, "text", _with_text(change)) for name, change in _ON_TEXT.items()}


def draw(rng: Rng) -> Arrangement:
    """One at random."""
    return FAULTS[list(FAULTS)[rng.integers(len(FAULTS))]]
