"""Audio: rate, range, silence, clipping, clicks, and whether it is noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import Certainty, Severity
from omniggml.doctor.check_report import Report
from omniggml.doctor.finding import Finding
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
from omniggml.doctor.rewriting import REWRITINGS, SWAPPED, headers_in
from omniggml.doctor.voice_rate import recorded_at
from omniggml.spec.model_config import SAMPLE_RATE

Samples = npt.NDArray[np.float64]

_FULL_16_BIT = 32768
_ROLL_OFF = 1.02  # filters are not infinitely steep
_QUIET, _TINY = 1e-5, 1e-12


def check_audio(case: Case, untrained: bool) -> Report:
    """Needs audio; more is known with a model, with codes, and with the text. `untrained`: see `check_file`."""
    if case.audio is None:
        return Report()
    report = Report("audio")
    _check(case, report, case.audio, untrained)
    return report


def _check(case: Case, report: Report, audio: Recorded, untrained: bool) -> None:
    _check_header(case, report, audio, untrained)
    x = audio.mono
    if not np.isfinite(audio.samples).all():
        n = int((~np.isfinite(audio.samples)).sum())
        report.find("audio.not-finite", f"{n} samples are NaN or infinity.", samples=n)
        return
    if x.size == 0:
        report.find("audio.empty", "The audio has no samples.")
        return
    loudness = float(np.sqrt(np.mean(np.square(x))))
    report.measurements["audio"] = {
        "seconds": round(len(x) / audio.rate, 3),
        "rms": round(loudness, 6),
        "peak": round(float(np.abs(x).max()), 6),
        "mean": round(float(x.mean()), 6),
    }
    if bounds.SILENT.below(float(x.std())):
        _say_silent(report, audio, x, loudness)
        return
    _check_headers(report, audio, x)
    _check_limits(report, x)
    if case.codes is None or case.mirror is None:
        # Beside codes, ours of the same codes tells what was done to it, and where.
        _check_reading(report, audio, x)
        _check_clicks(report, audio, x)
        if not _check_levels(report, audio, x):
            _check_gaps(report, audio, x)
        _check_hum(report, audio, x)
    else:
        _check_bytes(report, audio, x)
    if untrained:
        if case.codes is None:
            report.skip("noise or speech: the model's weights are random, so noise is what it makes")
        return
    if case.codes is None:
        # With codes, it is compared with the model's own.
        if "audio.clipped" not in {finding.id for finding in report.findings}:
            _check_constant(report, x, loudness)  # what lies at one limit is more than at the other
        _hear_slip(case, report, audio, x)
        if not any(_accuses(finding) for finding in report.findings):
            _check_noise(report, audio, x)
        _listen(case, report, audio, x)
    _check_duration(case, report, audio, x)


def _say_silent(report: Report, audio: Recorded, x: Samples, loudness: float) -> None:
    """Channels that cancel are silent only together."""
    if float(audio.samples.std(axis=0).max()) * bounds.CANCELS > float(x.std()):
        what = "Two channels are each other's negative: together they are silence, and apart they are not."
        _say_reading(report, what, "channels")
    else:
        what = f"its root mean square is {loudness:.1e}" if bounds.SILENT.below(loudness) else f"all is {x.mean():.2g}"
        report.find("audio.silent", f"The audio is silence: {what}.", rms=loudness)


def _check_header(case: Case, report: Report, audio: Recorded, untrained: bool) -> None:
    if case.codes is None and audio.samples.shape[1] == 2 and taken_apart(audio.samples):
        what = "One channel's samples were taken for two channels': every other of them is in each."
        _say_reading(report, what, "channels")
        return
    if case.codes is None or case.mirror is None:
        judge_rate(case, report, audio, untrained)  # beside codes, ours of the same codes tells
    if audio.samples.shape[1] != 1:
        report.find("audio.channels", f"The audio has {audio.samples.shape[1]} channels; the model makes one.")


def judge_rate(case: Case, report: Report, audio: Recorded, untrained: bool) -> None:
    """Whether the header's rate is that of the samples, where nothing is known of these but the voice."""
    rate = case.model.sample_rate if case.model is not None else SAMPLE_RATE
    told = None if untrained else _told_by_voice(case, audio)
    resampled = audio.rate > rate and audio.mono.size and bounds.ABOVE_BAND.below(_share_above(audio, rate / 2))
    if told is not None and told != audio.rate:
        report.find(
            "audio.rate",
            f"The header says {audio.rate} Hz; the voice is the model's where {told} samples are a second.",
            certainty=Certainty.MEASURED,
            cause={"kind": "rate", "where": "audio"},
            rate=audio.rate,
            expected=told,
        )
    elif audio.rate != rate and (told is not None or resampled):
        why = "at that rate the voice is the model's" if told else f"nothing is above the {rate // 2} Hz of the model"
        report.find(
            "audio.resampled",
            f"The header says {audio.rate} Hz, and {why}: it was resampled.",
            certainty=Certainty.MEASURED,
            rate=audio.rate,
        )
    elif audio.rate != rate:
        find_rate(report, audio.rate, rate)


