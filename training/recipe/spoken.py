"""What the ear learns from and is tested with: questions as they are said, by whom and where."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soxr

import omniggml

from .acoustics import RATE, Surroundings, drawn_surroundings, nothing_said, recorded
from .aloud import asked_aloud, spoken_around
from .data import answer_texts, training_words
from .questions import UNKNOWN, Question, all_questions, nonsense, repetition
from .sentences import grammatical, shuffled
from .talker import NOTHING
from .teacher import SAMPLE_RATE, SPEAKERS, Speaker, render_timed, voiced_as, waveform
from .tokenizer import engine_tokenizer

log = logging.getLogger(__name__)

NOT_UNDERSTOOD = "i am sorry, i did not understand that"
"""The answer where nobody says anything."""

SHARD = 100
TAKES = 2
"""Recordings of each speech."""
VOICE_SHARD, VOICE_TAKES = 40, 4
"""The same of what the voice itself says."""
EMPTY_SHARD = 400
SHARES = {"published": 0.15, "phrased": 0.58, "unknown": 0.07, "repeat": 0.06, "anything": 0.1, "nothing": 0.04}
ROWS_A_SECOND = 13
FILLER = engine_tokenizer().encode("a?")[1]
"""The token in the place of which the thinker, as it was trained, is confused least by rows that say nothing."""

LONGEST = 30.0
"""Seconds."""

LEFT_OUT = (0.66, 0.80)
"""Pitches of the teacher that are never trained on."""
UNHEARD_SPEAKERS = (
    Speaker("alto", 0.73, 0.92, 1.0),
    Speaker("tenor", 0.69, 0.96, 1.0),
    Speaker("child", 1.4, 1.13, 1.0),
)
"""Two in the middle of what is left out, and one above all that is trained on."""


@dataclass(frozen=True)
class Spoken:
    """What is said, "" where nobody says anything, and what is to be answered, "" where that is all the same."""

    text: str
    answer: str


@dataclass(frozen=True)
class Clip:
    """A recording: `features` float16 [128, frames]; of each row of the encoder the token that it is to say and the
    phone that is heard, int16 and int8."""

    said: Spoken
    features: np.ndarray
    tokens: np.ndarray
    phones: np.ndarray


def plan(count: int, seed: int) -> list[Spoken]:
    """`count` things to be heard, none in a phrasing that is held out. A longer plan begins with the shorter one."""
    rng = random.Random(seed)
    known, words = all_questions(), training_words()
    by_kind: dict[str, list[Question]] = {}
    for question in known:
        by_kind.setdefault(question.kind, []).append(question)
    return [_drawn(rng, known, list(by_kind.values()), words) for _ in range(count)]


def _drawn(rng: random.Random, known: list[Question], kinds: list[list[Question]], words: list[str]) -> Spoken:
    sort = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if sort == "nothing":
        return Spoken("", NOT_UNDERSTOOD)
    if sort == "published":
        asked = rng.choice(known)
        return Spoken(asked.plain, asked.answer)
    if sort == "unknown":
        return Spoken(spoken_around(nonsense(rng), rng), UNKNOWN)
    if sort in ("repeat", "anything"):
        some = [rng.choice(words) for _ in range(rng.randint(1, 4))]
        text = rng.choice([" ".join(some), grammatical(rng), shuffled(rng)]).replace(",", "")
        if sort == "anything":
            return Spoken(text, "")
        asked = repetition(text)
        return Spoken(rng.choice(asked.trained()).replace(":", ","), asked.answer)
    asked = rng.choice(rng.choices(kinds, [len(kind) ** 0.75 for kind in kinds])[0])
    return Spoken(asked_aloud(asked, rng), asked.answer)


def drawn_speaker(rng: np.random.Generator) -> Speaker:
    """Now and then one of the voice's two, else anyone between and about them but for what is left out."""
    if rng.random() < 0.3:
        return SPEAKERS[int(rng.random() < 0.4)]
    while True:
        pitch = float(np.exp(rng.uniform(np.log(0.48), np.log(1.25))))
        if not LEFT_OUT[0] < pitch < LEFT_OUT[1]:
            formants = 0.86 + (pitch - 0.56) * 0.32 + rng.normal() * 0.04
            return Speaker("anyone", pitch, float(np.clip(formants, 0.8, 1.15)), 1.0, float(rng.uniform(0.5, 1.6)))


