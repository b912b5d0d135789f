"""Text as it is spoken."""

from __future__ import annotations

import importlib
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniggml.text.english import numbers
from omniggml.text.spans import sentences
from omniggml.text.spoken_english import spoken_text, write_out
from omniggml.text.transliteration import said_for

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


_PIECES = """$ \u00a3 \u20ac \u20b9 R$ USD . , : ; - \u2013 \u2212 + / ' " % ^ ~ # * = ( ) [ ] < > _ \u00b0 \u00b2
\u207b \u2044 \u2018 \u00bd a b k m M am pm e E T Z II XIV No. St. Jan March Mon km m/s kg ft in oz
0 00 1 007 5 10 99 1990s 1,000 31st 2025-09 1e9"""


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from([*_PIECES.split(), " ", " ", "\n"]), max_size=14).map("".join))
def test_no_figures_and_signs_end_a_text(text: str) -> None:
    """What a library doesn't take is said figure by figure: nothing that one raises gets out, and no figure is lost."""
    said = spoken_text(text)
    assert re.fullmatch(r"[a-z'.,?! ]*", said)
    assert spoken_text(said) == said
    assert said or not re.search(r"\d", text)


def test_nothing_that_a_library_raises_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one raises: the text is spoken, figure by figure where need be."""

    def fails(*_: object) -> str:
        raise RuntimeError("a library's own")

    monkeypatch.setattr(numbers, "_engine", lambda: SimpleNamespace(number_to_words=fails))
    monkeypatch.setitem(sys.modules, "anyascii", SimpleNamespace(anyascii=fails))
    monkeypatch.setitem(sys.modules, "sentencex", SimpleNamespace(segment=fails))
    said_for.cache_clear()
    assert spoken_text("$10.50 on May 21 at 7:05") == (
        "one zero dollars and five zero cents on may number two one at seven oh five"
    )
    assert write_out("one \u0436").left_out == "\u0436"
    assert sentences("One. Two.") == ["One. Two."]
    said_for.cache_clear()


def test_columns_are_apart() -> None:
    assert spoken_text("a\tb\t5") == "a, b, five"


@pytest.mark.parametrize("part", ["1+", "1-", "1,", "1/", "1x", "1 - ", "1--", "C2H5", "<b> ", "[1]"])
def test_no_pattern_is_tried_for_ever(part: str) -> None:
    """Four times the text may take four times the steps, and some; a pattern that counts in squares shows here."""
    assert spoken_text(part * 2000)


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
