"""What a program heard: its audio, its log-mel features and the rows of its audio encoder, beside ours of the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Recorded, read_audio
from omniggml.comparison.agreement import agreement
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import EAR_SENTENCES
from omniggml.doctor.check_report import Report
from omniggml.doctor.dump_names import is_narrow
from omniggml.doctor.ears_mirror import EAR_MISTAKES, EarsMirror
from omniggml.media.audio_input import RATE, log_mel

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

_TOKENS_A_SECOND = 13
_NOT_COMPARABLE = 1e9
_FEATURES = re.compile(r"(^|[./_])(input_features|features|log_mel|mel)$")
_ROWS = re.compile(r"(^|\.)(audio_tower(\.proj2)?|audio_embeds|audio_features|last_hidden_state)(\.output)?$")


def check_ears(case: Case) -> Report:
    """Needs what was heard; more is known with a dump, and a model that hears."""
    if case.heard is None:
        return Report()
    report = Report("ears")
    _check_sound(report, read_audio(case.heard))
    if case.theirs is None:
        return report
    encoders = case.model._encoders if case.model is not None else None
    native = encoders.loaded() if encoders is not None and encoders.hears else None
    if encoders is None or native is None or native.audio_geometry is None:
        report.fail("the dump of ears: no mmproj file with an audio encoder could be loaded beside the model")
        return report
    features = log_mel(case.heard, n_mels=native.audio_geometry["num_mel_bins"])
    found = len(report.findings)
    given = _check_features(report, case.heard, case.theirs, features)
    if len(report.findings) == found:
        _check_rows(report, case, EarsMirror(Path(encoders.path), native.audio_geometry), given)
    return report


# --- the audio --------------------------------------------------------------------------------------------------------


def _check_sound(report: Report, audio: Recorded) -> None:
    """What a microphone, a cable or a converter does."""
    if not audio.samples.size or not np.isfinite(audio.samples).all():
        return  # refused when it is listened to
    each = np.sqrt(np.mean(np.square(audio.samples), axis=0))
    loudest, mixed = float(each.max()), float(np.sqrt(np.mean(np.square(audio.mono))))
    report.measurements["heard"] = {"rate": audio.rate, "channels": len(each), "rms": mixed}
    if bounds.SILENT.below(loudest):
        report.find("ears.silent", f"There is nothing to hear: the root mean square is {loudest:.1e}.", rms=loudest)
        return
    if len(each) > 1 and bounds.EARS_CANCELLED.below(mixed / loudest):
        report.find(
            "ears.channels",
            f"The mean of the {len(each)} channels is {mixed / loudest:.1%} of the loudest: they cancel each other.",
            share=mixed / loudest,
        )
    elif len(each) > 1 and bounds.EARS_ONE_CHANNEL.below(float(each.min()) / loudest):
        report.find(
            "ears.one-channel",
            f"Channel {int(each.argmax())} of {len(each)} holds the sound, and channel {int(each.argmin())} nothing.",
            share=float(each.min()) / loudest,
        )
    full = float(np.mean(np.abs(audio.samples) >= bounds.FULL))
    if bounds.CLIPPED.above(full):
        report.find("ears.clipped", f"{full:.1%} of the samples are at the limits.", share=full)


# --- features ---------------------------------------------------------------------------------------------------------


def _named(theirs: Mapping[str, Array], pattern: re.Pattern[str]) -> Array | None:
    """The shortest name's, without axes of length 1."""
    names = sorted((name for name in theirs if pattern.search(name.replace("/", "."))), key=len)
    return None if not names else np.atleast_2d(np.asarray(theirs[names[0]], np.float32).squeeze())


