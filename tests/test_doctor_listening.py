"""What can be heard without codes: each is measured where it is, and not in sound speech."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import omniggml
from omniggml.audio import Audio
from omniggml.doctor.listening import (
    again,
    echo,
    noise_floor,
    onsets,
    slipped,
    spikes,
    static_from,
    taken_apart,
    tilt,
    window_on_pieces,
    wrapped_around,
)
from omniggml.loading import BUILT_IN

RATE = 24000


@pytest.fixture(scope="module")
def said() -> Any:
    """Three sentences of the built-in voice, as a 16-bit file holds them."""
    model = omniggml.load(n_threads=2)
    texts = ("the weather is nice today and i am going out", "hello world", "she sells sea shells by the sea shore")
    made = [model.speak(text, seed=3, max_frames=60).samples.astype(np.float64) for text in texts]
    return [np.round(np.clip(x, -1, 1) * 32767) / 32768 for x in made]


def noisy(x: Any, decibels: float) -> Any:
    rng = np.random.default_rng(1)
    return x + rng.normal(0, np.sqrt(np.mean(x**2)) * 10 ** (-decibels / 20), len(x))


def pcm(x: Any) -> bytes:
    return (np.round(np.asarray(x) * 32768).clip(-32768, 32767).astype("<i2")).tobytes()


def from_pcm(data: bytes) -> Any:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768


def with_byte_lost(x: Any) -> Any:
    data, at = pcm(x), len(x) // 2 * 2 + 1
    return from_pcm(data[:at] + data[at + 1 :])


def with_bytes_swapped_late(x: Any) -> Any:
    half = len(x) // 2
    return np.append(x[:half], np.frombuffer(pcm(x[half:]), ">i2") / 32768)


def test_what_comes_twice(said: Any) -> None:
    for x in said:
        assert again(x) is None and again(np.tile(x, 3)) is None
    x = said[0]
    found = again(np.concatenate([x[:20000], x[15000:]]))
    assert found is not None and (found.at - found.source, found.at) == (5000, 20000) and found.length > 4500


def test_single_samples_that_stand_out(said: Any) -> None:
    for x in said:
        assert not len(spikes(x)) and not len(spikes(x / np.abs(x).max()))
    x = said[0].copy()
    calm = 5000 + int(np.argmin(np.convolve(np.abs(np.diff(x, 2))[5000:20000], np.ones(500), "same")))
    x[[calm, calm + 100]] = 0.7
    assert list(spikes(x)) == [calm, calm + 100]
    stepped = np.where(np.arange(len(x)) > 30000, said[0] + 0.5, said[0])
    assert not len(spikes(stepped)), "a step is no click of one sample"


@pytest.mark.parametrize("size", [1000, 2400, 3900])
def test_a_window_on_each_piece(said: Any, size: int) -> None:
    for x in said:
        assert window_on_pieces(x, RATE)[0] > 0.12
    x = said[0]
    least, period = window_on_pieces(x * np.sin(np.pi * (np.arange(len(x)) % size) / size), RATE)
    assert least < 0.08 and abs(period / size - round(period / size)) < 0.01


def test_noise_all_the_time(said: Any) -> None:
    for x in said:
        assert noise_floor(x, RATE)[1] < 1e-3 and noise_floor(noisy(x, 60), RATE)[1] < 1e-3
        flatness, share = noise_floor(noisy(x, 10), RATE)
        assert flatness > 0.95 and share > 5e-3


def test_static_at_the_end(said: Any) -> None:
    x = said[0]
    start = static_from(np.append(x, np.random.default_rng(2).normal(0, 0.2, 9000)), RATE)
    assert start is not None and abs(start - len(x)) < 3000
    assert all(static_from(noisy(x, 60), RATE) is None and static_from(x, RATE) is None for x in said)


def test_samples_that_wrap(said: Any) -> None:
    for x in said:
        loud = x / np.abs(x).max()
        assert wrapped_around(loud) == 0
        assert wrapped_around((2.5 * loud + 1) % 2 - 1) > 20


def test_an_echo(said: Any) -> None:
    x, other, _ = said
    assert echo(x, [other], RATE)[0] < 0.15
    size, lag = echo(x + 0.5 * np.append(np.zeros(1500), x[:-1500]), [other], RATE)
    assert size > 0.3 and lag == 1500


def test_a_filter_is_told_by_the_voice(said: Any) -> None:
    x, _, third = said
    own = tilt(third, RATE)
    assert abs(tilt(x, RATE) - own) < 11
    assert tilt(np.convolve(x, np.ones(8) / 8), RATE) < own - 12
    assert tilt(x - 0.95 * np.append(0, x[:-1]), RATE) > own + 12


def test_speech_backwards(said: Any) -> None:
    for x in said:
        assert onsets(x, RATE) > -0.2
    assert np.mean([onsets(x[::-1], RATE) for x in said]) < -0.2


def test_channels_that_are_one(said: Any) -> None:
    x = said[0][: len(said[0]) // 2 * 2]
    assert taken_apart(x.reshape(-1, 2))
    assert not taken_apart(np.stack([x, x], 1))
    assert not taken_apart(np.stack([x, 0.6 * np.roll(x, 11)], 1))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (with_byte_lost, "a byte is lost"),
        (with_bytes_swapped_late, "swapped"),
    ],
)
def test_bytes_that_slip(said: Any, change: Callable[[Any], Any], clause: str) -> None:
    assert all(slipped(x) is None for x in said)
    x = said[0]
    found = slipped(change(x))
    assert found is not None and clause in found[0].clause
    assert abs(found[1] - len(x) // 2) < 6000


def test_sound_alone_is_asked_for_all_of_it(said: Any, tmp_path: Any) -> None:
    """From the file to the finding; what is sound gets none."""
    x = said[2]
    changes: dict[str, tuple[Callable[[Any], Any], str]] = {
        "sound": (lambda x: x, ""),
        "twice": (lambda x: np.concatenate([x[:20000], x[15000:]]), "audio.pieces"),
        "noise": (lambda x: noisy(x, 8), "audio.added"),
        "slipped": (with_byte_lost, "audio.rewritten"),
        "emphasised": (lambda x: (x - 0.95 * np.append(0, x[:-1])) / 3, "audio.filtered"),
        "gaps": (
            lambda x: np.concatenate([np.append(x[i : i + 6000], np.zeros(90)) for i in range(0, len(x), 6000)]),
            "audio.pieces",
        ),
    }
    for name, (change, id) in changes.items():
        path = Audio(np.asarray(change(x), np.float32), RATE).save(tmp_path / f"{name}.wav", "PCM_16")
        found = omniggml.diagnose(BUILT_IN, audio=path, n_threads=2)
        assert [one.id for one in found.causes] == ([id] if id else []), name
