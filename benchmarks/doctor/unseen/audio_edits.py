"""What happens to right samples on their way into a file: faults, and honest edits that are none.

An edit takes samples float64 [n] at 24 kHz, a generator and a path without ending, and returns the file it wrote. The
same generator state makes the same file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

Samples = Any
Rng = np.random.Generator
RATE = 24000
RATES = (8000, 16000, 22050, 44100, 48000)


@dataclass(frozen=True)
class Edit:
    """`kind`: a word of `grading.KINDS`, "" for a healthy edit."""

    name: str
    kind: str
    make: Callable[[Samples, Rng, Path], Path]

    @property
    def healthy(self) -> bool:
        return not self.kind


def write(x: Samples, path: Path, rate: int = RATE, subtype: str = "PCM_16", format_: str = "WAV") -> Path:
    path = path.with_suffix(f".{format_.lower()}")
    soundfile.write(path, x, rate, format=format_, subtype=subtype)
    return path


def resampled(x: Samples, rate: float) -> Samples:
    """By Fourier transform: exact for what both rates can hold."""
    n = round(len(x) * rate / RATE)
    spectrum = np.fft.rfft(x)
    out = np.zeros(n // 2 + 1, complex)
    out[: min(len(out), len(spectrum))] = spectrum[: len(out)]
    return np.fft.irfft(out, n) * n / len(x)


def _pcm(x: Samples) -> bytes:
    return np.round(np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()


def _from_pcm(data: bytes) -> Samples:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float64) / 32768


def _piece(x: Samples, rng: Rng, shortest: float = 0.05, longest: float = 0.3) -> tuple[int, int]:
    """Begin and end of a piece inside, not at the ends, where there is sound."""
    n = int(rng.uniform(shortest, longest) * RATE)
    n = min(n, len(x) // 4)
    starts = np.arange(len(x) // 10, len(x) - n - len(x) // 10, 97)
    loud = np.array([np.abs(x[i : i + n]).mean() for i in starts])
    start = int(rng.choice(starts[loud >= np.median(loud)]))
    return start, start + n


# --- faults -----------------------------------------------------------------------------------------------------------


def _cut(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    return np.concatenate([x[:a], x[b:]])


def _doubled(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    return np.concatenate([x[:b], x[a:]])


def _swapped(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    c = b + int(rng.uniform(0.5, 1) * min(b - a, len(x) - b))
    return np.concatenate([x[:a], x[b:c], x[a:b], x[c:]])


def _silenced(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    return np.concatenate([x[:a], 0 * x[a:b], x[b:]])


def _gap(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    return np.concatenate([x[:a], np.zeros(b - a), x[a:]])


def _gaps(x: Samples, rng: Rng) -> Samples:
    """A few milliseconds of silence after each piece of a fixed length."""
    size, gap = int(rng.integers(3000, 8000)), int(rng.integers(60, 400))
    return np.concatenate([np.append(x[i : i + size], np.zeros(gap)) for i in range(0, len(x), size)])


def _lost(x: Samples, rng: Rng) -> Samples:
    size, lost = int(rng.integers(3000, 8000)), int(rng.integers(60, 600))
    return np.concatenate([x[i : i + size - lost] for i in range(0, len(x), size)])


def _overlapped(x: Samples, rng: Rng) -> Samples:
    size, twice = int(rng.integers(3000, 8000)), int(rng.integers(60, 600))
    return np.concatenate([x[i : i + size + twice] for i in range(0, len(x), size)])


def _clicks(x: Samples, rng: Rng) -> Samples:
    size = int(rng.integers(2000, 6000))
    x = x.copy()
    x[size - 1 :: size] = rng.uniform(0.3, 0.9)
    return x


def _backwards_piece(x: Samples, rng: Rng) -> Samples:
    a, b = _piece(x, rng)
    return np.concatenate([x[:a], x[a:b][::-1], x[b:]])


def _header_as_samples(x: Samples, rng: Rng) -> Samples:
    return np.concatenate([_from_pcm(_wav_bytes(x)[:44]), x])


def _headers_in_pieces(x: Samples, rng: Rng) -> Samples:
    size = int(rng.integers(4000, 10000))
    return _from_pcm(b"".join(_wav_bytes(x[i : i + size]) for i in range(0, len(x), size))[44:])


def _wav_bytes(x: Samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, x, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _slipped(x: Samples, rng: Rng) -> Samples:
    data, at = _pcm(x), 2 * int(rng.uniform(0.2, 0.8) * len(x)) + 1
    return _from_pcm(data[:at] + data[at + 1 :])


def _byte_added(x: Samples, rng: Rng) -> Samples:
    data, at = _pcm(x), 2 * int(rng.uniform(0.2, 0.8) * len(x))
    return _from_pcm(data[:at] + b"\0" + data[at:])


def _wrapped(x: Samples, rng: Rng) -> Samples:
    gain = rng.uniform(1.5, 4) / np.abs(x).max()
    return (np.round(x * gain * 32767).astype(np.int64).astype(np.int16)) / 32768


def _hard_clipped(x: Samples, rng: Rng) -> Samples:
    return np.clip(x * rng.uniform(3, 10) / np.abs(x).max(), -1, 1)


def _as(source: str, target: str, full: float) -> Callable[[Samples, Rng], Samples]:
    """Bytes of one type read as another, brought into [-1, 1] as a reader of that type does."""

    def change(x: Samples, rng: Rng) -> Samples:
        values = x if source.endswith(("f4", "f8")) else np.round(x * np.iinfo(source).max)
        data = values.astype(source).tobytes()
        read = np.frombuffer(data[: len(data) // np.dtype(target).itemsize * np.dtype(target).itemsize], target)
        with np.errstate(invalid="ignore"):  # some bytes are signalling NaN
            numbers = np.nan_to_num(read.astype(np.float64), nan=0, posinf=full, neginf=-full)
        return np.clip(numbers / full, -1, 1)

    return change


def _pcm24_as_16(x: Samples, rng: Rng) -> Samples:
    raw = np.round(x * (2**23 - 1)).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
    return _from_pcm(raw.tobytes())


def _unsigned_as_signed(x: Samples, rng: Rng) -> Samples:
    return (np.round(x * 32767).astype(np.int64) + 32768).astype(np.uint16).view(np.int16) / 32768


def _mu_law_as_linear(x: Samples, rng: Rng) -> Samples:
    return (np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)).round(2)


def _swapped_bytes_from(x: Samples, rng: Rng) -> Samples:
    at = int(rng.uniform(0.2, 0.7) * len(x))
    return np.append(x[:at], np.frombuffer(_pcm(x[at:]), ">i2") / 32768)


def _alternating(x: Samples, rng: Rng) -> Samples:
    return x * (1 - 2 * (np.arange(len(x)) % 2))


def _every_other(x: Samples, rng: Rng) -> Samples:
    return x[::2]


def _held(x: Samples, rng: Rng) -> Samples:
    """Each third sample three times: made longer or shorter without a filter."""
    return np.repeat(x[::3], 3)[: len(x)]


def _loud_noise(x: Samples, rng: Rng) -> Samples:
    return x + rng.normal(0, np.sqrt((x**2).mean()) * 10 ** (-rng.uniform(3, 15) / 20), len(x))


def _static_at_the_end(x: Samples, rng: Rng) -> Samples:
    return np.append(x, rng.normal(0, 0.2, int(rng.uniform(0.3, 1) * RATE)))


def _end_lost(x: Samples, rng: Rng) -> Samples:
    return x[: len(x) - int(rng.uniform(0.2, 0.4) * RATE)]


def _end_twice(x: Samples, rng: Rng) -> Samples:
    return np.append(x, x[-int(rng.uniform(0.3, 0.6) * RATE) :])


def _metadata_as_samples(x: Samples, rng: Rng) -> Samples:
    chunk = b"LIST" + struct.pack("<I", 1800) + b"INFOISFT" + bytes(rng.integers(32, 127, 1788).astype(np.uint8))
    return np.append(x, _from_pcm(chunk))


def _odd_pieces_dropped(x: Samples, rng: Rng) -> Samples:
    """Pieces of a random number of bytes; those of an odd number are thrown away."""
    ends = np.cumsum(rng.integers(2000, 8000, len(x) // 1000))
    pieces = np.split(np.frombuffer(_pcm(x), np.uint8), ends[ends < 2 * len(x)])
    return np.concatenate([_from_pcm(piece.tobytes()) for piece in pieces if len(piece) % 2 == 0])


def _hum(x: Samples, rng: Rng) -> Samples:
    return x + 0.1 * np.sin(2 * np.pi * rng.choice([50, 60]) * np.arange(len(x)) / RATE)


def _differentiated(x: Samples, rng: Rng) -> Samples:
    return x - 0.97 * np.append(0, x[:-1])


def _integrated(x: Samples, rng: Rng) -> Samples:
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = x[i] + (0.97 * out[i - 1] if i else 0)
    return out / np.abs(out).max() * np.abs(x).max()


def _smoothed(x: Samples, rng: Rng) -> Samples:
    n = int(rng.integers(5, 12))
    return np.convolve(x, np.ones(n) / n, "same")


def _four_bits(x: Samples, rng: Rng) -> Samples:
    return np.round(x * 8) / 8


def _shifted(x: Samples, rng: Rng) -> Samples:
    return x * 0.7 + rng.choice([-1, 1]) * rng.uniform(0.1, 0.3)


def _tremolo(x: Samples, rng: Rng) -> Samples:
    """A window put on each piece, and the pieces not overlapped."""
    size = int(rng.integers(1000, 4000))
    return x * np.sin(np.pi * (np.arange(len(x)) % size) / size)


def _peak_in_pieces(x: Samples, rng: Rng) -> Samples:
    size = int(rng.integers(4000, 9000))
    pieces = [x[i : i + size] for i in range(0, len(x), size)]
    return np.concatenate([0.9 * piece / max(np.abs(piece).max(), 1e-4) for piece in pieces])


def _echo(x: Samples, rng: Rng) -> Samples:
    lag = int(rng.uniform(0.002, 0.1) * RATE)
    return x + 0.7 * np.append(np.zeros(lag), x[:-lag])


def _planar(x: Samples, rng: Rng) -> Samples:
    """Two channels, one after the other, written as if they took turns."""
    both = np.concatenate([x, x])
    return both[: len(both) // 2 * 2].reshape(-1, 2)


def _paired(x: Samples, rng: Rng) -> Samples:
    return x[: len(x) // 2 * 2].reshape(-1, 2)


def _one_channel_of(x: Samples, rng: Rng) -> Samples:
    return np.stack([x, x], 1).ravel()


def _half_silent(x: Samples, rng: Rng) -> Samples:
    return np.stack([x, -x], 1)


def _header(told: int, is_: int) -> Callable[[Samples, Rng, Path], Path]:
    def make(x: Samples, rng: Rng, path: Path) -> Path:
        return write(x if is_ == RATE else resampled(x, is_), path, told)

    return make


def _plainly(change: Callable[[Samples, Rng], Samples]) -> Callable[[Samples, Rng, Path], Path]:
    return lambda x, rng, path: write(change(x, rng), path)


_CHANGES: dict[str, tuple[str, Callable[[Samples, Rng], Samples]]] = {
    "a piece cut out": ("cut", _cut),
    "a piece twice": ("doubled", _doubled),
    "two pieces exchanged": ("order", _swapped),
    "a piece silenced": ("gap", _silenced),
    "a gap in between": ("gap", _gap),
    "gaps between pieces": ("gap", _gaps),
    "the end of each piece lost": ("cut", _lost),
    "pieces that overlap, one after the other": ("doubled", _overlapped),
    "a click at each seam": ("clicks", _clicks),
    "a piece backwards": ("order", _backwards_piece),
    "all of it backwards": ("order", lambda x, rng: x[::-1]),
    "a header read as samples": ("header", _header_as_samples),
    "a header before each piece": ("header", _headers_in_pieces),
    "a byte lost": ("bytes", _slipped),
    "a byte too many": ("bytes", _byte_added),
    "bytes swapped": ("bytes", lambda x, rng: np.frombuffer(_pcm(x), ">i2") / 32768),
    "bytes swapped from somewhere on": ("bytes", _swapped_bytes_from),
    "int16 wrapped": ("clipped", _wrapped),
    "clipped": ("clipped", _hard_clipped),
    "float32 read as int16": ("bytes", _as("<f4", "<i2", 32768)),
    "float32 read as int32": ("bytes", _as("<f4", "<i4", 2.0**31)),
    "int16 read as int8": ("bytes", _as("<i2", "i1", 128)),
    "int16 read as int32": ("bytes", _as("<i2", "<i4", 2.0**31)),
    "int32 read as int16": ("bytes", _as("<i4", "<i2", 32768)),
    "int16 read as float32": ("bytes", _as("<i2", "<f4", 1.0)),
    "float64 read as float32": ("bytes", _as("<f8", "<f4", 1.0)),
    "24 bits read as 16": ("bytes", _pcm24_as_16),
    "unsigned read as signed": ("bytes", _unsigned_as_signed),
    "mu-law read as linear": ("bytes", _mu_law_as_linear),
    "every second sample negated": ("filtered", _alternating),
    "every second sample lost": ("rate", _every_other),
    "samples held": ("filtered", _held),
    "loud noise": ("noise", _loud_noise),
    "hum": ("noise", _hum),
    "pre-emphasis not undone": ("filtered", _differentiated),
    "de-emphasis without need": ("filtered", _integrated),
    "smoothed": ("filtered", _smoothed),
    "four bits": ("noise", _four_bits),
    "shifted by a constant": ("constant", _shifted),
    "a window on each piece": ("gain", _tremolo),
    "each piece peak normalised": ("gain", _peak_in_pieces),
    "an echo": ("filtered", _echo),
    "sign turned": ("sign", lambda x, rng: -x),
    "planar channels as interleaved": ("channels", _planar),
    "one channel as two": ("channels", _paired),
    "two channels as one": ("channels", _one_channel_of),
    "a channel with its sign turned": ("channels", _half_silent),
    "static at the end": ("noise", _static_at_the_end),
    "the end lost": ("cut", _end_lost),
    "the end twice": ("doubled", _end_twice),
    "metadata read as samples": ("header", _metadata_as_samples),
    "pieces of an odd number of bytes dropped": ("cut", _odd_pieces_dropped),
    "the lowest sample throughout": ("silent", lambda x, rng: 0 * x - 1),
    "silence": ("silent", lambda x, rng: x * 0),
}

FAULTS: dict[str, Edit] = {name: Edit(name, kind, _plainly(change)) for name, (kind, change) in _CHANGES.items()}
FAULTS |= {
    name: Edit(name, "rate", _header(told, is_))
    for told, is_, name in [
        *((rate, RATE, f"the header says {rate}") for rate in RATES),
        *((RATE, rate, f"{rate} samples a second, the header says {RATE}") for rate in RATES),
        (44100, 48000, "48000 samples a second, the header says 44100"),
    ]
}

# --- honest edits -----------------------------------------------------------------------------------------------------


def _faded(x: Samples, rng: Rng) -> Samples:
    n = int(rng.uniform(0.003, 0.03) * RATE)
    ramp = np.minimum(1, np.arange(len(x)) / n)
    which = rng.integers(3)
    return x * (ramp if which != 1 else 1) * (ramp[::-1] if which != 0 else 1)


def _silence_around(x: Samples, rng: Rng) -> Samples:
    before, after = (np.zeros(int(rng.uniform(0, 0.5) * RATE)) for _ in range(2))
    return np.concatenate([before, x, after])


def _trimmed(x: Samples, rng: Rng) -> Samples:
    """Up to 40 ms at either end, which are quiet."""
    before, after = (int(rng.uniform(0, 0.04) * RATE) for _ in range(2))
    return x[before : len(x) - after]


def _floor(x: Samples, rng: Rng) -> Samples:
    return x + rng.normal(0, 10 ** (-rng.uniform(60, 80) / 20) * np.abs(x).max(), len(x))


_HONEST: dict[str, Callable[[Samples, Rng], Samples]] = {
    "as it is": lambda x, rng: x,
    "faded": _faded,
    "silence around": _silence_around,
    "trimmed": _trimmed,
    "peak normalised": lambda x, rng: x / np.abs(x).max() * rng.uniform(0.7, 0.99),
    "softer": lambda x, rng: x * rng.uniform(0.2, 0.9),
    "a low noise floor": _floor,
    "dithered": lambda x, rng: x + rng.triangular(-1, 0, 1, len(x)) / 32768,
    "two equal channels": lambda x, rng: np.stack([x, x], 1),
    "faded, with silence around": lambda x, rng: _silence_around(_faded(x, rng), rng),
    "trimmed and normalised": lambda x, rng: _trimmed(x, rng) / np.abs(x).max() * 0.9,
}

FORMATS = (
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("NIST", "PCM_16"),
    ("VOC", "PCM_16"),
)


def _in_format(format_: str, subtype: str) -> Callable[[Samples, Rng, Path], Path]:
    return lambda x, rng, path: write(x, path, RATE, subtype, format_)


def _streamed(size: int) -> Callable[[Samples, Rng, Path], Path]:
    """A WAV file whose sizes were not known when it was begun."""

    def make(x: Samples, rng: Rng, path: Path) -> Path:
        data = bytearray(_wav_bytes(x))
        data[4:8] = data[40:44] = struct.pack("<I", size)
        path = path.with_suffix(".wav")
        path.write_bytes(data)
        return path

    return make


HEALTHY: dict[str, Edit] = {name: Edit(name, "", _plainly(change)) for name, change in _HONEST.items()}
HEALTHY |= {f"resampled to {rate}": Edit(f"resampled to {rate}", "", _header(rate, rate)) for rate in RATES}
HEALTHY |= {f"{f} {s}": Edit(f"{f} {s}", "", _in_format(f, s)) for f, s in FORMATS}
HEALTHY |= {f"sizes {n:#x}": Edit(f"sizes {n:#x}", "", _streamed(n)) for n in (0, 0xFFFFFFFF, 0x7FFFFFFF)}


def draw(rng: Rng, healthy: bool = False) -> Edit:
    """One at random."""
    table = HEALTHY if healthy else FAULTS
    return table[list(table)[rng.integers(len(table))]]
