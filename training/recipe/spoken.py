"""What the ear learns from and is tested with: questions as they are said, by whom and where."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr

import omniggml

from .acoustics import RATE, Surroundings, drawn_surroundings, nothing_said, recorded
from .data import answer_texts, training_words
from .questions import UNKNOWN, Question, all_questions, nonsense, repetition
from .sentences import grammatical, shuffled
from .talker import NOTHING
from .teacher import SAMPLE_RATE, SPEAKERS, Speaker, render_timed, voiced_as, waveform
from .thinker import addressed
from .tokenizer import engine_tokenizer

log = logging.getLogger(__name__)

NOT_UNDERSTOOD = "i am sorry, i did not understand that"
"""The answer where nobody says anything."""

ALOUD = {
    "capital": (
        "can you tell me the capital of {0}", "could you name the capital of {0}", "what would be the capital of {0}",
        "i would like to hear the capital of {0}", "which town is the capital of {0}", "the capital city of {0} please",
        "do you remember the capital of {0}", "{0} has which capital",
    ),
    "sum": (
        "can you add {0} and {1}", "how much do {0} and {1} make", "do you know {0} plus {1}", "what is {0} and {1}",
        "i want to know {0} plus {1}", "please tell me {0} plus {1}", "give me {0} plus {1}", "take {0} and add {1}",
        "could you work out {0} plus {1}", "so what is {0} plus {1}",
    ),
    "difference": (
        "can you take {1} from {0}", "please tell me {0} minus {1}", "i want to know {0} minus {1}",
        "give me {0} minus {1}", "do you know {0} minus {1}", "what is {0} less {1}", "please subtract {1} from {0}",
        "could you work out {0} minus {1}", "how much does {0} minus {1} make",
    ),
    "product": (
        "can you multiply {0} by {1}", "please tell me {0} times {1}", "i want to know {0} times {1}",
        "give me {0} times {1}", "do you know {0} times {1}", "could you work out {0} times {1}",
        "how much do {0} times {1} make", "{0} multiplied by {1}",
    ),
    "opposite": (
        "can you tell me the opposite of {0}", "i want to know the opposite of {0}", "name the opposite of {0}",
        "what would be the opposite of {0}", "please say the opposite of {0}", "which is the opposite of {0}",
        "what word means the opposite of {0}", "so what is the opposite of {0}",
    ),
    "colour": (
        "can you tell me which colour {0} is", "i want to know which colour {0} has", "give me a colour for {0}",
        "please say which colour {0} is", "of what colour is {0}", "which colour does {0} have",
        "so which colour is {0}", "what colour would {0} be",
    ),
    "after": (
        "can you tell me what comes after {0}", "i want to know what comes after {0}", "say what comes after {0}",
        "which comes next after {0}", "what comes right after {0}", "and what comes after {0}",
        "please say what follows {0}",
    ),
    "before": (
        "can you tell me what comes before {0}", "i want to know what comes before {0}", "say what comes before {0}",
        "what came before {0}", "please say what is before {0}", "which comes just before {0}",
        "so what comes before {0}",
    ),
    "count": (
        "could you find out how many {0}", "i would like to know how many {0}", "do you remember how many {0}",
        "so how many {0}", "i ask you how many {0}", "please answer, how many {0}",
    ),
    "young": (
        "can you tell me what a young {0} is called", "i want to know what a young {0} is called",
        "please tell me the name of a young {0}", "how do you call a young {0}", "say what a baby {0} is called",
        "do you know the word for a young {0}", "give me the name of a baby {0}",
    ),
    "noise": (
        "can you tell me what a {0} does", "i want to know how a {0} sounds", "what is the noise of a {0}",
        "please tell me which noise a {0} makes", "say what sound a {0} makes", "do you know the sound of a {0}",
        "give me the noise of a {0}",
    ),
    "talk": ("now, {0}", "oh, {0}", "yes, {0}", "and {0}", "{0} my friend", "right, {0}", "hey, {0}"),
}  # fmt: skip
"""Phrasings that only the ear is trained on: people ask aloud in more ways than they write. None of them is one that is
held out."""

SHARD = 100
TAKES = 2
"""Recordings of each speech."""
VOICE_SHARD, VOICE_TAKES = 40, 4
"""The same of what the voice itself says."""
EMPTY_SHARD = 400
SHARES = {"published": 0.25, "phrased": 0.5, "unknown": 0.07, "repeat": 0.08, "nothing": 0.1}
ROWS_A_SECOND = 13
FILLER = engine_tokenizer().encode("a?")[1]
"""The token in the place of which the thinker, as it was trained, is confused least by rows that say nothing."""

LONGEST = 7.9
"""Seconds: the audio encoder's attention goes through windows of eight."""

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
    """What is said, "" where nobody says anything, and what is to be answered."""

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
        return Spoken(nonsense(rng), UNKNOWN)
    if sort == "repeat":
        some = [rng.choice(words) for _ in range(rng.randint(1, 4))]
        asked = repetition(rng.choice([" ".join(some), grammatical(rng), shuffled(rng)]).replace(",", ""))
        return Spoken(rng.choice(asked.trained()).replace(":", ","), asked.answer)
    of_kind = rng.choices(kinds, [len(kind) ** 0.75 for kind in kinds])[0]
    asked = rng.choice(of_kind)
    forms = [*asked.trained(), *(form.format(*asked.slots) for form in ALOUD[asked.kind])]
    return Spoken(addressed(rng.choice(forms), rng), asked.answer)


