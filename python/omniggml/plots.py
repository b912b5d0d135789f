"""Pictures: waveform, spectrogram, mel spectrogram, code maps, errors by module. Needs matplotlib.

Colours are viridis and Okabe and Ito's blue and orange, which colour-blind eyes tell apart; axes carry units.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.arrays import read_codes
from omniggml.audio import Audio, read_audio
from omniggml.checked import checked
from omniggml.comparison.comparing import Comparison
from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.plain_file import read_text
from omniggml.whole_file import STANDARD_OUTPUT, check_target, write_whole

PathLike = str | os.PathLike[str]

_BLUE, _ORANGE = "#0072B2", "#D55E00"
_FFT, _HOP, _MELS = 1024, 256, 80
_MEL_TICKS = (250, 500, 1000, 2000, 4000, 8000)
_SCATTER, _HUES = 2654435761, 251  # Knuth's multiplier, and a prime number of colours
_FLOOR = -80.0  # decibels below the loudest


@checked
def plot(source: PathLike | Audio | Comparison, path: PathLike) -> Path:
    """Draw audio, codes or a comparison to a .png file (or "-", standard output), and return its path.

    `source`: audio, or an audio file; codes in a .npy file; what `compare` returns, or the .json that it prints.
    Raises InputError where there is nothing to draw, the file can't be written, or matplotlib is not installed.
    """
    target = as_path(path)
    if target.suffix.lower() != ".png" and str(target) != STANDARD_OUTPUT:
        raise InputError(f"{target}: pictures are written as .png")
    check_target(target, [source])
    return write_whole(target, png(_drawn(source), dpi=150), [source])


def figure(width: float, height: float) -> Any:
    """An empty figure, inches. Raises InputError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("plots need matplotlib: pip install matplotlib") from None
    return Figure(figsize=(width, height), layout="constrained")


def plot_audio(samples: npt.NDArray[np.floating[Any]], rate: int) -> Any:
    """Samples float [n] -> a figure with waveform, spectrogram and mel spectrogram over seconds."""
    shown = figure(9, 7)
    wave, plain, mel = shown.subplots(3, 1, sharex=True)
    time = np.arange(len(samples)) / rate
    wave.plot(time, samples, color=_BLUE, linewidth=0.5)
    wave.set(ylabel="amplitude", ylim=(-1.05, 1.05), title="Waveform")
    power = spectrogram(samples)
    seconds = power.shape[1] * _HOP / rate
    _image(shown, plain, _decibels(power), (0, seconds, 0, rate / 2000), "frequency (kHz)", "level (dB)")
    plain.set_title("Spectrogram")
    bands = mel_filters(rate) @ power
    _image(shown, mel, _decibels(bands), (0, seconds, 0, _MELS), "frequency (Hz, mel)", "level (dB)")
    mel.set(title="Mel spectrogram", xlabel="time (s)")
    ticks = [hertz for hertz in _MEL_TICKS if hertz < rate / 2]
    mel.set_yticks([_mel_band(hertz, rate) for hertz in ticks], [str(hertz) for hertz in ticks])
    return shown


def plot_overlay(theirs: npt.NDArray[np.floating[Any]], ours: npt.NDArray[np.floating[Any]], rate: int) -> Any:
    """Two signals of one rate -> a figure of both over each other, and of their difference."""
    shown = figure(9, 4.5)
    both, left = shown.subplots(2, 1, sharex=True)
    n = min(len(theirs), len(ours))
    for samples, color, name in ((ours, _BLUE, "ours"), (theirs, _ORANGE, "yours")):
        both.plot(np.arange(len(samples)) / rate, samples, color=color, linewidth=0.5, label=name, alpha=0.7)
    both.set(ylabel="amplitude", title="Yours over ours")
    both.legend(loc="upper right")
    left.plot(np.arange(n) / rate, np.asarray(theirs[:n]) - np.asarray(ours[:n]), color="black", linewidth=0.5)
    left.set(ylabel="difference", xlabel="time (s)")
    return shown


def plot_pieces(pieces: Sequence[Sequence[int]], rate: int) -> Any:
    """Pieces [at, source, length] of our samples in theirs -> a figure of where each comes from."""
    shown = figure(9, 3.5)
    axes = shown.subplots()
    for number, (at, source, length) in enumerate(pieces):
        color = _BLUE if number % 2 == 0 else _ORANGE
        axes.plot([at / rate, (at + length) / rate], [source / rate, (source + length) / rate], color=color)
    axes.set(xlabel="time in yours (s)", ylabel="time in ours (s)", title="Which of our samples are where in yours")
    return shown


