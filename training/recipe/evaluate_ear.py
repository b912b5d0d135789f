"""The model card's table of what the built-in voice hears, measured through the engine on the three GGUF files.

    python -m recipe.evaluate_ear VOICE-SPEECH.gguf [--only teacher/ ...] [--limit N] [--log FILE]

A question is right when the thinker's answer is right to the letter. Every answer, right or wrong, goes to the log.
"""

from __future__ import annotations

import argparse
import logging
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

import omniggml
from omniggml import TextOptions

from .acoustics import NOISES, RATE, Surroundings, noise, nothing_said, recorded
from .questions import all_questions
from .spoken import NOT_UNDERSTOOD, UNHEARD_SPEAKERS, Manner, Spoken, voiced
from .teacher import SAMPLE_RATE, SPEAKERS, Speaker

log = logging.getLogger(__name__)

QUIET = Surroundings()
PLACES = {
    "noise 20 dB": Surroundings("pink", 20.0),
    "noise 10 dB": Surroundings("pink", 10.0),
    "noise 5 dB": Surroundings("pink", 5.0),
    "a room": Surroundings("white", 35.0, echo=0.4, nearness=3.0),
    "a telephone": Surroundings("white", 30.0, band=(300.0, 3400.0)),
    "far and quiet": Surroundings("white", 20.0, echo=0.3, nearness=0.0, gain=0.06),
}
RATES = {"slower": Manner(stretch=1.4), "faster": Manner(stretch=0.9, speed=1.1), "freely": Manner(on_grid=False)}
WAITING = (0.2, 4.0)
"""Seconds between which the microphone is open before a question, and after it, in the rows that are about that."""
HUSHED = Surroundings("pink", 25.0)
LENGTHS = {"brief": (0.3, 1.0), "long": (10.0, 30.0)}
"""Seconds of noise."""
_SAMPLE = 100
"""Questions of a row that is not about all of them."""


@dataclass(frozen=True)
class Heard:
    """One row: how many questions were asked, and how many were answered rightly."""

    name: str
    asked: int
    right: int
    instead: Counter[str]

    @property
    def share(self) -> float:
        return self.right / max(1, self.asked)


Sounds = Iterator[tuple[Spoken, np.ndarray]]