def find_rate(report: Report, told: int, expected: int) -> None:
    """The header says another rate than that of the samples."""
    report.find(
        "audio.rate",
        f"The header says {told} Hz; the model makes {expected}.",
        cause={"kind": "rate", "where": "audio"},
        rate=told,
        expected=expected,
    )


def _told_by_voice(case: Case, audio: Recorded) -> int | None:
    """The rate at which it is the model's voice that is heard; None where that can't be told."""
    x = audio.mono
    if not np.isfinite(x).all() or bounds.SILENT.below(float(x.std())) or not case.voice or case.model is None:
        return None
    return recorded_at(x, case.voice, case.model.sample_rate)


def _share_above(audio: Recorded, hertz: float) -> float:
    """The share of the energy above a frequency, by the header's rate."""
    x = audio.mono
    power = np.square(np.abs(np.fft.rfft(np.nan_to_num(x - np.nan_to_num(x).mean()))))
    first = int(np.ceil(hertz * len(x) / audio.rate * _ROLL_OFF))
    return float(power[first:].sum()) / (float(power.sum()) or 1)


def _check_headers(report: Report, audio: Recorded, x: Samples) -> None:
    """A header that was written among the samples is read as samples."""
    places = sorted(headers_in(x)) if audio.subtype == "PCM_16" else []
    if places:
        times = "a header was" if len(places) == 1 else f"{len(places)} headers were"
        report.find(
            "audio.header",
            f"Among the samples {times} read as if they were sound, the first at {places[0] / audio.rate:.2f} s.",
            cause={"kind": "header", "where": "audio"},
            samples=places[: bounds.NAMED_ERRORS],
        )


def _check_limits(report: Report, x: Samples) -> None:
    full = float(np.mean(np.abs(x) >= bounds.FULL))
    if bounds.CLIPPED.above(full):
        report.find("audio.clipped", f"{full:.1%} of the samples are at the limits.", share=full)


def _check_constant(report: Report, x: Samples, loudness: float) -> None:
    mean = abs(float(x.mean()))
    if bounds.SHIFTED.above(mean) and bounds.SHIFTED_ALONE.above(mean / (float(x.std()) or 1)):
        report.find(
            "audio.dc",
            f"The samples are shifted by {x.mean():.3f}, {mean / loudness:.0%} of their size.",
            cause={"kind": "constant", "where": "audio"},
            mean=float(x.mean()),
        )


def _check_bytes(report: Report, audio: Recorded, x: Samples) -> None:
    """Swapped bytes are noise that becomes smooth when swapped back."""
    if audio.subtype == "PCM_16" and bounds.ROUGH.above(_roughness(x)) and bounds.SMOOTH.below(_roughness(swapped(x))):
        report.find(
            "audio.bytes",
            "The bytes of the 16-bit samples are swapped: the other way round they are smooth.",
        )


