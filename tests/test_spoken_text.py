"""Text as it is spoken."""

from __future__ import annotations

import importlib
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniggml.text.spoken_english import spoken_text

LINES = (Path(__file__).parent / "data" / "spoken_cases.tsv").read_text(encoding="utf-8").splitlines()
CASES = [line.split("\t") for line in LINES if not line.startswith("#")]


@pytest.mark.parametrize(("kind", "text", "said"), CASES, ids=[f"{kind}: {text[:30]}" for kind, text, _ in CASES])
def test_writes_out(kind: str, text: str, said: str) -> None:
    """Figures, signs and marks become words that can be said."""
    assert spoken_text(text.replace(r"\n", "\n").replace(r"\\", "\\")) == said


def test_the_table_is_large_enough_to_mean_something() -> None:
    assert len(CASES) >= 200
    assert len({text for _, text, _ in CASES}) == len(CASES)


@given(st.text())
def test_leaves_only_what_the_voice_knows(text: str) -> None:
    """Whatever comes in, only letters, apostrophes and four marks go out, and a second pass changes nothing."""
    said = spoken_text(text)
    assert re.fullmatch(r"[a-z'.,?! ]*", said)
    assert spoken_text(said) == said


def test_what_the_voice_was_trained_on_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published lists, and sentences that the recipe draws, in words as they are."""
    training = Path(__file__).parent.parent / "training"
    monkeypatch.syspath_prepend(str(training))
    recipe = importlib.import_module("recipe.sentences")
    names = ("demo_sentences", "unseen_sentences", "unseen_orders", "unseen_words")
    texts = [line for name in names for line in (training / "lists" / f"{name}.txt").read_text().splitlines()]
    rng = random.Random(1)
    texts += [recipe.punctuated(recipe.grammatical(rng), rng) for _ in range(1000)]
    texts += [recipe.shuffled(rng) for _ in range(1000)]
    assert len(texts) > 2000
    assert [text for text in texts if spoken_text(text) != text.rstrip(",")] == []