class EarEvaluation:
    """A voice with an ear, and what to say to it."""

    def __init__(self, speech: Path, limit: int | None) -> None:
        self.model, self.limit = omniggml.load(speech, n_threads=1), limit

    def table(self) -> dict[str, Callable[[], Sounds]]:
        """Name of a row -> what is played to it."""
        published, unseen = _published(), _unseen()
        some, two = _sample(unseen), SPEAKERS
        rows: dict[str, Callable[[], Sounds]] = {
            "teacher/published": lambda: self._said(published, two, Manner(), QUIET),
            "teacher/published, unheard speakers": lambda: self._said(published, UNHEARD_SPEAKERS, Manner(), QUIET),
            "teacher/unseen phrasings": lambda: self._said(unseen, two, Manner(), QUIET),
            "teacher/unseen phrasings, unheard speakers": lambda: self._said(unseen, UNHEARD_SPEAKERS, Manner(), QUIET),
        }
        for speaker in UNHEARD_SPEAKERS:
            rows[f"teacher/{speaker.name}"] = lambda one=speaker: self._said(some, (one,), Manner(), QUIET)
        for name, place in PLACES.items():
            rows[f"teacher/{name}"] = lambda place=place: self._said(some, UNHEARD_SPEAKERS, Manner(), place)
        for name, manner in RATES.items():
            rows[f"teacher/{name}"] = lambda manner=manner: self._said(some, UNHEARD_SPEAKERS, manner, QUIET)
        for name, place in {"silence": QUIET, "noise": HUSHED}.items():
            for pace, manner in {"": Manner(), ", freely": RATES["freely"]}.items():
                rows[f"teacher/with {name} about it{pace}"] = lambda manner=manner, place=place: self._said(
                    some, UNHEARD_SPEAKERS, manner, place, waiting=True
                )
        for speaker in SPEAKERS:
            rows[f"voice/published, {speaker.name}"] = lambda one=speaker: self._by_voice(_sample(published), one.name)
            rows[f"voice/unseen phrasings, {speaker.name}"] = lambda one=speaker: self._by_voice(some, one.name)
        rows["nothing/silence"] = lambda: self._nothing("silence")
        for kind in NOISES[:-1]:
            rows[f"nothing/{kind}"] = lambda kind=kind: self._nothing(kind)
        rows["nothing/any"] = lambda: self._nothing("any")
        for name, seconds in LENGTHS.items():
            rows[f"nothing/{name}"] = lambda name=name, seconds=seconds: self._nothing(name, seconds)
        return rows

    def heard(self, name: str, sounds: Sounds) -> Heard:
        """Play it all."""
        asked, right, instead = 0, 0, Counter[str]()
        for said, samples in sounds:
            if self.limit is not None and asked >= self.limit:
                break
            answer = self.answer(samples)
            asked, right = asked + 1, right + (answer == said.answer)
            if answer != said.answer:
                instead[f"{said.text or name}: {answer}"] += 1
            log.info("%s | %s | %s | %s", "right" if answer == said.answer else "WRONG", name, said.text, answer)
        return Heard(name, asked, right, instead)

    def answer(self, samples: np.ndarray) -> str:
        """What the thinker writes."""
        part = {"type": "audio", "audio": samples, "sampling_rate": RATE}
        options = TextOptions(greedy=True, max_tokens=100)
        return "".join(self.model.stream_text([{"role": "user", "content": [part]}], options))

    def _said(
        self,
        texts: Sequence[Spoken],
        speakers: Sequence[Speaker],
        manner: Manner,
        place: Surroundings,
        waiting: bool = False,
    ) -> Sounds:
        """`waiting`: each with seconds of its own before and after it."""
        for number, said in enumerate(texts):
            speaker = replace(speakers[number % len(speakers)], loudness=0.5)
            if waiting:
                before, after = np.random.default_rng(1000 + number).uniform(*WAITING, 2)
                manner = replace(manner, before=float(before), after=float(after))
            speech = voiced(said.text, speaker, manner, number)
            if speech is None:
                continue
            samples = soxr.resample(speech.samples, SAMPLE_RATE * manner.speed, RATE)
            samples = np.pad(samples, (int(manner.before * RATE), int(manner.after * RATE))).astype(np.float32)
            yield said, recorded(samples, place, np.random.default_rng(number))

    def _by_voice(self, texts: Sequence[Spoken], speaker: str) -> Sounds:
        for said in texts:
            yield said, soxr.resample(self.model.speak(said.text, speaker=speaker).samples, SAMPLE_RATE, RATE)

    def _nothing(self, kind: str, seconds: tuple[float, float] = (0.5, 5.0)) -> Sounds:
        """Of `kind`, any noise where it names none."""
        for number in range(50):
            rng = np.random.default_rng(zlib.crc32(f"{kind} {number}".encode()))
            count = int(rng.uniform(*seconds) * RATE)
            if kind == "any":
                samples = nothing_said(rng)
            elif kind == "silence":
                samples = np.zeros(count, np.float32)
            else:
                sort = kind if kind in NOISES else str(rng.choice(NOISES[:-1]))
                samples = noise(sort, count, rng) * np.float32(10 ** rng.uniform(-4, -1))
            yield Spoken("", NOT_UNDERSTOOD), samples


def _published() -> list[Spoken]:
    return [Spoken(asked.plain, asked.answer) for asked in all_questions()]


def _unseen() -> list[Spoken]:
    return [Spoken(form, asked.answer) for asked in all_questions() for form in asked.unseen()]


def _sample(texts: Sequence[Spoken]) -> list[Spoken]:
    return random.Random(11).sample(list(texts), _SAMPLE)


def main() -> None:
    """Measure and print the rows asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of the names of rows")
    parser.add_argument("--limit", type=int, help="questions a row")
    parser.add_argument("--log", type=Path, help="where every answer is written")
    chosen = parser.parse_args()
    if chosen.log:
        logging.basicConfig(level=logging.INFO, format="%(message)s", filename=chosen.log)
    evaluation = EarEvaluation(chosen.speech, chosen.limit)
    instead: Counter[str] = Counter()
    print("| what is played | questions | right |\n|---|---|---|")
    for name, sounds in evaluation.table().items():
        if name.startswith(tuple(chosen.only) or ""):
            row = evaluation.heard(name, sounds())
            instead.update(row.instead)
            print(f"| {name} | {row.asked} | {row.share:.3f} |", flush=True)
    print("\nHeard wrong most often:")
    for what, times in instead.most_common(12):
        print(f"- {what} ({times})")


if __name__ == "__main__":
    main()