def _check_reading(report: Report, audio: Recorded, x: Samples) -> None:
    """What is as rough as noise and becomes smooth when its bytes are read otherwise; samples that come in twos."""
    _check_bytes(report, audio, x)
    if audio.subtype != "PCM_16" or any(finding.id == "audio.bytes" for finding in report.findings):
        return
    for n, kinds in bounds.HELD.items():
        whole = x[: len(x) // n * n].reshape(-1, n)
        told = whole[whole.any(axis=1)]
        if len(told) and bounds.ALL_HELD.above(float(np.mean(np.ptp(told, axis=1) == 0))):
            what = "two channels' samples were written for one channel's, or one of two is held for both"
            clause = what if n == 2 else f"one sample of {n} is held for all"
            _say_reading(report, f"Samples come {n} times each: {clause}.", *kinds)
            return
    if not bounds.ROUGH.above(_roughness(x)):
        return
    rough = [(_roughness(way.theirs(x)) or np.inf, n) for n, way in enumerate(REWRITINGS) if way is not SWAPPED]
    least, number = min(rough)
    if bounds.READ_SMOOTH.below(least):
        way = REWRITINGS[number]
        _say_reading(report, f"As they are the samples are noise; they are sound when {way.clause}.", way.kind)


def _say_reading(report: Report, sentence: str, *kinds: str) -> None:
    causes = [{"kind": kind, "where": "audio"} for kind in kinds]
    report.find("audio.rewritten", sentence, certainty=Certainty.MEASURED, cause=causes)


def _check_gaps(report: Report, audio: Recorded, x: Samples) -> None:
    """Sound that breaks off, or begins, beside nothing at all: what was silenced or put in between."""
    loud = np.flatnonzero(np.abs(x) > bounds.NOTHING)
    # Where zeros are what is soft, a few in a row tell nothing, nor where samples were read as something else.
    fine = audio.subtype in bounds.FINE_TYPES and not any(_accuses(finding) for finding in report.findings)
    inside = np.flatnonzero(np.diff(loud) > (bounds.SHORT_GAP if fine else bounds.LEAST_GAP))
    cut = [
        (int(loud[i]) + 1, int(loud[i + 1]))
        for i in inside
        if bounds.BREAKS_OFF.above(_beside(x, int(loud[i]) + 1, int(loud[i + 1])) / float(x.std()))
    ]
    if cut:
        where = ", ".join(f"from {a / audio.rate:.2f} to {b / audio.rate:.2f} s" for a, b in cut[: bounds.NAMED_ERRORS])
        report.find(
            "audio.pieces",
            f"There is nothing {where}, where sound breaks off: a piece was silenced, or a gap put in between.",
            certainty=Certainty.MEASURED,
            cause={"kind": "gap", "where": "audio"},
            pieces=[list(part) for part in cut[: bounds.NAMED_ERRORS]],
        )


def _beside(x: Samples, begin: int, end: int) -> float:
    """How loud it is at both sides of a gap: its last sample and its first, and those around them, the softest."""
    before, after = np.abs(x[max(0, begin - bounds.BESIDE) : begin]), np.abs(x[end : end + bounds.BESIDE])
    return float(min(before[-1], after[0], np.median(before), np.median(after)))


def _check_levels(report: Report, audio: Recorded, x: Samples) -> bool:
    """Whether samples have a few values only, which a type of 16 bits or more would have no reason for."""
    levels = np.unique(x)
    step = float(np.diff(levels).min()) if len(levels) > 1 else 0.0
    if bounds.CLIPPED.above(float(np.mean(np.abs(x) >= bounds.FULL))):
        return False
    few = audio.subtype in bounds.FINE_TYPES and len(levels) <= bounds.FEW_LEVELS and bounds.COARSE.above(step)
    if few:
        report.find(
            "audio.few-levels",
            f"The audio has {len(levels)} different samples, at least {step:.3g} apart.",
            certainty=Certainty.MEASURED,
            cause={"kind": "noise", "where": "audio"},
            levels=len(levels),
            step=step,
        )
    return few


def _check_hum(report: Report, audio: Recorded, x: Samples) -> None:
    """A low tone in the pauses."""
    width = audio.rate // bounds.HUM_FRAMES
    n = len(x) // width if width else 0
    if n < bounds.FEWEST_PIECES:
        return
    power = np.square(np.abs(np.fft.rfft(x[: n * width].reshape(n, width) * np.hanning(width), axis=1)))
    loudness = power.sum(axis=1)
    quiet = power[loudness <= np.quantile(loudness, bounds.STEADY_PARTS[0])].mean(axis=0)
    hertz = np.arange(len(quiet)) * audio.rate / width
    low = (hertz >= bounds.HUM_BAND[0]) & (hertz <= bounds.HUM_BAND[1])
    share, heard = float(quiet[low].sum()) / (float(quiet.sum()) or 1), float(quiet.sum()) / float(loudness.max())
    if bounds.HUMS.above(share) and bounds.HUM_HEARD.above(heard):
        report.find(
            "audio.added",
            f"A low tone, of 50 or 60 Hz, is heard all the time: in pauses it is {share:.0%} of the sound.",
            cause={"kind": "noise", "where": "audio"},
            share=share,
        )


def swapped(x: Samples) -> Samples:
    """16-bit samples with their two bytes swapped."""
    whole = np.clip(np.round(x * _FULL_16_BIT), -_FULL_16_BIT, _FULL_16_BIT - 1).astype("<i2")
    return np.asarray(whole.byteswap().astype(np.float64) / _FULL_16_BIT)


def _roughness(x: Samples) -> float:
    """Size of the steps from sample to sample over that of the samples: 1.4 for white noise, 0.1 to 0.3 for speech."""
    size = float(x.std())
    return float(np.diff(x).std()) / size if size > 0 else 0.0


def _repeats(x: Samples, period: int) -> bool:
    """Whether the whole goes round and round, its bursts with it."""
    return bounds.REPEATS.above(float(np.corrcoef(x[:-period], x[period:])[0, 1]))


def _check_clicks(report: Report, audio: Recorded, x: Samples) -> None:
    steps = np.abs(np.diff(x))
    width = bounds.CLICK_WINDOW
    n = len(steps) // width
    if n < bounds.LEAST_CLICK_WINDOWS:
        return
    blocks = steps[: n * width].reshape(n, width)
    usual = np.median(blocks, axis=1)
    usual = np.maximum(np.maximum(usual, np.roll(usual, 1)), np.roll(usual, -1)) + _QUIET
    outliers = np.flatnonzero(blocks.max(axis=1) > bounds.JUMP.value * usual)
    places = outliers * width + blocks[outliers].argmax(axis=1)
    # Seams jump alike, and are heard; what speech has of bursts is smaller.
    places = places[
        steps[places]
        > max(bounds.JUMP_EQUAL.value * steps[places].max(initial=0), bounds.JUMP_SIZE.value * float(x.std()))
    ]
    places = places[np.concatenate([[True], np.diff(places) > width])] if len(places) else places
    gaps = np.diff(places)
    if len(gaps) >= bounds.LEAST_CLICKS and gaps.min() > bounds.LEAST_CLICK_GAP * width:
        period = float(np.median(gaps))
        regular = float(np.mean(np.abs(gaps / period - np.round(gaps / period)) < bounds.JUMP_BEAT.value))
        if bounds.JUMPS_REGULAR.above(regular) and not _repeats(x, int(period)):
            report.find(
                "audio.clicks",
                f"{len(places)} jumps, {period / audio.rate:.3f} s apart, the first at {places[0] / audio.rate:.3f} s.",
                period=period,
                jumps=len(places),
            )


# --- what can be heard ------------------------------------------------------------------------------------------------


def _listen(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    """What can be heard of a trained voice: one thing, where nothing else was found; each may look like another."""
    for heard in _HEARD:
        if any(_accuses(finding) for finding in report.findings):
            return
        heard(case, report, audio, x)


def _accuses(finding: Finding) -> bool:
    return finding.kind.severity is not Severity.NOTE


def _hear_slip(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    found = slipped(x) if audio.subtype == "PCM_16" else None
    if found is not None:
        way, at = found
        what = f"From {at / audio.rate:.2f} s on the samples are noise; they are sound when {way.clause} there."
        _say_reading(report, what, way.kind)


def _hear_again(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    found = again(x)
    if found is not None and bounds.COMES_AGAIN.above(found.length):
        report.find(
            "audio.pieces",
            f"At {found.at / audio.rate:.2f} s comes again, sample by sample, what came at "
            f"{found.source / audio.rate:.2f} s; {found.length} samples come twice at that distance.",
            certainty=Certainty.MEASURED,
            cause={"kind": "doubled", "where": "audio"},
            samples=found.length,
            pieces=[[found.at, found.source]],
        )


def _hear_spikes(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    places = spikes(x)
    if len(places):
        report.find(
            "audio.clicks",
            f"{len(places)} {'samples stand' if len(places) > 1 else 'sample stands'} out of those beside "
            f"{'them' if len(places) > 1 else 'it'}, the first at {places[0] / audio.rate:.3f} s: each is a click.",
            cause={"kind": "clicks", "where": "audio"},
            period=float(np.median(np.diff(places))) if len(places) > 1 else 0.0,
            jumps=len(places),
        )


def _hear_windows(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    least, period = window_on_pieces(x, audio.rate)
    if bounds.WINDOWED.below(least):
        report.find(
            "audio.envelope",
            f"Every {period / audio.rate:.3f} s the sound goes down to {least:.0%} of what is around: a window is put "
            "on each piece, or something is missing between pieces.",
            certainty=Certainty.MEASURED,
            cause={"kind": "gain", "where": "audio"},
            period=period,
            least=least,
        )


def _hear_noise(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    flatness, share = noise_floor(x, audio.rate)
    if bounds.FLOOR_FLAT.above(flatness) and bounds.FLOOR_SHARE.above(share):
        report.find(
            "audio.added",
            "White noise is heard all the time, in pauses as well.",
            certainty=Certainty.MEASURED,
            cause={"kind": "noise", "where": "audio"},
            flatness=flatness,
            share=share,
        )


def _comparable(case: Case, audio: Recorded) -> bool:
    """Whether the model's voice is heard beside it: at its rate, and not through a codec."""
    return bool(case.voice) and audio.rate == SAMPLE_RATE and audio.subtype not in bounds.LOSSY


def _hear_colour(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    if not _comparable(case, audio):
        return
    own, by = [tilt(said, audio.rate) for said in case.voice], tilt(x, audio.rate)
    off = by - float(np.clip(by, min(own), max(own)))
    if bounds.OTHER_COLOUR.above(abs(off)):
        report.find(
            "audio.filtered",
            f"Beside its lows its highs are {abs(off):.0f} dB {'louder' if off > 0 else 'softer'} than the model's "
            "voice has them: it went through a filter.",
            certainty=Certainty.MEASURED,
            cause={"kind": "filtered", "where": "audio"},
            tilt=off,
        )


def _hear_echo(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    if not _comparable(case, audio):
        return
    size, lag = echo(x, case.voice, audio.rate)
    if bounds.COMES_LATER.above(size):
        report.find(
            "audio.filtered",
            f"All that is heard comes again {lag / audio.rate:.3f} s later: an echo.",
            certainty=Certainty.MEASURED,
            cause={"kind": "filtered", "where": "audio"},
            echo=lag / audio.rate,
            size=size,
        )


def _hear_backwards(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    lean = onsets(x, audio.rate)
    if bounds.BACKWARDS.below(lean):
        report.find(
            "audio.pieces",
            "It sounds as if it ran backwards: sound sets in slowly and breaks off at once, as speech does not.",
            certainty=Certainty.MEASURED,
            cause={"kind": "order", "where": "audio"},
            lean=lean,
        )


def _hear_wrapping(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    n = wrapped_around(x)
    if bounds.WRAPS.above(n):
        report.find(
            "audio.wrapped",
            f"{n} times the sound leaps from one limit to the other: samples beyond the limits came in again at the "
            "other end.",
            certainty=Certainty.MEASURED,
            cause={"kind": "clipped", "where": "audio"},
            steps=n,
        )


def _hear_static(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    start = static_from(x, audio.rate)
    if start is not None:
        report.find(
            "audio.added",
            f"From {start / audio.rate:.2f} s on there is white noise and nothing else.",
            certainty=Certainty.MEASURED,
            cause={"kind": "noise", "where": "audio"},
            start=start,
        )


def _hear_end(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    """Speech dies away, and what the model says does."""
    if not _comparable(case, audio) or bounds.DIES_AWAY.above(max(_at_the_end(said) for said in case.voice)):
        return
    loud = _at_the_end(x)
    if bounds.ENDS_LOUD.above(loud):
        report.find(
            "audio.breaks-off",
            f"The sound breaks off: its very end is {loud:.0%} as loud as all of it, and the model's voice dies away.",
            cause={"kind": "cut", "where": "audio"},
            loudness=loud,
        )


def _at_the_end(x: Samples) -> float:
    """How loud the last samples are beside all."""
    return float(np.sqrt(np.mean(np.square(x[-bounds.LAST_SAMPLES :])))) / (float(x.std()) or 1)


_HEARD = (
    _hear_wrapping,
    _hear_again,
    _hear_spikes,
    _hear_windows,
    _hear_noise,
    _hear_static,
    _hear_echo,
    _hear_colour,
    _hear_backwards,
    _hear_end,
)
"""In this order, since what comes first may look like what follows."""


# --- noise or speech --------------------------------------------------------------------------------------------------


def _check_noise(report: Report, audio: Recorded, x: Samples) -> None:
    flatness, voiced = noisiness(x, audio.rate)
    report.measurements["noise"] = {"flatness": round(flatness, 4), "voiced": round(voiced, 4)}
    if bounds.VOICED.below(voiced) and bounds.FLAT_SPECTRUM.above(flatness):
        report.find(
            "audio.noise",
            f"It is noise: spectral flatness {flatness:.2f} (speech is below 0.1), harmonic in {voiced:.0%} of the "
            f"time.",
            flatness=flatness,
            voiced=voiced,
        )


def noisiness(x: Samples, rate: int) -> tuple[float, float]:
    """Mean spectral flatness of the louder half of the frames (1 for white noise), and the share of them that are
    periodic at 70 to 400 Hz."""
    n = len(x) // bounds.NOISE_WINDOW
    if n == 0:
        return 0.0, 1.0
    frames = x[: n * bounds.NOISE_WINDOW].reshape(n, bounds.NOISE_WINDOW)
    energy = np.mean(np.square(frames), axis=1)
    frames = frames[energy >= np.median(energy)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames * np.hanning(bounds.NOISE_WINDOW), axis=1)) ** 2 + _TINY
    flatness = np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1)
    correlated = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * bounds.NOISE_WINDOW, axis=1)) ** 2, axis=1)
    lags = np.s_[max(1, rate // bounds.HIGHEST_PITCH) : min(rate // bounds.LOWEST_PITCH, bounds.NOISE_WINDOW // 2)]
    strength = correlated[:, lags].max(axis=1) / np.maximum(correlated[:, 0], _TINY)
    return float(flatness.mean()), float(np.mean(strength > bounds.HARMONIC))


def _check_duration(case: Case, report: Report, audio: Recorded, x: Samples) -> None:
    if not case.text:
        return
    seconds = len(x) / audio.rate
    each = seconds / max(1, len(case.text))
    if bounds.SHORTEST.below(each):
        report.find("audio.too-short", f"{seconds:.2f} s for {len(case.text)} characters.", seconds=seconds)
    elif bounds.LONGEST.above((seconds - bounds.LONGEST_FREE) / max(1, len(case.text))):
        report.find("audio.too-long", f"{seconds:.1f} s for {len(case.text)} characters.", seconds=seconds)
