"""What lies between a mouth and a file: rooms, microphones, noise, distance. And sounds in which nothing is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

Floats = npt.NDArray[np.float32]

RATE = 16_000
NOISES = ("white", "pink", "brown", "hum", "babble")
_LOUDNESS = 0.05
"""Root mean square of what is said, before its gain."""


@dataclass(frozen=True)
class Surroundings:
    """How a recording is made. `snr`: decibels by which speech is louder than the noise, None without noise.
    `echo`: seconds in which the room falls silent by 60 decibels, 0 without a room, and `nearness`: decibels by which
    direct sound is louder than its echo. `band`: Hz between which something is left. `gain`: of the whole."""

    noise: str = "white"
    snr: float | None = None
    echo: float = 0.0
    nearness: float = 6.0
    band: tuple[float, float] = (0.0, RATE / 2)
    gain: float = 1.0


def drawn_surroundings(rng: np.random.Generator) -> Surroundings:
    """Any of those that are trained on."""
    return Surroundings(
        noise=str(rng.choice(NOISES)),
        snr=None if rng.random() < 0.2 else float(rng.uniform(3, 42)),
        echo=0.0 if rng.random() < 0.5 else float(rng.uniform(0.08, 0.5)),
        nearness=float(rng.uniform(-1, 12)),
        band=(0.0, RATE / 2) if rng.random() < 0.5 else (float(rng.uniform(20, 350)), float(rng.uniform(3200, 7900))),
        gain=float(np.exp(rng.uniform(np.log(0.05), np.log(4.0)))),
    )


def recorded(samples: Floats, around: Surroundings, rng: np.random.Generator, others: Floats | None = None) -> Floats:
    """What a microphone makes of speech at 16 kHz, in whole steps of 16 bits. `others`: who babble."""
    level = float(np.sqrt(np.mean(samples**2))) + 1e-9
    heard = samples * (_LOUDNESS / level)
    if around.echo > 0:
        heard = _in_room(heard, around, rng)
    if around.snr is not None:
        made = noise(around.noise, len(heard), rng, others)
        heard = heard + made * np.float32(_LOUDNESS * 10 ** (-around.snr / 20))
    return _stored(_within(heard, around.band) * np.float32(around.gain))


def noise(kind: str, count: int, rng: np.random.Generator, others: Floats | None = None) -> Floats:
    """`count` samples whose root mean square is 1."""
    if kind == "hum":
        made = _hum(count, rng)
    elif kind == "babble" and others is not None:
        made = _babble(count, rng, others)
    else:
        slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}.get(kind, 0.3)
        length = scipy.fft.next_fast_len(count, real=True)
        spectrum = scipy.fft.rfft(rng.standard_normal(length))
        spectrum /= np.maximum(np.arange(len(spectrum)) * RATE / length, 30.0) ** slope
        made = scipy.fft.irfft(spectrum, length)[:count]
    return np.asarray(made / (np.sqrt(np.mean(made**2)) + 1e-9), np.float32)


def nothing_said(rng: np.random.Generator, others: Floats | None = None, longest: float = 30.0) -> Floats:
    """Up to `longest` seconds, but as often as not no more than a question takes, in which nobody says anything that
    could be understood."""
    brief, any_length = rng.uniform(0.3, 6.0), np.exp(rng.uniform(np.log(0.02), np.log(longest)))
    count = int((brief if rng.random() < 0.5 else any_length) * RATE)
    kind = rng.choice(list(_EMPTY), p=list(_EMPTY.values()))
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind in ("noise", "bursts"):
        made = noise(str(rng.choice(NOISES)), count, rng, others)
        made = made * _bursts(count, rng) if kind == "bursts" else made
    else:
        made = {"tones": _tones, "music": _music, "clicks": _clicks, "offset": _offset}[str(kind)](count, rng)
    snr = None if rng.random() < 0.2 else float(rng.uniform(0, 40))
    around = Surroundings("white", snr, 0.0, 0.0, drawn_surroundings(rng).band, float(np.exp(rng.uniform(-6, 1))))
    return recorded(np.asarray(made, np.float32), around, rng)


_EMPTY = {"silence": 0.15, "noise": 0.4, "bursts": 0.15, "tones": 0.1, "music": 0.1, "clicks": 0.06, "offset": 0.04}


def _in_room(samples: Floats, around: Surroundings, rng: np.random.Generator) -> Floats:
    length = int(around.echo * RATE)
    time = np.arange(length) / RATE
    tail = rng.standard_normal(length) * np.exp(-6.9 * time / around.echo)
    tail[: int(0.002 * RATE)] = 0
    tail *= 10 ** (-around.nearness / 20) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return np.asarray(scipy.signal.fftconvolve(samples, tail)[: len(samples)], np.float32)


def _within(samples: Floats, band: tuple[float, float]) -> Floats:
    low, high = band
    if low > 0:
        samples = scipy.signal.sosfilt(scipy.signal.butter(2, low, "highpass", fs=RATE, output="sos"), samples)
    if high < RATE / 2:
        samples = scipy.signal.sosfilt(scipy.signal.butter(4, high, "lowpass", fs=RATE, output="sos"), samples)
    return np.asarray(samples, np.float32)


def _stored(samples: Floats) -> Floats:
    return np.asarray(np.round(np.clip(samples, -1, 1) * 32767) / 32768, np.float32)


def _hum(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time = np.arange(count) / RATE
    base = float(rng.choice([50.0, 60.0, rng.uniform(80, 250)]))
    parts = [np.sin(2 * np.pi * (base * k * time + rng.random())) * rng.random() / k for k in range(1, 12)]
    return np.sum(parts, axis=0) + 0.02 * rng.standard_normal(count)


def _babble(count: int, rng: np.random.Generator, others: Floats) -> npt.NDArray[np.float64]:
    made = np.zeros(count)
    for _ in range(int(rng.integers(4, 9))):
        made += np.roll(np.resize(others, count) if rng.random() < 0.5 else np.resize(others[::-1], count),
                        int(rng.integers(count)))  # fmt: skip
    return made


def _bursts(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    shape = np.zeros(count)
    for _ in range(int(rng.integers(1, 8))):
        begin, length = int(rng.integers(count)), int(rng.uniform(0.01, 0.4) * RATE)
        piece = shape[begin : begin + length]
        piece += np.exp(-np.linspace(0, rng.uniform(0, 6), len(piece)))
    return shape


def _tones(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    time, made = np.arange(count) / RATE, np.zeros(count)
    for _ in range(int(rng.integers(1, 5))):
        made += np.sin(2 * np.pi * rng.uniform(100, 3000) * time + 3 * np.sin(2 * np.pi * rng.uniform(0, 6) * time))
    return made * (_bursts(count, rng) if rng.random() < 0.5 else 1.0)


def _music(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Notes of a scale, one or several at a time, struck or held."""
    made, begin = np.zeros(count), 0
    base, beat = rng.uniform(80, 500), rng.uniform(0.1, 0.7)
    while begin < count:
        length = min(count - begin, int(beat * rng.integers(1, 4) * RATE))
        time = np.arange(length) / RATE
        for _ in range(int(rng.integers(1, 4))):
            pitch = base * 2 ** (rng.integers(0, 25) / 12)
            parts = [np.sin(2 * np.pi * pitch * k * time) / k ** rng.uniform(0.7, 2) for k in range(1, 8)]
            made[begin : begin + length] += np.sum(parts, axis=0) * np.exp(-time * rng.uniform(0, 8))
        begin += max(length, 1)
    return made


def _clicks(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    made = np.zeros(count)
    if rng.random() < 0.5:
        made[int(rng.integers(count)) :: max(1, int(rng.uniform(0.02, 1.0) * RATE))] = 1.0
    else:
        made[rng.integers(0, count, int(rng.integers(1, 12)))] = rng.uniform(-1, 1)
    ringing = np.exp(-np.arange(400) / rng.uniform(1, 80)) * np.sin(np.arange(400) * rng.uniform(0.1, 2.5) + 1)
    return np.asarray(scipy.signal.fftconvolve(made, ringing)[:count])


def _offset(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A microphone that is plugged in wrongly: a constant, which may drift."""
    return rng.uniform(-1, 1) + rng.uniform(-0.5, 0.5) * np.sin(2 * np.pi * rng.uniform(0, 3) * np.arange(count) / RATE)
