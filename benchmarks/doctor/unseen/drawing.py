"""Draws the cases of every part, once."""

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


def all_cases(subjects: Unseen) -> Iterator[Case]:
    for subject in SUBJECTS:
        grammar = subjects.grammar(subject)
        yield from _ported(subjects, "vocoder", subject, N_VOCODER, lambda rng, g=grammar: (g.draw(rng),), INAUDIBLE)
        yield from _ported(subjects, "pairs", subject, N_PAIRS, grammar.draw_pair, BF16)
        yield from _talkers(subjects, subject)
        yield from _files(subjects, subject)
    yield from _audio()
    yield from _codes(subjects)
    yield from reported.cases()
    yield from healthy.cases()


def _ported(
    subjects: Unseen, part: str, subject: str, n: int, draw: Callable[[Any], tuple[Mistake, ...]], most: float
) -> Iterator[Case]:
    """Nothing is drawn twice, and nothing whose effect can't be asked for: above `most` dB."""
    rng, seen = np.random.default_rng(seed_of(part, subject)), set()
    while len(seen) < n:
        mistakes, text = draw(rng), int(rng.integers(len(TEXTS)))
        name = " | ".join(mistake.name for mistake in mistakes)
        sound, codes = subjects.sound(subject, text), subjects.said(subject, text).codes
        worst = max(effect(sound, subjects.vocoder(subject).decode(codes, mistake)) for mistake in mistakes)
        if name not in seen and worst < most:
            seen.add(name)
            yield Case(f"{part}/{subject}/{name}", part, subject, text, seed_of(name), mistakes, {}, worst)


def _talkers(subjects: Unseen, subject: str) -> Iterator[Case]:
    """Those that say something else than the sound port with the same seed. `nats`: how likely the sound port finds
    that; `sound`: and what it says itself."""
    rng, seen = np.random.default_rng(seed_of("talker", subject)), set()
    grammar, port = subjects.talker_grammar(subject), subjects.talker(subject)
    while len(seen) < N_TALKER:
        mistake, text = grammar.draw(rng), int(rng.integers(len(TEXTS)))
        seed = seed_of(mistake.name)
        right, sound = subjects.spoken_by_port(subject, text, seed)
        request = subjects.request(subject, text)
        codes = port.speak(request, seed, FRAMES[subject], mistake)
        if mistake.name in seen or codes.shape[1] < 4 or np.array_equal(codes, right):
            continue
        nats = port.likelihood(request, codes)
        if sound - nats > FAINT or mistake.kind in ("end", "sampling"):
            seen.add(mistake.name)
            detail = {"nats": round(nats, 3), "sound": round(sound, 3)}
            yield Case(f"talker/{subject}/{mistake.name}", "talker", subject, text, seed, (mistake,), detail)


def _files(subjects: Unseen, subject: str) -> Iterator[Case]:
    """Files alone, one family after the other."""
    rng = np.random.default_rng(seed_of("file", subject))
    families = file_faults.mistakes(subjects.file(subject))
    if subject != "voice":
        del families["noise"]  # which random weights are anyway
    for i in range(N_FILES):
        family = families[list(families)[i % len(families)]]
        mistake = family.pop(rng.integers(len(family)))
        if not family:
            del families[next(name for name, some in families.items() if some is family)]
        yield Case(f"file/{subject}/{mistake.name}", "file", subject, 0, seed_of(mistake.name), (mistake,))


def _audio() -> Iterator[Case]:
    """Every edit once, then some again with other numbers."""
    rng = np.random.default_rng(seed_of("audio"))
    edits = list(audio_edits.FAULTS.values())
    for i in range(N_AUDIO):
        edit = edits[i] if i < len(edits) else audio_edits.draw(rng)
        # Speech can be told from what is none only where it is speech.
        codes = i % 3 > 0
        subject = SUBJECTS[i % 4 == 3] if codes else "voice"
        mistake = Mistake(edit.name, "audio", edit.kind, ("audio",))
        name = f"audio/{subject}/{edit.name} {i}"
        detail = {"edit": edit.name, "codes": codes}
        yield Case(name, "audio", subject, int(rng.integers(len(TEXTS))), seed_of(name), (mistake,), detail)


def _codes(subjects: Unseen) -> Iterator[Case]:
    """Every arrangement once, then some again; none that changes nothing, as where two voices share their first
    codes."""
    rng = np.random.default_rng(seed_of("codes"))
    left = list(code_arrangements.FAULTS.values())
    n = 0
    while n < N_CODES:
        one = left.pop(0) if left else code_arrangements.draw(rng)
        subject, text = SUBJECTS[n % 4 == 3], int(rng.integers(len(TEXTS)))
        name = f"codes/{subject}/{one.name} {n}"
        mistake = Mistake(one.name, "codes", one.kind, ("codes",))
        detail = {"arrangement": one.name, "text": n % 3 > 0}
        case = Case(name, "codes", subject, text, seed_of(name), (mistake,), detail)
        changed = not np.array_equal(given(case, subjects)["codes"], subjects.said(subject, text).codes)
        if changed or one.kind == "text":
            n += 1
            yield case
