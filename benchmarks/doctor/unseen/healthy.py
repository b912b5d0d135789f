"""250 cases in which nothing is wrong, though something is unusual: no finding but a note is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import audio_edits
from .frozen import SUBJECTS, Case, seed_of
from .voices import TEXTS

# What was spoken, and what the person says was spoken.
SLIPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hello world, how are you today", ("hello world how are you today", "Hello world, how are you today?")),
    ("well, i think that is a good idea", ("well i think that is a good idea", "Well, I think thats a good idea.")),
    (
        "we have twenty two books on the shelf",
        ("we have 22 books on the shelf", "We have twenty-two books on the shelf"),
    ),
    (
        "she will come back at five, or at six",
        ("she will come back at 5, or at 6", "she will come back at five or at six"),
    ),
    (
        "the train, the bus and the car are late",
        ("the train the bus and the car are late", "The Train, The Bus and the Car are late"),
    ),
    (
        "please open the door and the window",
        ("please open the door  and the window", "please open the door and the windows"),
    ),
    ("it was a long day, but a good one", ("it was a long day but a good one", "it was a long day; but a good one!")),
    (
        "my mother and my father live in the city",
        ("my mother and my father live in the City.", "my mother and father live in the city"),
    ),
    ("do you know what time it is now", ("do you know what time it is now?", "do you know what time is it now")),
    ("three of them went home, one stayed", ("3 of them went home, 1 stayed", "three of them went home - one stayed")),
    (
        "there is nothing wrong with this sentence",
        ("theres nothing wrong with this sentence", "THERE IS NOTHING WRONG WITH THIS SENTENCE"),
    ),
    (
        "the sun is warm and the water is cold",
        ("the sun is warm and the water is cold...", "the sun is warm, and the water is cold"),
    ),
    ("he said yes, then he said no", ("he said yes then he said no", "he said: yes, then he said: no")),
    ("can you hear me, or is it too loud", ("can you hear me or is it too loud", "can you here me, or is it too loud")),
    ("a red flower and a blue flower", ("a red flower and a blue flower ", "a red flower & a blue flower")),
    ("thank you very much, see you soon", ("thank you very much see you soon", "thank you very much, see you soon :)")),
    (
        "this is the first part, this is the second",
        ("this is the first part this is the second", "this is the 1st part, this is the 2nd"),
    ),
    (
        "i am going to the market with my friend",
        ("I'm going to the market with my friend", "i am going to the market with my freind"),
    ),
    (
        "nobody knows why the light went out",
        ("nobody knows why the lights went out", "nobody knows, why the light went out"),
    ),
    ("one two three four five six", ("1 2 3 4 5 6", "one, two, three, four, five, six")),
)
POLICIES = ("f32", "f16", "bf16", "q8_0", "q6_k", "q4_k")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 0.1},
    {"temperature": 0.5},
    {"temperature": 0.8},
    {"temperature": 1.0},
    {"predictor_temperature": 0.5},
    {"top_k": 5},
    {"predictor_top_p": 0.95},
    {"greedy": True},
    {"repetition_penalty": 1.05},
)


def cases() -> Iterator[Case]:
    yield from audio(90)
    for i, (spoken, told) in enumerate(SLIPS):
        for n, slip in enumerate(told):
            detail = {"spoken": spoken, "told": slip, "audio": bool(n)}
            yield _case(f"texts/voice/{slip!r}", "texts", "voice", i % len(TEXTS), detail)
    yield from _engines()
    yield from _talk()
    yield from _files()


def _case(name: str, what: str, subject: str, text: int, detail: dict[str, Any]) -> Case:
    return Case(f"healthy {name}", f"healthy {what}", subject, text, seed_of(name), (), detail)


def audio(n: int, salt: tuple[str, ...] = ()) -> Iterator[Case]:
    """Every edit beside its codes and alone, then others at random."""
    rng, edits = np.random.default_rng(seed_of("healthy audio", *salt)), list(audio_edits.HEALTHY.values())
    if salt:
        rng.shuffle(edits)  # type: ignore[arg-type]
    for i in range(n):
        edit = edits[i % len(edits)] if i < 2 * len(edits) else audio_edits.draw(rng, True)
        codes = i < len(edits) or i % 2 == 0
        subject = SUBJECTS[i % 4 == 3] if codes else "voice"
        name = " ".join((f"audio/{subject}/{edit.name} {i}", *salt))
        yield _case(name, "audio", subject, int(rng.integers(len(TEXTS))), {"edit": edit.name, "codes": codes})


def _engines() -> Iterator[Case]:
    """Sound vocoders of other precisions."""
    for subject in SUBJECTS:
        for precision in ("bf16", "f16", "int8"):
            for text in range(5):
                name = f"engines/{subject}/{precision} {text}"
                yield _case(name, "engines", subject, text, {"precision": precision})


def _talk() -> Iterator[Case]:
    """Codes of the engine, however drawn, by either speaker, and of the sound port."""
    for subject in SUBJECTS:
        for i in range(28):
            detail = {"options": OPTIONS[i % len(OPTIONS)], "speaker": i // 14, "text": i % 3 > 0, "seed": 11 + i}
            yield _case(f"talk/{subject}/{i} {detail['options']}", "talk", subject, i % len(TEXTS), detail)
        for i in range(4):
            yield _case(f"talk/{subject}/port {i}", "talk", subject, i, {"port": True})


def _files() -> Iterator[Case]:
    """Policies: the file alone, and what an engine with that file says of a text, held against the first file."""
    for policy in POLICIES:
        yield _case(f"files/voice/{policy}", "files", "voice", 0, {"policy": policy, "as": "file"})
        for text in range(2):
            detail = {"policy": policy, "as": "engine"}
            yield _case(f"files/voice/{policy} speaks {text}", "files", "voice", text, detail)
    for policy in POLICIES[1:]:
        yield _case(f"files/mini/{policy}", "files", "mini", 0, {"policy": policy, "as": "file"})
    yield _case("files/voice/as it is", "files", "voice", 0, {"policy": "", "as": "file"})
    yield _case("files/mini/as it is", "files", "mini", 0, {"policy": "", "as": "file"})
    yield _case("files/voice/with codes and text", "files", "voice", 0, {"policy": "", "as": "engine"})