@dataclass(frozen=True)
class Manner:
    """How something is said: `stretch` times as long as the teacher would, by whole code frames or freely, the whole
    then `speed` times as fast (and as high); `before` and `after`: seconds of silence. `patient`: with as much of it
    as there are tokens to write."""

    stretch: float = 1.0
    on_grid: bool = True
    speed: float = 1.0
    before: float = 0.2
    after: float = 0.4
    patient: bool = True


def drawn_manner(rng: np.random.Generator) -> Manner:
    """Any of those that are trained on."""
    return Manner(
        stretch=float(rng.uniform(0.8, 1.55)),
        on_grid=bool(rng.random() < 0.45),
        speed=float(rng.uniform(0.9, 1.14)),
        before=_pause(rng),
        after=_pause(rng),
        patient=bool(rng.random() < 0.5),
    )


def _pause(rng: np.random.Generator) -> float:
    """Seconds: some leave the microphone open."""
    return float(rng.uniform(0.0, 0.9) if rng.random() < 0.96 else np.exp(rng.uniform(np.log(0.9), np.log(14))))


@dataclass(frozen=True)
class Voiced:
    """Somebody's speech at 24 kHz without the silence before it, when words begin, and phones end, in seconds."""

    samples: np.ndarray
    starts: tuple[float, ...]
    phones: tuple[tuple[str, float], ...]


def voiced(text: str, speaker: Speaker, manner: Manner, seed: int) -> Voiced | None:
    """None for what the teacher can't say."""
    timed = render_timed(text, manner.stretch, manner.on_grid)
    if timed is None:
        return None
    lead = max(0.0, timed.starts[0] - 0.08)
    samples = waveform(voiced_as(timed, speaker), speaker, seed)[int(lead * SAMPLE_RATE) :]
    phones = tuple((phone, end - lead) for phone, end in timed.phones)
    return Voiced(samples, tuple(start - lead for start in timed.starts), phones)


