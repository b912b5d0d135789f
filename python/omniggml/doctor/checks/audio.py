"""Audio: rate, range, silence, clipping, clicks, and whether it is noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded
from omniggml.doctor.case import Case
from omniggml.spec.model_config import SAMPLE_RATE

Samples = npt.NDArray[np.float64]

_SILENT = 1e-4
_FULL = 0.999
_WINDOW = 1024
# Seconds a character: English is spoken at about 0.07, Chinese at about 0.22.
_SHORTEST, _LONGEST = 0.015, 0.6


def check_audio(case: Case) -> None:
    """Needs audio; more is known with a model, with codes, and with the text."""
    audio = case.audio
    if audio is None:
        return
    case.checked.append("audio")
    _check_header(case, audio)
    x = audio.mono
    if not np.isfinite(audio.samples).all():
        n = int((~np.isfinite(audio.samples)).sum())
        case.find("audio.not-finite", f"{n} samples are NaN or infinity.", certainty=1, samples=n)
        return
    if x.size == 0:
        case.find("audio.empty", "The audio has no samples.", certainty=1)
        return
    loudness = float(np.sqrt(np.mean(np.square(x))))
    case.measurements["audio"] = {
        "seconds": round(len(x) / audio.rate, 3),
        "rms": round(loudness, 6),
        "peak": round(float(np.abs(x).max()), 6),
        "mean": round(float(x.mean()), 6),
    }
    if loudness < _SILENT:
        case.find(
            "audio.silent",
            f"The audio is silence: its root mean square is {loudness:.1e}.",
            certainty=0.9,
            rms=loudness,
        )
        return
    _check_range(case, x, loudness)
    _check_bytes(case, audio, x)
    _check_clicks(case, audio, x)
    if case.codes is None:
        _check_noise(case, audio, x)
    _check_duration(case, audio, x)


def _check_header(case: Case, audio: Recorded) -> None:
    rate = case.model.sample_rate if case.model is not None else SAMPLE_RATE
    if audio.rate != rate:
        case.find(
            "audio.rate",
            f"The header says {audio.rate} Hz; the model makes {rate}.",
            certainty=0.9,
            rate=audio.rate,
            expected=rate,
        )
    if audio.samples.shape[1] != 1:
        case.find(
            "audio.channels", f"The audio has {audio.samples.shape[1]} channels; the model makes one.", certainty=0.6
        )


def _check_range(case: Case, x: Samples, loudness: float) -> None:
    full = float(np.mean(np.abs(x) >= _FULL))
    if full > 0.005:
        case.find("audio.clipped", f"{full:.1%} of the samples are at the limits.", certainty=0.7, share=full)
    mean = abs(float(x.mean()))
    # With codes, the constant is compared with the model's own.
    if case.codes is None and not case.has("file.untrained") and mean > 0.02 and mean > 0.25 * float(x.std()):
        case.find(
            "audio.dc",
            f"The samples are shifted by {x.mean():.3f}, {mean / loudness:.0%} of their size.",
            certainty=0.6,
            mean=float(x.mean()),
        )


def _check_bytes(case: Case, audio: Recorded, x: Samples) -> None:
    """Swapped bytes are noise that becomes smooth when swapped back."""
    if audio.subtype == "PCM_16" and _roughness(x) > 0.8 and _roughness(swapped(x)) < 0.35:
        case.find(
            "audio.bytes",
            "The bytes of the 16-bit samples are swapped: the other way round they are smooth.",
            certainty=0.97,
        )


def swapped(x: Samples) -> Samples:
    """16-bit samples with their two bytes swapped."""
    whole = np.clip(np.round(x * 32768), -32768, 32767).astype("<i2")
    return np.asarray(whole.byteswap().astype(np.float64) / 32768)


def _roughness(x: Samples) -> float:
    """Size of the steps from sample to sample over that of the samples: 1.4 for white noise, 0.1 to 0.3 for speech."""
    size = float(x.std())
    return float(np.diff(x).std()) / size if size > 0 else 0.0


def _repeats(x: Samples, period: int) -> bool:
    """Whether the whole goes round and round, its bursts with it."""
    return float(np.corrcoef(x[:-period], x[period:])[0, 1]) > 0.9


def _check_clicks(case: Case, audio: Recorded, x: Samples) -> None:
    steps = np.abs(np.diff(x))
    width = 256
    n = len(steps) // width
    if n < 8:
        return
    blocks = steps[: n * width].reshape(n, width)
    usual = np.median(blocks, axis=1)
    usual = np.maximum(np.maximum(usual, np.roll(usual, 1)), np.roll(usual, -1)) + 1e-5
    outliers = np.flatnonzero(blocks.max(axis=1) > 25 * usual)
    places = outliers * width + blocks[outliers].argmax(axis=1)
    # Seams jump alike, and are heard; what speech has of bursts is smaller.
    places = places[steps[places] > max(0.5 * steps[places].max(initial=0), 0.2 * float(x.std()))]
    places = places[np.concatenate([[True], np.diff(places) > width])] if len(places) else places
    gaps = np.diff(places)
    if len(gaps) >= 3 and gaps.min() > 4 * width:
        period = float(np.median(gaps))
        regular = float(np.mean(np.abs(gaps / period - np.round(gaps / period)) < 0.02))
        if regular > 0.8 and not _repeats(x, int(period)):
            case.find(
                "audio.clicks",
                f"{len(places)} jumps, {period / audio.rate:.3f} s apart, the first at {places[0] / audio.rate:.3f} s.",
                certainty=0.75,
                period=period,
                jumps=len(places),
            )


# --- noise or speech --------------------------------------------------------------------------------------------------


def _check_noise(case: Case, audio: Recorded, x: Samples) -> None:
    if case.has("file.untrained"):
        case.skipped.append("noise or speech: the model's weights are random, so noise is what it makes")
        return
    flatness, voiced = noisiness(x, audio.rate)
    case.measurements["noise"] = {"flatness": round(flatness, 4), "voiced": round(voiced, 4)}
    if voiced < 0.05 and flatness > 0.15:
        case.find(
            "audio.noise",
            f"It is noise: spectral flatness {flatness:.2f} (speech is below 0.1), harmonic in {voiced:.0%} of the "
            f"time.",
            certainty=0.7,
            flatness=flatness,
            voiced=voiced,
        )


def noisiness(x: Samples, rate: int) -> tuple[float, float]:
    """Mean spectral flatness of the louder half of the frames (1 for white noise), and the share of them that are
    periodic at 70 to 400 Hz."""
    n = len(x) // _WINDOW
    if n == 0:
        return 0.0, 1.0
    frames = x[: n * _WINDOW].reshape(n, _WINDOW)
    energy = np.mean(np.square(frames), axis=1)
    frames = frames[energy >= np.median(energy)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2 + 1e-12
    flatness = np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1)
    correlated = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * _WINDOW, axis=1)) ** 2, axis=1)
    lags = np.s_[max(1, rate // 400) : min(rate // 70, _WINDOW // 2)]
    strength = correlated[:, lags].max(axis=1) / np.maximum(correlated[:, 0], 1e-12)
    return float(flatness.mean()), float(np.mean(strength > 0.45))


def _check_duration(case: Case, audio: Recorded, x: Samples) -> None:
    if not case.text or case.has("file.untrained"):
        return
    seconds = len(x) / audio.rate
    each = seconds / max(1, len(case.text))
    if each < _SHORTEST:
        case.find(
            "audio.too-short", f"{seconds:.2f} s for {len(case.text)} characters.", certainty=0.5, seconds=seconds
        )
    elif seconds > 4 + _LONGEST * len(case.text):
        case.find("audio.too-long", f"{seconds:.1f} s for {len(case.text)} characters.", certainty=0.5, seconds=seconds)