def drawn_speaker(rng: np.random.Generator) -> Speaker:
    """Half of the time one of the voice's two, else anyone between and about them but for what is left out."""
    if rng.random() < 0.45:
        return SPEAKERS[int(rng.random() < 0.4)]
    while True:
        pitch = float(np.exp(rng.uniform(np.log(0.48), np.log(1.25))))
        if not LEFT_OUT[0] < pitch < LEFT_OUT[1]:
            formants = 0.86 + (pitch - 0.56) * 0.32 + rng.normal() * 0.04
            return Speaker("anyone", pitch, float(np.clip(formants, 0.8, 1.15)), 1.0)


@dataclass(frozen=True)
class Manner:
    """How something is said: `stretch` times as long as the teacher would, by whole code frames or freely, the whole
    then `speed` times as fast (and as high); `before` and `after`: seconds of silence."""

    stretch: float = 1.0
    on_grid: bool = True
    speed: float = 1.0
    before: float = 0.2
    after: float = 0.4


def drawn_manner(rng: np.random.Generator) -> Manner:
    """Any of those that are trained on."""
    return Manner(
        stretch=float(rng.uniform(0.85, 1.45)),
        on_grid=bool(rng.random() < 0.55),
        speed=float(rng.uniform(0.92, 1.1)),
        before=float(rng.uniform(0.0, 0.9)),
        after=float(rng.uniform(0.05, 0.9)),
    )


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
    total = max(manner.before + len(samples) / RATE + manner.after, (len(rows) + 1) / ROWS_A_SECOND)
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
    tokens[: len(rows)] = rows
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
        manner = replace(manner, speed=other.speed, before=other.before, after=other.after)
        clip = make_clip(said, speech, manner, drawn_surroundings(rng), seed * TAKES + take, others)
        if clip is not None:
            yield clip


def _babblers(seed: int) -> np.ndarray:
    """Half a minute of sentences at 16 kHz, for others to babble with."""
    rng, draws = random.Random(seed), np.random.default_rng(seed)
    made = (voiced(grammatical(rng).replace(",", ""), drawn_speaker(draws), Manner(), seed) for _ in range(12))
    return np.concatenate([soxr.resample(one.samples, SAMPLE_RATE, RATE) for one in made if one is not None])


def make_voice_clips(directory: Path, speech: Path, count: int, seed: int) -> None:
    """Let the voice itself ask `count` questions, both speakers, and record each `VOICE_TAKES` times. Nobody knows when
    its words begin, so these clips teach answers alone. Finished shards are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    model, rng = omniggml.load(speech, mmproj=False, n_threads=1), random.Random(seed)
    known = set(answer_texts())
    listed = [said for said in plan(4 * count, seed) if said.answer in known and said.text][:count]
    for start in range(0, len(listed), VOICE_SHARD):
        path = directory / f"voice-{start // VOICE_SHARD:04d}.npz"
        if path.exists():
            continue
        clips: list[Clip] = []
        draws = np.random.default_rng(seed + start)
        for number, said in enumerate(listed[start : start + VOICE_SHARD]):
            speaker = SPEAKERS[rng.randrange(len(SPEAKERS))].name
            samples = model.speak(said.text, speaker=speaker, seed=start + number, max_frames=150).samples
            clips += (clip for _ in range(VOICE_TAKES) if (clip := _voice_clip(said, samples, draws)) is not None)
        if clips:  # a voice that isn't trained never ends
            save_clips(path, clips)
        log.info("voice clips %s made", path.name)


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
