"""Draws the cases of every part: once those that are frozen, and others by another seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import audio_edits, code_arrangements, file_faults, healthy, reported
from .arithmetic import effect
from .evidence import given
from .frozen import BF16, FAINT, INAUDIBLE, SUBJECTS, Case, seed_of
from .mistake import Mistake
from .voices import FRAMES, TEXTS, Unseen

N_VOCODER, N_TALKER, N_FILES = 85, 40, 15  # of each subject
N_AUDIO, N_CODES = 70, 50
N_PAIRS = 50  # of each subject

Salt = tuple[str, ...]
"""() for the cases that are frozen, a word for others."""


def all_cases(subjects: Unseen) -> Iterator[Case]:
    """Those that are frozen."""
    for subject in SUBJECTS:
        yield from _vocoders(subjects, subject, N_VOCODER)
        yield from _pairs(subjects, subject, N_PAIRS)
        yield from _talkers(subjects, subject, N_TALKER)
        yield from _files(subjects, subject, N_FILES)
    yield from _audio(N_AUDIO)
    yield from _codes(subjects, N_CODES)
    yield from reported.cases()
    yield from healthy.cases()


def drawn_anew(subjects: Unseen, word: str, parts: tuple[str, ...], n: int) -> Iterator[Case]:
    """`n` others of each of these parts, half of them in each subject where a part has both; `word` is their seed."""
    salt = (word,)
    of_subject = {"vocoder": _vocoders, "pairs": _pairs, "talker": _talkers, "file": _files}
    for part in parts or (*of_subject, "audio", "codes", "healthy audio"):
        if part in of_subject:
            for subject in SUBJECTS:
                yield from of_subject[part](subjects, subject, n // len(SUBJECTS), salt)
        elif part == "audio":
            yield from _audio(n, salt)
        elif part == "codes":
            yield from _codes(subjects, n, salt)
        elif part == "healthy audio":
            yield from healthy.audio(n, salt)


def _vocoders(subjects: Unseen, subject: str, n: int, salt: Salt = ()) -> Iterator[Case]:
    grammar = subjects.grammar(subject)
    yield from _ported(subjects, "vocoder", subject, n, lambda rng: (grammar.draw(rng),), INAUDIBLE, salt)


def _pairs(subjects: Unseen, subject: str, n: int, salt: Salt = ()) -> Iterator[Case]:
    yield from _ported(subjects, "pairs", subject, n, subjects.grammar(subject).draw_pair, BF16, salt)


def _ported(
    subjects: Unseen,
    part: str,
    subject: str,
    n: int,
    draw: Callable[[Any], tuple[Mistake, ...]],
    most: float,
    salt: Salt,
) -> Iterator[Case]:
    """Nothing is drawn twice, and nothing whose effect can't be asked for: above `most` dB."""
    rng, seen = np.random.default_rng(seed_of(part, subject, *salt)), set()
    while len(seen) < n:
        mistakes, text = draw(rng), int(rng.integers(len(TEXTS)))
        name = " | ".join(mistake.name for mistake in mistakes)
        sound, codes = subjects.sound(subject, text), subjects.said(subject, text).codes
        worst = max(effect(sound, subjects.vocoder(subject).decode(codes, mistake)) for mistake in mistakes)
        if name not in seen and worst < most:
            seen.add(name)
            yield Case(_name(part, subject, name, salt), part, subject, text, seed_of(name, *salt), mistakes, {}, worst)


def _name(part: str, subject: str, name: str, salt: Salt) -> str:
    return " ".join((f"{part}/{subject}/{name}", *salt))


def _talkers(subjects: Unseen, subject: str, n: int, salt: Salt = ()) -> Iterator[Case]:
    """Those that say something else than the sound port with the same seed. `nats`: how likely the sound port finds
    that; `sound`: and what it says itself."""
    rng, seen = np.random.default_rng(seed_of("talker", subject, *salt)), set()
    grammar, port = subjects.talker_grammar(subject), subjects.talker(subject)
    while len(seen) < n:
        mistake, text = grammar.draw(rng), int(rng.integers(len(TEXTS)))
        seed = seed_of(mistake.name, *salt)
        right, sound = subjects.spoken_by_port(subject, text, seed)
        request = subjects.request(subject, text)
        codes = port.speak(request, seed, FRAMES[subject], mistake)
        if mistake.name in seen or codes.shape[1] < 4 or np.array_equal(codes, right):
            continue
        nats = port.likelihood(request, codes)
        if sound - nats > FAINT or mistake.kind in ("end", "sampling"):
            seen.add(mistake.name)
            detail = {"nats": round(nats, 3), "sound": round(sound, 3)}
            name = _name("talker", subject, mistake.name, salt)
            yield Case(name, "talker", subject, text, seed, (mistake,), detail)


def _files(subjects: Unseen, subject: str, n: int, salt: Salt = ()) -> Iterator[Case]:
    """Files alone, one family after the other."""
    rng = np.random.default_rng(seed_of("file", subject, *salt))
    families = file_faults.mistakes(subjects.file(subject))
    if subject != "voice":
        del families["noise"]  # which random weights are anyway
    for i in range(n):
        family = families[list(families)[i % len(families)]]
        mistake = family.pop(rng.integers(len(family)))
        if not family:
            del families[next(name for name, some in families.items() if some is family)]
        seed = seed_of(mistake.name, *salt)
        yield Case(_name("file", subject, mistake.name, salt), "file", subject, 0, seed, (mistake,))


def _audio(n: int, salt: Salt = ()) -> Iterator[Case]:
    """Every edit once, then some again with other numbers."""
    rng = np.random.default_rng(seed_of("audio", *salt))
    edits = list(audio_edits.FAULTS.values())
    if salt:
        rng.shuffle(edits)  # type: ignore[arg-type]
    for i in range(n):
        edit = edits[i] if i < len(edits) else audio_edits.draw(rng)
        # Speech can be told from what is none only where it is speech.
        codes = i % 3 > 0
        subject = SUBJECTS[i % 4 == 3] if codes else "voice"
        mistake = Mistake(edit.name, "audio", edit.kind, ("audio",))
        name = _name("audio", subject, f"{edit.name} {i}", salt)
        detail = {"edit": edit.name, "codes": codes}
        yield Case(name, "audio", subject, int(rng.integers(len(TEXTS))), seed_of(name), (mistake,), detail)


def _codes(subjects: Unseen, most: int, salt: Salt = ()) -> Iterator[Case]:
    """Every arrangement once, then some again; none that changes nothing, as where two voices share their first
    codes."""
    rng = np.random.default_rng(seed_of("codes", *salt))
    left = list(code_arrangements.FAULTS.values())
    if salt:
        rng.shuffle(left)  # type: ignore[arg-type]
    n = 0
    while n < most:
        one = left.pop(0) if left else code_arrangements.draw(rng)
        subject, text = SUBJECTS[n % 4 == 3], int(rng.integers(len(TEXTS)))
        name = _name("codes", subject, f"{one.name} {n}", salt)
        mistake = Mistake(one.name, "codes", one.kind, ("codes",))
        detail = {"arrangement": one.name, "text": n % 3 > 0}
        case = Case(name, "codes", subject, text, seed_of(name), (mistake,), detail)
        changed = not np.array_equal(given(case, subjects)["codes"], subjects.said(subject, text).codes)
        if changed or one.kind == "text":
            n += 1
            yield case
