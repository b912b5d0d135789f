"""What was done to right samples in their places is named, and what is no such thing is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from omniggml.doctor.afterwards import change_of, noise_over
from omniggml.doctor.levelling import hold

RATE, EXPLAINED = 24000, 5e-4


@pytest.fixture(scope="module")
def ours() -> Any:
    """Two seconds of harmonics that glide, with noise, and pauses."""
    time, rng = np.arange(2 * RATE) / RATE, np.random.default_rng(1)
    turns = 130 * time + 20 * time**2
    voice = sum(np.sin(2 * np.pi * n * turns + n) / n for n in range(1, 40))
    loudness = np.maximum(0, np.sin(2 * np.pi * 1.75 * time)) ** 2 + 1e-3
    return 0.2 * loudness * (voice + 0.3 * rng.standard_normal(len(time)))


def clicked(x: Any) -> Any:
    return np.where(np.arange(len(x)) % 4000 == 1000, 0.8, x)


def piece(x: Any, what: Callable[[Any], Any]) -> Any:
    return np.concatenate([x[:15000], what(x[15000:18000]), x[18000:]])


def echoed(x: Any) -> Any:
    return x + 0.7 * np.append(np.zeros(1500), x[:-1500])


def emphasised(x: Any) -> Any:
    """So loud that some samples are cut at the limits."""
    y = x - 0.9 * np.append(0, x[:-1])
    return np.clip(1.05 * y / np.abs(y).max(), -1, 1)


def windowed(x: Any) -> Any:
    return x * np.sin(np.pi * (np.arange(len(x)) % 3000) / 3000)


def telephoned(x: Any) -> Any:
    """300 to 3400 Hz by a steep filter that is as long ahead as behind."""
    return np.convolve(x, telephone_band(), "same")


def telephone_band() -> Any:
    time = np.arange(-400, 401)
    low, high = (np.sinc(2 * hertz * time / RATE) * 2 * hertz / RATE for hertz in (300, 3400))
    return (high - low) * np.hanning(len(time))


def normalised(x: Any) -> Any:
    """Each 0.7 s by itself, the last of them short."""
    return np.concatenate([0.05 * y / y.std() for y in np.split(x, range(16800, len(x), 16800))])


def hummed(x: Any) -> Any:
    return x + 0.05 * np.sin(2 * np.pi * 60 * np.arange(len(x)) / RATE)


def wrapped(x: Any) -> Any:
    return (1.6 * x / np.abs(x).max() + 1) % 2 - 1


CHANGES: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "wrapped": (wrapped, "audio.wrapped", "clipped"),
    "rounded": (lambda x: np.round(x * 16) / 16, "audio.few-levels", "noise"),
    "clicks": (clicked, "audio.clicks", "clicks"),
    "silenced": (lambda x: piece(x, lambda y: 0 * y), "audio.pieces", "gap"),
    "backwards": (lambda x: piece(x, lambda y: y[::-1]), "audio.pieces", "order"),
    "hum": (hummed, "audio.added", "noise"),
    "window": (windowed, "audio.envelope", "gain"),
    "each piece normalised": (normalised, "audio.envelope", "gain"),
    "softer from somewhere on": (lambda x: x * np.where(np.arange(len(x)) < 20000, 1, 0.9), "audio.envelope", "gain"),
    "faded": (lambda x: x * np.minimum(1, np.arange(len(x)) / 30000), "audio.faded", "gain"),
    "bent": (lambda x: np.tanh(9 * x), "audio.bent", "limit"),
    "cut at a limit": (lambda x: np.clip(x, -0.05, 0.05), "audio.bent", "limit"),
    "smoothed": (lambda x: np.convolve(x, np.ones(9) / 9, "same"), "audio.filtered", "filtered"),
    "a telephone's band": (telephoned, "audio.filtered", "filtered"),
    "emphasised": (emphasised, "audio.filtered", "filtered"),
    "echo": (echoed, "audio.filtered", "filtered"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_done_is_named(ours: Any, name: str) -> None:
    change, id, kind = CHANGES[name]
    found = change_of(change(ours), ours, EXPLAINED)
    assert found is not None and (found.id, found.kind) == (id, kind)


def test_pieces_of_a_loudness_of_their_own_are_told_with_where_they_begin(ours: Any) -> None:
    theirs = normalised(ours)
    found = change_of(theirs, ours, EXPLAINED)
    assert found is not None
    begins, gains = found.evidence["begins"], found.evidence["gains"]
    assert len(begins) == 3
    for begin, gain, expected in zip(begins, gains, (0, 16800, 33600), strict=True):
        assert abs(begin - expected) <= 480
        assert gain == pytest.approx(theirs[expected + 480] / ours[expected + 480], rel=1e-3)


def test_noise_over_it(ours: Any) -> None:
    noise = np.random.default_rng(2).normal(0, 0.03, len(ours))
    found = noise_over(ours + noise, ours)
    assert change_of(ours + noise, ours, EXPLAINED) is None
    assert found is not None and (found.id, found.kind) == ("audio.added", "noise")


NEITHER: dict[str, Callable[[Any], Any]] = {
    "the same": lambda x: x,
    "softer": lambda x: 0.3 * x,
    "turned": lambda x: -x,
    "later": lambda x: 0.8 * np.append(np.zeros(200), x),
    "much later": lambda x: np.append(np.zeros(555), x),
    "earlier": lambda x: x[20:],
    "something else": lambda x: np.roll(x, 9000) ** 3 * 9,
    "of its own loudness": lambda x: x + 0.5 * x * np.random.default_rng(3).standard_normal(len(x)),
    "silence": lambda x: 0 * x,
    "nothing": lambda x: x[:0],
}


@pytest.mark.parametrize("name", NEITHER)
def test_something_else_is_none_of_these(ours: Any, name: str) -> None:
    theirs = NEITHER[name](ours)
    assert change_of(theirs, ours, EXPLAINED) is None
    assert name in ("the same", "softer", "turned", "earlier") or noise_over(theirs, ours) is None


def test_gains_that_hold_and_change_at_once_are_of_pieces() -> None:
    """What hears how loud it is gets there slowly, and comes back to one gain."""
    steps = np.repeat([2.3, 1.7, 2.6, 2.0], 12)
    ridden = np.convolve(np.pad(steps, 8, mode="edge"), np.full(9, 1 / 9), "same")[8:-8]
    limited = np.where(np.arange(48) % 13 < 6, 2.5, 1.5 + 0.1 * (np.arange(48) % 7))
    assert hold(steps)
    assert not hold(ridden) and not hold(limited)