def _check_features(report: Report, heard: Path, theirs: Mapping[str, Array], ours: FloatArray) -> FloatArray:
    """Theirs where they are there and right; ours otherwise."""
    given = _named(theirs, _FEATURES)
    if given is None:
        return ours
    if given.shape[0] != ours.shape[0] and given.shape[-1] == ours.shape[0]:
        given = given.T
    n, seen = ours.shape[1], given.shape[-1]
    if given.shape[0] != ours.shape[0]:
        report.find("ears.mel-differs", f"Their features are {list(given.shape)}; ours are {list(ours.shape)}.")
    elif seen == n and not _apart(given, ours):
        return given.astype(np.float32)
    elif seen == n + 1 and not _apart(given[:, :n], ours):
        report.find("ears.mel-frames", f"There are {seen} frames of features; the last is to be left out, {n} remain.")
    elif seen == bounds.WHISPER_FRAMES > n:
        report.find("ears.mel-padded", f"There are {seen} frames of features, as of 30 s; the audio has {n}.")
    elif (rate := _unresampled(heard, seen)) is not None:
        report.find(
            "ears.not-resampled",
            f"There are {seen} frames of features: {rate} samples a second were taken for {RATE}, which makes {n}.",
        )
    elif seen == n and n > 1 and not (_apart(given[:, 1:], ours[:, :-1]) and _apart(given[:, :-1], ours[:, 1:])):
        report.find("ears.mel-shifted", "Their features are ours a frame early or late.")
    else:
        error = agreement(given, ours).nmse if seen == n else float("nan")
        report.find(
            "ears.mel-differs",
            f"Their features are {list(given.shape)}, ours {list(ours.shape)}, normalised error {error:.1e}.",
        )
    return ours


def _apart(theirs: Array, ours: Array) -> bool:
    return bounds.EARS_MEL.above(agreement(theirs, ours).nmse)


def _unresampled(heard: Path, frames: int) -> int | None:
    """The file's own rate, where its samples make so many frames."""
    audio = read_audio(heard)
    return audio.rate if audio.rate != RATE and frames == len(audio.samples) // bounds.MEL_HOP else None


# --- rows -------------------------------------------------------------------------------------------------------------


def _check_rows(report: Report, case: Case, mirror: EarsMirror, features: FloatArray) -> None:
    assert case.theirs is not None
    rows = _named(case.theirs, _ROWS)
    if rows is None:
        names = ", ".join(list(case.theirs)[:3])
        report.find("dump.names", f"None of {len(case.theirs)} names is of the audio encoder's output: {names:.200}.")
        return
    ours = mirror(features)
    error = _error(ours, rows)
    report.measurements["ears"] = {"tokens": len(rows), "nmse": error}
    if not bounds.MODULE_ROUNDED.above(error):
        return
    case.announce("trying what a port of the audio encoder can get wrong")
    tried = [(_error(mirror(features, mistake), rows), mistake) for mistake in EAR_MISTAKES]
    least, mistake = min(tried, key=lambda one: one[0])
    if bounds.EARS_MISTAKE_BEATS.below(least / error):
        report.find(
            f"ears.{mistake.name}",
            f"Your rows equal ours when {EAR_SENTENCES[mistake.name]} (error {least:.1e}; without that mistake "
            f"{error:.1e}).",
            tensors=("thinker.audio_tower",),
            residual=least,
            residual_without=error,
            tokens=len(rows),
        )
    elif len(rows) != len(ours):
        seconds = features.shape[1] * bounds.MEL_HOP / RATE
        report.find(
            "ears.tokens",
            f"There are {len(rows)} rows for {seconds:.2f} s, {len(rows) / seconds:.1f} a second; there are to be "
            f"{len(ours)}, {_TOKENS_A_SECOND} a second.",
            tokens=len(rows),
            expected=len(ours),
        )
    else:
        _check_scale(report, rows, ours, error)


def _check_scale(report: Report, rows: Array, ours: FloatArray, error: float) -> None:
    bound = bounds.MODULE_DIFFERS if is_narrow(rows) else bounds.MODULE_DIFFERS_IN_F32
    if not bound.above(error):
        return
    factor = float((rows.astype(np.float64) * ours).sum() / np.square(ours, dtype=np.float64).sum())
    if factor and bounds.DUMP_MISTAKE_BEATS.below(_error(np.asarray(factor * ours, np.float32), rows) / error):
        report.find("ears.scale", f"Your rows are ours times {factor:.4g}.", factor=factor)
    else:
        report.find(
            "ears.differs",
            f"Your rows differ from ours by a normalised error of {error:.1e}, and no known mistake explains it.",
            tensors=("thinker.audio_tower",),
        )


def _error(ours: Array, theirs: Array) -> float:
    if ours.shape != theirs.shape or not np.isfinite(theirs).all():
        return _NOT_COMPARABLE
    return min(agreement(theirs, ours).nmse, _NOT_COMPARABLE)
