"""Sentences to train on: of a grammar over the core words, of core words in any order, of any words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import inflect

LISTS = Path(__file__).parent.parent / "lists"

_SLOT = re.compile(r"\{(\w+)\}")
_BEFORE_VOWEL = re.compile(r"\b(a) (?=[aeio]|uncle|hour)")
_ENDS = ("", "", "", ".", ".", "?", "!")


@lru_cache(maxsize=1)
def core_words() -> dict[str, tuple[str, ...]]:
    """Part in the grammar -> words."""
    pairs = (line.split(": ", 1) for line in _lines("core_words"))
    return {name: tuple(words.split()) for name, words in pairs}


@lru_cache(maxsize=1)
def patterns() -> tuple[str, ...]:
    """Sentences with slots."""
    return tuple(_lines("patterns"))


def _lines(name: str) -> list[str]:
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Every core word once, sorted."""
    return tuple(sorted({word for words in core_words().values() for word in words}))


def grammatical(rng: random.Random) -> str:
    """One sentence of the grammar."""
    words = core_words()
    text = _SLOT.sub(lambda slot: _filled(slot[1], words, rng), rng.choice(patterns()))
    return _BEFORE_VOWEL.sub(r"\1n ", text)


def _filled(slot: str, words: dict[str, tuple[str, ...]], rng: random.Random) -> str:
    if slot in words:
        return rng.choice(words[slot])
    return _plural(rng.choice(words[slot.removesuffix("s")]))


@cache
def _plural(noun: str) -> str:
    return str(inflect.engine().plural_noun(noun))


def shuffled(rng: random.Random) -> str:
    """Core words in any order."""
    text = " ".join(rng.choice(vocabulary()) for _ in range(rng.randint(1, 8)))
    return text.replace(" ", ", ", 1) if rng.random() < 0.1 else text


def dictionary(rng: random.Random, words: Sequence[str]) -> str:
    """A sentence of the grammar in which most words of content are any words of the dictionary."""
    drawn = grammatical(rng).split()
    pieces = [rng.choice(words) if len(word) > 3 and rng.random() < 0.7 else word for word in drawn]
    return " ".join(pieces[: rng.randint(2, 10)])


def punctuated(text: str, rng: random.Random) -> str:
    """The text with or without a mark at its end."""
    return text.rstrip(",") + rng.choice(_ENDS)
