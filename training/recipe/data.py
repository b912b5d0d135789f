"""The data: texts by a seeded plan, the teacher's rendering of each, in shards that a stopped run goes on from."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import sentences
from .features import frame_features
from .questions import UNKNOWN, all_questions
from .teacher import SPEAKERS, render, spelled_words, voiced_as, waveform

log = logging.getLogger(__name__)

SHARD = 250
SHARES = {"grammar": 0.38, "demo": 0.12, "answers": 0.22, "shuffled": 0.12, "dictionary": 0.16}
SECOND_SPEAKER = 0.3


@dataclass(frozen=True)
class Planned:
    """One text to render, and who says it."""

    text: str
    speaker: int


@dataclass(frozen=True)
class Utterance:
    """A rendered text. `phones`, `places`, `words`: see `teacher.Rendering`; `features` [frames, WIDTH]; `audio` int16
    or None where only the codes are needed."""

    text: str
    speaker: int
    phones: tuple[str, ...]
    places: np.ndarray
    words: np.ndarray
    features: np.ndarray
    audio: np.ndarray | None

    @property
    def frames(self) -> int:
        return len(self.phones)


def listed(name: str) -> list[str]:
    """A committed list of texts."""
    return (sentences.LISTS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1]


def training_words() -> list[str]:
    """Dictionary words that may be trained on."""
    unseen = {word for line in listed("unseen_words") for word in line.split()}
    return [word for word in spelled_words() if word not in unseen and 2 < len(word) < 13]


def plan(count: int, seed: int) -> list[Planned]:
    """`count` texts, none of them held out. A longer plan begins with the shorter one."""
    rng = random.Random(seed)
    hidden = set(listed("unseen_sentences")) | set(listed("unseen_orders"))
    words = training_words()
    answers = answer_texts()
    planned: list[Planned] = []
    while len(planned) < count:
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        text = _draw(kind, rng, words, answers)
        if text.rstrip(".?!") not in hidden:
            planned.append(Planned(text, int(rng.random() < SECOND_SPEAKER)))
    return planned


def answer_texts() -> list[str]:
    """Everything the thinker answers with of itself, each once."""
    return sorted({question.answer for question in all_questions()} | {UNKNOWN})


def _draw(kind: str, rng: random.Random, words: list[str], answers: list[str]) -> str:
    if kind == "grammar":
        return sentences.punctuated(sentences.grammatical(rng), rng)
    if kind == "demo":
        return sentences.punctuated(rng.choice(listed("demo_sentences")), rng)
    if kind == "answers":
        return rng.choice(answers)
    if kind == "shuffled":
        return sentences.punctuated(sentences.shuffled(rng), rng)
    return sentences.punctuated(sentences.dictionary(rng, words), rng)


def make_shards(directory: Path, count: int, with_audio: int, seed: int, workers: int = 2) -> None:
    """Render the plan into `directory`; the first `with_audio` texts keep their samples. Finished shards are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    planned = plan(count, seed)
    jobs = []
    for start in range(0, count, SHARD):
        path = directory / f"{start // SHARD:04d}.npz"
        if not path.exists():
            jobs.append((path, planned[start : start + SHARD], start < with_audio, seed + start))
    with ProcessPoolExecutor(workers) as pool:
        for done, path in enumerate(pool.map(_make_shard, jobs)):
            log.info("shard %s made, %d of %d", path.name, done + 1, len(jobs))


def _make_shard(job: tuple[Path, list[Planned], bool, int]) -> Path:
    path, planned, with_audio, seed = job
    rows = [row for index, item in enumerate(planned) if (row := _rendered(item, with_audio, seed + index))]
    save_shard(path, rows)
    return path


def _rendered(item: Planned, with_audio: bool, seed: int) -> Utterance | None:
    rendering = render(item.text)
    if rendering is None:
        return None
    speaker = SPEAKERS[item.speaker]
    outputs = voiced_as(rendering, speaker)
    audio = None
    if with_audio:
        audio = (waveform(outputs, speaker, seed) * 32767).astype(np.int16)
    features = frame_features(outputs, rendering.frames).astype(np.float16)
    places, words = np.asarray(rendering.places, np.int8), np.asarray(rendering.words, np.int16)
    return Utterance(item.text, item.speaker, rendering.phones, places, words, features, audio)


def save_shard(path: Path, rows: list[Utterance]) -> None:
    """Write utterances into one file, complete or not at all."""
    content: dict[str, Any] = {
        "texts": np.asarray([row.text for row in rows]),
        "speakers": np.asarray([row.speaker for row in rows], np.int8),
        "phones": np.asarray([phone for row in rows for phone in row.phones]),
        "frames": np.asarray([row.frames for row in rows], np.int32),
    }
    for name in ("places", "words", "features"):
        content[name] = np.concatenate([getattr(row, name) for row in rows])
    if rows[0].audio is not None:
        content["samples"] = np.asarray([len(row.audio) for row in rows if row.audio is not None], np.int64)
        content["audio"] = np.concatenate([row.audio for row in rows if row.audio is not None])
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **content)
    partial.rename(path)


def load_shards(directory: Path) -> Iterator[Utterance]:
    """Every utterance in the order of the plan."""
    for path in sorted(directory.glob("*.npz")):
        yield from _load_shard(path)


def _load_shard(path: Path) -> Iterator[Utterance]:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    ends = np.cumsum(content["frames"])
    sample_ends = np.cumsum(content["samples"]) if "samples" in content else None
    for index, end in enumerate(ends):
        span = slice(end - content["frames"][index], end)
        audio = None
        if sample_ends is not None:
            audio = content["audio"][sample_ends[index] - content["samples"][index] : sample_ends[index]]
        yield Utterance(
            str(content["texts"][index]),
            int(content["speakers"][index]),
            tuple(str(phone) for phone in content["phones"][span]),
            content["places"][span],
            content["words"][span],
            content["features"][span],
            audio,
        )
