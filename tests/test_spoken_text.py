"""Text as it is spoken."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniggml.text.spoken_english import spoken_text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello, World!", "hello, world!"),
        ("3 + 4 = 7", "three plus four equals seven"),
        ("It's 21 degrees.", "it's twenty one degrees."),
        ("10 - 3", "ten minus three"),
        ("on the 3rd of May in 1984", "on the third of may in nineteen eighty four"),
        ("1,250 people", "one thousand, two hundred and fifty people"),
        ("$5.20 & £1", "five dollars twenty and one pound"),
        ("at 7:05", "at seven oh five"),
        ("at 7:30!", "at seven thirty!"),
        ("3.5%", "three point five percent"),
        ("Café \u2014 déjà vu…", "cafe, deja vu."),
        ("\u201cDon\u2019t\u201d (she said)", "don't, she said"),
        ("wait... what?!", "wait. what?"),
        ("你好", ""),
        (
            "1234567890123456789",
            "one two three four five six seven eight nine zero one two three four five six seven eight nine",
        ),
    ],
)
def test_writes_out(text: str, said: str) -> None:
    """Figures, signs and marks become words that can be said."""
    assert spoken_text(text) == said


@given(st.text())
def test_leaves_only_what_the_voice_knows(text: str) -> None:
    """Whatever comes in, only letters, apostrophes and four marks go out, and a second pass changes nothing."""
    said = spoken_text(text)
    assert re.fullmatch(r"[a-z'.,?! ]*", said)
    assert spoken_text(said) == said
