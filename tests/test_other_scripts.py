"""Nothing of a text is lost without a word: what can't be said is named."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniggml.text.spoken_english import plain_text, write_out
from omniggml.text.transliteration import said_for
from omniggml.text.written import warning_of

LINES = (Path(__file__).parent / "data" / "many_scripts.txt").read_text(encoding="utf-8").splitlines()
TEXTS = [line.replace(r"\n", "\n") for line in LINES if not line.startswith("#")]


def lost(text: str) -> set[str]:
    """Letters and signs of which nothing is said and nobody is told."""
    plain = plain_text(text)
    written = write_out(plain)
    told = set(written.left_out)
    found = set()
    for letter in plain:
        if (
            letter in told
            or letter.lower() in told
            or unicodedata.category(letter)[0] not in "LNS"
            or unicodedata.category(letter) == "Sk"
        ):
            continue
        if letter.isnumeric() and written.text:
            continue
        # A Greek letter by itself is a sign, and called by its name.
        name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
        if name.startswith("GREEK") and name.split()[-1].lower().replace("lamda", "lambda") in written.text:
            continue
        said = letter.lower() if letter.isascii() else said_for(letter)
        # Figures and signs are words by then; of letters, each one is there.
        if said is None or (said.isalpha() and not set(said.lower()) <= set(written.text)):
            found.add(letter)
        if unicodedata.category(letter)[0] != "L" and not written.text:
            found.add(letter)
    return found


def test_there_are_enough() -> None:
    assert len(TEXTS) >= 50


@pytest.mark.parametrize("text", TEXTS)
def test_said_or_named(text: str) -> None:
    assert lost(text) == set()
    written = write_out(plain_text(text))
    assert written.text or written.left_out


@given(st.text(st.characters(categories=["L"]), min_size=1))
def test_any_letter_is_said_or_named(text: str) -> None:
    assert lost(text) == set()


def test_the_warning_names_a_few() -> None:
    assert (
        warning_of("\u4f60") == "this voice has no sounds for '\u4f60' (cjk unified ideograph-4f60); they are left out"
    )
    assert warning_of("\u4f60\u597d\u5929\u5730\u4eba\u53e3\u624b").endswith(" and 2 more; they are left out")
