"""Faults between the last sample and the file that is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np
import soundfile
from planted import Planted
from subjects import TEXTS, VOICE, Subjects

Change = Callable[[Any], Any]


def _bytes_swapped(x: Any) -> Any:
    return np.frombuffer(np.round(x * 32767).astype("<i2").tobytes(), ">i2").astype(np.int16)


def _faded(x: Any) -> Any:
    """Silent at both ends, so that no click comes where it begins again."""
    return x * np.minimum(1, np.minimum(np.arange(len(x)), np.arange(len(x))[::-1]) / 480)


# With codes: the audio is compared with what the model makes of them.
BESIDE_CODES: dict[str, tuple[Change, dict[str, Any], str]] = {
    "half as loud": (lambda x: x / 2, {}, "audio.gain"),
    "peak normalised": (lambda x: x * 0.99 / np.abs(x).max(), {}, "audio.gain"),
    "sign turned": (lambda x: -x, {}, "audio.negated"),
    "shifted by a constant": (lambda x: x * 0.5 + 0.3, {}, "audio.dc"),
    "far too loud": (lambda x: x * 60, {}, "audio.clipped"),
    "silence": (lambda x: x * 0, {}, "audio.silent"),
    "NaN": (lambda x: np.where(x > np.quantile(x, 0.99), np.nan, x), {"subtype": "FLOAT"}, "audio.not-finite"),
    "16000 in the header": (lambda x: x, {"rate": 16000}, "audio.rate"),
    "48000 in the header": (lambda x: x, {"rate": 48000}, "audio.rate"),
    "two channels": (lambda x: np.stack([x, x], 1), {}, "audio.channels"),
    "padded to whole frames": (lambda x: x, {"whole_frames": True}, "audio.length"),
    "bytes swapped": (_bytes_swapped, {}, "audio.bytes"),
    "backwards": (lambda x: x[::-1], {}, "audio.rewritten"),
    "white noise": (lambda x: np.random.default_rng(0).normal(0, 0.1, len(x)), {}, "vocoder.differs"),
}

# Without codes only speech can be told from what is none.
ALONE: dict[str, tuple[Change, dict[str, Any], str]] = {
    "white noise": (lambda x: np.random.default_rng(0).normal(0, 0.1, len(x)), {}, "audio.noise"),
    "uniform noise": (lambda x: np.random.default_rng(0).uniform(-0.5, 0.5, len(x)), {}, "audio.noise"),
    "bytes swapped": (_bytes_swapped, {}, "audio.bytes"),
    "clipped": (lambda x: x * 60, {}, "audio.clipped"),
    "silence": (lambda x: x * 0, {}, "audio.silent"),
    "44100 in the header": (lambda x: x, {"rate": 44100}, "audio.rate"),
    "a tenth of a second": (lambda x: x[5000:7400], {}, "audio.too-short"),
    "a minute of it": (lambda x: np.tile(_faded(x), 40), {}, "audio.too-long"),
    "clicks at seams": (lambda x: x + 0.9 * (np.arange(len(x)) % 3840 == 3000), {}, "audio.clicks"),
}


def cases(subjects: Subjects) -> Iterator[Planted]:
    for number, (fault, (change, options, cause)) in enumerate(BESIDE_CODES.items()):
        for place in subjects.some(["mini", "grouped", "odd"][number % 3]):
            yield Planted(f"audio/{fault}/{place}", (cause,), partial(_given, subjects, place, change, options, True))
    for fault, (change, options, cause) in ALONE.items() if subjects.has_voice else ():
        yield Planted(
            f"audio/{fault}, no codes/{VOICE}", (cause,), partial(_given, subjects, VOICE, change, options, False)
        )


def _given(subjects: Subjects, name: str, change: Change, options: dict[str, Any], with_codes: bool) -> dict[str, Any]:
    spoken = subjects.spoken(name)
    path = subjects.new_path(".wav")
    options = {"rate": 24000, "whole_frames": False, **options}
    samples = change(spoken.samples.astype(np.float64))
    if options.pop("whole_frames"):
        geometry = subjects.model(name).geometry["code2wav"]
        a_frame = prod([*geometry["upsampling_ratios"], *geometry["upsample_rates"]])
        samples = np.append(samples, np.zeros(a_frame * spoken.codes.shape[1] - len(samples)))
    soundfile.write(path, samples, options.pop("rate"), **options)
    given: dict[str, Any] = {"model": subjects.file(name), "audio": path}
    return given | ({"codes": spoken.codes} if with_codes else {"text": TEXTS[0]})
