"""Draws the cases of every part, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import audio_edits, code_arrangements
from .arithmetic import effect
from .frozen import BF16, INAUDIBLE, SUBJECTS, Case, seed_of
from .mistake import Mistake
from .voices import TEXTS, Unseen

N_VOCODER, N_PAIRS, N_AUDIO, N_CODES = 100, 50, 60, 50


def all_cases(subjects: Unseen) -> Iterator[Case]:
    for subject in SUBJECTS:
        grammar = subjects.grammar(subject)
        yield from _ported(subjects, "vocoder", subject, N_VOCODER, lambda rng, g=grammar: (g.draw(rng),), INAUDIBLE)
        yield from _ported(subjects, "pairs", subject, N_PAIRS, grammar.draw_pair, BF16)
    yield from _audio()
    yield from _codes()


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


def _codes() -> Iterator[Case]:
    rng = np.random.default_rng(seed_of("codes"))
    arrangements = list(code_arrangements.FAULTS.values())
    for i in range(N_CODES):
        one = arrangements[i] if i < len(arrangements) else code_arrangements.draw(rng)
        subject = SUBJECTS[i % 4 == 3]
        name = f"codes/{subject}/{one.name} {i}"
        mistake = Mistake(one.name, "codes", one.kind, ("codes",))
        detail = {"arrangement": one.name, "text": i % 3 > 0}
        yield Case(name, "codes", subject, int(rng.integers(len(TEXTS))), seed_of(name), (mistake,), detail)