def rows_of(frames: int) -> int:
    """Rows that the encoder makes of so many frames of features."""
    rest = frames % 100
    for _ in range(3):
        rest = (rest + 1) // 2
    return ROWS_A_SECOND * (frames // 100) + rest


def said_rows(text: str, starts: Sequence[float]) -> list[int]:
    """Tokens of a text, a row each, every word from the row on in which it begins or the one before has ended."""
    encode = engine_tokenizer().encode
    rows: list[int] = []
    for index, (word, start) in enumerate(zip(text.replace(",", "").split(), starts, strict=True)):
        rows += [FILLER] * (int(start * ROWS_A_SECOND) - len(rows))
        rows += encode(f"a {word}" if index else f"\n{word}")[1:]
    return rows


def make_clip(
    said: Spoken, speech: Voiced, manner: Manner, around: Surroundings, seed: int, others: np.ndarray | None
) -> Clip | None:
    """Record what is said. None where it takes longer than there is time."""
    samples = soxr.resample(speech.samples, SAMPLE_RATE * manner.speed, RATE).astype(np.float32)
    rows = said_rows(said.text, [start / manner.speed + manner.before for start in speech.starts])
    total = manner.before + len(samples) / RATE + manner.after
    if manner.patient:
        total = max(total, (len(rows) + 1) / ROWS_A_SECOND)
    if total > LONGEST:
        return None
    before = int(manner.before * RATE)
    samples = np.pad(samples, (before, int(total * RATE) - before - len(samples)))
    phones = [(phone, end / manner.speed + manner.before) for phone, end in speech.phones]
    return _clip(said, recorded(samples, around, np.random.default_rng(seed), others), rows, phones)


def empty_clip(seed: int, others: np.ndarray | None) -> Clip:
    """One in which nobody says anything."""
    return _clip(Spoken("", NOT_UNDERSTOOD), nothing_said(np.random.default_rng(seed), others), [], [])


def _clip(said: Spoken, samples: np.ndarray, rows: Sequence[int], phones: Sequence[tuple[str, float]]) -> Clip:
    features = omniggml.log_mel(samples)
    count = rows_of(features.shape[1])
    tokens = np.full(count, FILLER, np.int16)
    tokens[: len(rows)] = rows[:count]
    heard, begin = np.zeros(count, np.int8), 0
    for phone, end in phones:
        last = min(count, round(end * ROWS_A_SECOND))
        heard[begin:last] = phone_number(phone)
        begin = max(begin, last)
    return Clip(said, features.astype(np.float16), tokens, heard)


PHONES = "_aeiouæɑɐɒɔəɚɛɜɪʊʌbdfhjklmnpstvwzŋɡɹɾʃʒθðʔʤʧAIOQWYᵊᵻTx"  # noqa: RUF001
"""Silence, then what phones begin with; any other is the last."""


def phone_number(phone: str) -> int:
    """Of a phone without its stress."""
    found = PHONES.find(phone.lstrip("ˈˌ")[:1] or "_")
    return found if found >= 0 else len(PHONES) - 1


def make_clips(directory: Path, count: int, seed: int, workers: int = 2) -> None:
    """Record the plan into `directory`. Finished shards are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    planned = plan(count, seed)
    jobs = []
    for start in range(0, count, SHARD):
        path = directory / f"{start // SHARD:04d}.npz"
        if not path.exists():
            jobs.append((path, planned[start : start + SHARD], seed + start))
    with ProcessPoolExecutor(workers) as pool:
        for done, path in enumerate(pool.map(_make_shard, jobs)):
            log.info("clips %s made, %d of %d", path.name, done + 1, len(jobs))


def _make_shard(job: tuple[Path, list[Spoken], int]) -> Path:
    path, planned, seed = job
    rng, others = np.random.default_rng(seed), _babblers(seed)
    clips = [clip for index, said in enumerate(planned) for clip in _takes(said, rng, seed + index, others)]
    save_clips(path, clips)
    return path


def _takes(said: Spoken, rng: np.random.Generator, seed: int, others: np.ndarray) -> Iterator[Clip]:
    """The same speech in several places, since saying it takes longest."""
    if not said.text:
        yield from (empty_clip(seed * TAKES + take, others) for take in range(TAKES))
        return
    manner = drawn_manner(rng)
    speech = voiced(said.text, drawn_speaker(rng), manner, seed)
    for take in range(TAKES if speech is not None else 0):
        assert speech is not None
        other = drawn_manner(rng)
        manner = replace(other, stretch=manner.stretch, on_grid=manner.on_grid)
        clip = make_clip(said, speech, manner, drawn_surroundings(rng), seed * TAKES + take, others)
        if clip is not None:
            yield clip


def _babblers(seed: int) -> np.ndarray:
    """Half a minute of sentences at 16 kHz, for others to babble with."""
    rng, draws = random.Random(seed), np.random.default_rng(seed)
    made = (voiced(grammatical(rng).replace(",", ""), drawn_speaker(draws), Manner(), seed) for _ in range(12))
    return np.concatenate([soxr.resample(one.samples, SAMPLE_RATE, RATE) for one in made if one is not None])


def make_voice_clips(directory: Path, speech: Path, count: int, seed: int, workers: int = 1) -> None:
    """Let the voice itself ask `count` questions, both speakers, and record each `VOICE_TAKES` times. Nobody knows when
    its words begin, so these clips teach answers alone. Finished shards are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    known = set(answer_texts())
    listed = [said for said in plan(4 * count, seed) if said.answer in known and said.text][:count]
    jobs = []
    for start in range(0, len(listed), VOICE_SHARD):
        path = directory / f"voice-{start // VOICE_SHARD:04d}.npz"
        if not path.exists():
            jobs.append((path, speech, listed[start : start + VOICE_SHARD], seed + start))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for path in pool.map(_make_voice_shard, jobs):
            log.info("voice clips %s made", path.name)


def _make_voice_shard(job: tuple[Path, Path, list[Spoken], int]) -> Path:
    path, speech, listed, seed = job
    model, rng, draws = _voice(speech), random.Random(seed), np.random.default_rng(seed)
    clips: list[Clip] = []
    for number, said in enumerate(listed):
        speaker = SPEAKERS[rng.randrange(len(SPEAKERS))].name
        samples = model.speak(said.text, speaker=speaker, seed=seed + number, max_frames=150).samples
        clips += (clip for _ in range(VOICE_TAKES) if (clip := _voice_clip(said, samples, draws)) is not None)
    if clips:  # a voice that isn't trained never ends
        save_clips(path, clips)
    return path


@lru_cache(maxsize=1)
def _voice(speech: Path) -> omniggml.Model:
    return omniggml.load(speech, mmproj=False, n_threads=1)


def make_empty_clips(directory: Path, count: int, seed: int) -> None:
    """`count` clips more in which nobody says anything, of which there can't be enough. Finished shards are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    for start in range(0, count, EMPTY_SHARD):
        path = directory / f"empty-{start // EMPTY_SHARD:04d}.npz"
        if not path.exists():
            first = 1_000_000 * (seed + 1) + start
            save_clips(path, [empty_clip(first + number, None) for number in range(min(EMPTY_SHARD, count - start))])


def _voice_clip(said: Spoken, samples: np.ndarray, rng: np.random.Generator) -> Clip | None:
    manner = drawn_manner(rng)
    samples = soxr.resample(samples, SAMPLE_RATE * manner.speed, RATE).astype(np.float32)
    samples = np.pad(samples, (int(manner.before * RATE / 2), int(manner.after * RATE / 2)))
    if len(samples) > LONGEST * RATE:
        return None
    around = Surroundings() if rng.random() < 0.4 else drawn_surroundings(rng)
    clip = _clip(said, recorded(samples, around, rng), [], [])
    return replace(clip, tokens=np.full_like(clip.tokens, NOTHING), phones=np.full_like(clip.phones, NOTHING))


def unheard_clips(count: int, seed: int) -> list[Clip]:
    """Questions in phrasings that are never trained on, by speakers that never are, with a little noise."""
    rng, draws = random.Random(seed), np.random.default_rng(seed)
    pairs = [Spoken(form, asked.answer) for asked in all_questions() for form in asked.unseen()]
    clips: list[Clip] = []
    for number, said in enumerate(rng.sample(pairs, count)):
        speaker, manner = UNHEARD_SPEAKERS[number % len(UNHEARD_SPEAKERS)], drawn_manner(draws)
        speech = voiced(said.text, speaker, manner, number)
        clip = None if speech is None else make_clip(said, speech, manner, Surroundings("pink", 30.0), number, None)
        clips += [] if clip is None else [clip]
    return clips


def save_clips(path: Path, clips: Sequence[Clip]) -> None:
    """Write clips into one file, complete or not at all."""
    content: dict[str, Any] = {
        "texts": np.asarray([clip.said.text for clip in clips]),
        "answers": np.asarray([clip.said.answer for clip in clips]),
        "frames": np.asarray([clip.features.shape[1] for clip in clips], np.int32),
        "features": np.concatenate([clip.features.T for clip in clips]),
        "tokens": np.concatenate([clip.tokens for clip in clips]),
        "phones": np.concatenate([clip.phones for clip in clips]),
    }
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **content)
    partial.rename(path)


def load_shard(path: Path) -> Iterator[Clip]:
    """Every clip of a file."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    ends = np.cumsum(content["frames"])
    row_ends = np.cumsum([rows_of(int(frames)) for frames in content["frames"]])
    for index, (end, row_end) in enumerate(zip(ends, row_ends, strict=True)):
        frames = int(content["frames"][index])
        rows = slice(row_end - rows_of(frames), row_end)
        yield Clip(
            Spoken(str(content["texts"][index]), str(content["answers"][index])),
            content["features"][end - frames : end].T,
            content["tokens"][rows],
            content["phones"][rows],
        )
