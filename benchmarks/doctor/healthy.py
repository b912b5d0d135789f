"""Cases in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from file_faults import all_in_one_settings
from planted import Planted
from subjects import TEXTS, VOICE, Subjects

from foreign_files import write_all_in_one, write_bundled
from omniggml import quantize

GEOMETRIES = ("tiny", "mini", "odd", "grouped", "big-codebook", "long-window")


def cases(subjects: Subjects) -> Iterator[Planted]:
    for name in GEOMETRIES:
        for type_ in ("f32", "f16", "bf16", "q8_0"):
            yield Planted(f"healthy/file in {type_}/{name}", (), lambda n=name, t=type_: {"model": subjects.file(n, t)})
    for policy in ("q8_0", "q6_k", "q4_k"):
        yield Planted(f"healthy/policy {policy}/mini", (), partial(_quantized, subjects, policy))
    for name in ("mini", "tiny"):
        yield Planted(f"healthy/all in one/{name}", (), partial(_all_in_one, subjects, name))
    yield Planted("healthy/bundled/mini", (), partial(_bundled, subjects))
    yield Planted("healthy/against the checkpoint/mini", (), partial(_against_checkpoint, subjects))
    for name in subjects.some(*GEOMETRIES):
        for number, text in enumerate(("hi", *TEXTS)):
            yield Planted(f"healthy/speech {number}/{name}", (), partial(_speech, subjects, name, text, number, None))
        yield Planted(f"healthy/codes alone/{name}", (), partial(_codes, subjects, name))
    for name in subjects.some("mini", "odd"):
        for speaker in subjects.model(name).speakers:
            yield Planted(
                f"healthy/speaker {speaker}/{name}", (), partial(_speech, subjects, name, TEXTS[0], 7, speaker)
            )
    if subjects.has_voice:
        yield Planted(f"healthy/file/{VOICE}", (), lambda: {"model": subjects.file(VOICE)})
        for number, text in enumerate(TEXTS):
            yield Planted(f"healthy/audio alone {number}/{VOICE}", (), partial(_audio_alone, subjects, text))


def _speech(subjects: Subjects, name: str, text: str, seed: int, speaker: str | None) -> dict[str, Any]:
    spoken = subjects.spoken(name, text, seed, speaker)
    return {
        "model": subjects.file(name),
        "codes": spoken.codes,
        "audio": spoken.save(subjects.new_path(".wav")),
        "text": text,
        "speaker": speaker,
    }


def _codes(subjects: Subjects, name: str) -> dict[str, Any]:
    return {"model": subjects.file(name), "codes": subjects.spoken(name).codes.astype(np.int64)}


def _audio_alone(subjects: Subjects, text: str) -> dict[str, Any]:
    path = subjects.spoken(VOICE, text).save(subjects.new_path(".wav"))
    return {"model": subjects.file(VOICE), "audio": path, "text": text}


def _quantized(subjects: Subjects, policy: str) -> dict[str, Any]:
    target = subjects.new_path("-speech.gguf")
    quantize(subjects.file("mini"), target, policy=policy)
    return {"model": target, "reference": subjects.file("mini")}


def _all_in_one(subjects: Subjects, name: str) -> dict[str, Any]:
    path = write_all_in_one(
        subjects.new_path(".gguf"), subjects.file(name), subjects.thinker(name), tokenizer=True, q8=False
    )
    return {"model": path, "overrides": all_in_one_settings(subjects, name) | _thinker_settings(subjects, name)}


def _thinker_settings(subjects: Subjects, name: str) -> dict[str, Any]:
    return {"thinker.num_experts_per_tok": {"mini": 4, "tiny": 2}[name]}


def _bundled(subjects: Subjects) -> dict[str, Any]:
    path = write_bundled(subjects.new_path(".gguf"), subjects.file("mini"))
    settings = all_in_one_settings(subjects, "mini")
    return {"model": path, "thinker": subjects.thinker("mini"), "overrides": settings}


def _against_checkpoint(subjects: Subjects) -> dict[str, Any]:
    return {"model": subjects.file("mini", "q8_0"), "reference": subjects.checkpoint("mini")}
