"""Text as it is spoken."""

from __future__ import annotations

import importlib
import random
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniggml.text import spoken_english
from omniggml.text.spans import sentences
from omniggml.text.spoken_english import plain_text, spoken_text, write_out
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
    """Whatever stands beside a figure, it is said."""
    said = spoken_text(text)
    assert re.fullmatch(r"[a-z'.,?! ]*", said)
    assert spoken_text(said) == said
    assert said or not re.search(r"\d", text)


def test_nothing_that_a_library_raises_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one raises: the text is spoken."""

    def fails(*_: object) -> str:
        raise RuntimeError("a library's own")

    monkeypatch.setitem(sys.modules, "anyascii", SimpleNamespace(anyascii=fails))
    monkeypatch.setitem(sys.modules, "sentencex", SimpleNamespace(segment=fails))
    said_for.cache_clear()
    assert write_out("one \u0436").left_out == "\u0436"
    assert sentences("One. Two.") == ["One. Two."]
    said_for.cache_clear()


def test_columns_are_apart() -> None:
    assert spoken_text("a\tb\t5") == "a, b, five"


def test_no_rule_sees_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rules look at all that is before or behind what they find: they are given so much of a long text."""
    sizes: list[int] = []

    class Seen:
        def applied(self, text: str) -> str:
            sizes.append(len(text))
            return text

    seen = Seen()
    monkeypatch.setattr(spoken_english, "RULES", (seen,))
    monkeypatch.setattr(spoken_english, "OF_LETTERS", {seen})
    for part, most in (("Word and ", 1), ("One. ", 1), ("1,", 1), ("A\n", 1), ("A", 1), ("\u00bd", 8)):
        sizes.clear()
        write_out(part * 20_000)
        assert len(sizes) > 10 and max(sizes) <= most * spoken_english._LONGEST_PIECE


def test_pieces_say_what_the_whole_says() -> None:
    sentence = "On May 3, 2020 it was -5 \u00b0C, and 1,250 people paid $3.50 each at 7:05 pm. "
    assert spoken_text(sentence * 200) == " ".join([spoken_text(sentence)] * 200)


HOSTILE = """
1+ 1- 1, 1/ 1x 1\u00bd C2H5 a@ a. @a. [1] [^ [a]( [a][ ![ ` ``a `a` * *a **a __a _a ~~a <!-- <script> <b <b> </b> <s>!
<a\u2002b= <a\u2002b="c &a &# | |a \\* # > - -- --> "a, a;b \u00ad 00:00:00,000-->"""


@pytest.mark.parametrize(
    "part", [*HOSTILE.split(), *("1 - ", "<b> ", "- - ", "# a ", "a\tb ", "a-\n", "a\n", "a,b\n", "\n", "  ")]
)
def test_no_pattern_is_tried_for_ever(part: str) -> None:
    """Four times the text takes the processor about four times as long; where it is tried again from each letter,
    sixteen times, which is minutes."""
    part = part.replace("\u2002", " ")

    def seconds(letters: int) -> float:
        before = time.process_time()
        plain_text(part * (letters // len(part)))
        return time.process_time() - before

    assert seconds(100_000) < 10 * seconds(25_000) + 1
    assert "the end" in spoken_text(f"{part * 200} the end")


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