def plot_codes(codes: npt.NDArray[np.integer[Any]], codebook_size: int | None = None) -> Any:
    """Codes [groups, frames] -> a figure with a map of them and each group's distribution."""
    shown = figure(9, 5)
    upper, lower = shown.subplots(2, 1, height_ratios=(2, 1))
    groups, frames = codes.shape
    # Codes are names, not amounts: neighbours get colours far apart.
    hues = (codes.astype(np.uint64) * np.uint64(_SCATTER) % np.uint64(_HUES)).astype(np.float64)
    _image(shown, upper, hues, (0, frames, -0.5, groups - 0.5), "group", "code, as a colour", origin_lower=False)
    upper.set(title=f"Codes: {groups} groups, {frames} frames", xlabel="frame")
    unique = [len(np.unique(row)) for row in codes]
    lower.bar(np.arange(groups), unique, color=_BLUE)
    lower.set(title="Different codes in each group", xlabel="group", ylabel="codes")
    if codebook_size is not None:
        lower.axhline(min(frames, codebook_size), color=_ORANGE, linestyle="--", label="most there can be")
        lower.legend()
    return shown


def plot_errors(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows of `Comparison.as_dict()` -> a figure of each module's error, its own and accumulated."""
    shown = figure(9, 4.5)
    axes = shown.subplots()
    place = np.arange(len(rows))
    for kind, color in (("accumulated", _ORANGE), ("local", _BLUE)):
        errors = [max(row[kind]["nmse"] or 0.0, 1e-16) for row in rows]
        axes.semilogy(place, errors, ".", color=color, label=f"{kind} error", markersize=4)
    outside = [i for i, row in enumerate(rows) if not row["inside"]]
    if outside:
        axes.axvline(outside[0], color="black", linewidth=0.8, label=f"first outside: {rows[outside[0]]['module']}")
    axes.set(xlabel="module, in the order of computation", ylabel="normalised squared error", title="Error by module")
    axes.legend(fontsize=8)
    return shown


def png(shown: Any, dpi: int = 110) -> bytes:
    """A figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    shown.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _image(
    shown: Any,
    axes: Any,
    values: npt.NDArray[Any],
    extent: tuple[float, float, float, float],
    ylabel: str,
    label: str,
    *,
    origin_lower: bool = True,
) -> None:
    if not origin_lower:
        extent = (extent[0], extent[1], extent[3], extent[2])
    origin = "lower" if origin_lower else "upper"
    drawn = axes.imshow(values, aspect="auto", origin=origin, extent=extent, cmap="viridis", interpolation="nearest")
    axes.set_ylabel(ylabel)
    shown.colorbar(drawn, ax=axes, label=label)


def spectrogram(samples: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Samples [n] -> power [513, windows], a window of 1024 every 256 samples."""
    padded = np.pad(np.nan_to_num(np.asarray(samples, np.float64)), (0, max(0, _FFT - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    return np.asarray(np.abs(np.fft.rfft(windows * np.hanning(_FFT), axis=1)).T ** 2)


def mel_filters(rate: int) -> npt.NDArray[np.float64]:
    """Triangles [80, 513], evenly spaced in mel = 2595 log10(1 + f / 700), from 0 to half the rate."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), _MELS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(_FFT, 1 / rate)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _mel_band(hertz: float, rate: int) -> float:
    """Where a frequency is among the bands of `mel_filters`."""
    return float(_MELS * np.log10(1 + hertz / 700) / np.log10(1 + rate / 1400))


def _decibels(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    top = max(float(power.max(initial=0)), 1e-12)
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-20) / top), _FLOOR))


def _drawn(given: PathLike | Audio | Comparison) -> Any:
    if isinstance(given, Audio):
        return plot_audio(given.samples, given.sample_rate)
    if isinstance(given, Comparison):
        return plot_errors(given.as_dict()["rows"])
    source = as_path(given)
    if source.suffix == ".npy":
        codes = read_codes(source)
        if codes.ndim != 2 or not codes.size or not np.issubdtype(codes.dtype, np.integer):
            raise InputError(
                f"{source} holds {codes.dtype} of shape {list(codes.shape)}; expected codes [groups, frames]"
            )
        return plot_codes(codes)
    if source.suffix == ".json":
        return plot_errors(_rows(source))
    audio = read_audio(source)
    if not audio.mono.size:
        raise InputError(f"{source} holds no samples")
    return plot_audio(audio.mono, audio.rate)


def _rows(source: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(read_text(source))["rows"]
        if not rows or not all(map(_is_row, rows)):
            raise KeyError
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise InputError(f"{source} is not what `omniggml compare --json` prints") from None
    return list(rows)


def _is_row(row: Any) -> bool:
    """Whether it is a row of `Comparison.as_dict()`, as far as it is drawn."""
    if not isinstance(row, dict) or not isinstance(row.get("module"), str) or not isinstance(row.get("inside"), bool):
        return False
    agreements = (row.get("local"), row.get("accumulated"))
    return all(isinstance(one, dict) and _is_error(one.get("nmse", "")) for one in agreements)


def _is_error(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value < 1e300)
