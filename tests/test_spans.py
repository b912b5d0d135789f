"""Long texts into sentences and spans: what belongs together stays together, nothing is lost, no span is too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniggml.text.spans import PAUSE_PARAGRAPH, PAUSE_SENTENCE, SpansInTurn, sentences
from omniggml.text.spoken_english import spoken_text


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Smith met Mr. Jones at 5 p.m. on Friday. They talked.", 2),
        ("It costs 3.14 dollars. That is a lot.", 2),
        ('"Stop!" he said. "I will not go." She left.', 3),
        ('He asked, "Why not?" and left.', 1),
        ("See https://example.com/a.b?c=d. It is good.", 2),
        ("你好\u3002今天天气很好\uff01你呢\uff1f", 3),
        ("こんにちは\u3002元気ですか\uff1fはい\u3002", 3),
        ("no punctuation at all here just words", 1),
        ("The U.S. economy grew. It was 2.5 percent.", 2),
        ("We use e.g. apples, i.e. fruit, etc. for that.", 1),
        ("J. R. R. Tolkien wrote it. I read it.", 2),
        ("Version 2.0.1 is out. Get it at example.com. Now!", 3),
        ("1. First thing. 2. Second thing.", 2),
        ("What?! No way!! Really?", 3),
        ("hello there. how are you. i am fine.", 3),
        ("At 7 a.m. Mr. Brown woke. No. 5 was late.", 2),
        ("Add two Tbsp. sugar and 3 tsp. salt. Stir.", 2),
        ("He is 6 ft. tall. Apple Inc. (NASDAQ: AAPL) rose. It was 5 mi. Then we slept.", 4),
        ("", 0),
    ],
)
def test_sentences(text: str, count: int) -> None:
    found = sentences(text)
    assert len(found) == count, found
    assert squeezed("".join(found)) == squeezed(text)


def test_a_short_paragraph_is_one_span() -> None:
    """Whatever the text has room for: between paragraphs is a pause, unless nothing is to be split."""
    text = "One. Two.\n\nThree."
    spans = list(SpansInTurn(text, len, 100, "auto"))
    assert [(span.text, span.pause) for span in spans] == [("One. Two.", PAUSE_PARAGRAPH), ("Three.", 0.0)]
    assert [span.text for span in SpansInTurn(" One. Two.\n", len, 100, "auto")] == [" One. Two.\n"]
    assert [span.text for span in SpansInTurn(text, len, 1, "never")] == [text]
    assert [span.text for span in SpansInTurn(text, len, 100, "sentence")] == ["One.", "Two.", "Three."]


def test_sentences_are_put_together_up_to_the_longest_span() -> None:
    spans = list(SpansInTurn("One two. Three four. Five six. Seven eight.\n\nNine ten.", len, 22, "auto"))
    assert [span.text for span in spans] == ["One two. Three four.", "Five six. Seven eight.", "Nine ten."]
    assert [span.pause for span in spans] == [PAUSE_SENTENCE, PAUSE_PARAGRAPH, 0.0]
    assert PAUSE_PARAGRAPH > PAUSE_SENTENCE > 0


def test_long_sentences_are_cut_at_clauses() -> None:
    spans = list(
        SpansInTurn("the cat sat on the mat, and the dog ran in the garden, but nobody saw it", len, 40, "auto")
    )
    assert [span.text for span in spans] == [
        "the cat sat on the mat,",
        "and the dog ran in the garden,",
        "but nobody saw it",
    ]
    assert [span.pause for span in spans] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("text", ["word " * 600, "\u5b57" * 600, "a" * 600, "one, " * 300])
def test_600_words_without_an_end(text: str) -> None:
    """Words are kept whole where there are any, and no piece is a remnant."""
    spans = list(SpansInTurn(text, len, 50, "auto"))
    assert squeezed("".join(span.text for span in spans)) == squeezed(text)
    sizes = [len(span.text) for span in spans]
    assert max(sizes) <= 50 and min(sizes) >= 15
    if " " in text:
        assert {word.rstrip(",") for span in spans for word in span.text.split()} == {text.split()[0].rstrip(",")}


WORDS = st.sampled_from(
    ["a", "word", "Dr.", "5.5", "e.g.", "and", "end.", "what?", "no!", "x,", "\n", "\n\n", "1.", '"', "\u3002", "字"]
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=60).map(" ".join), st.integers(1, 40), st.sampled_from(["auto", "sentence"]))
def test_nothing_is_lost(text: str, longest: int, split: str) -> None:
    spans = list(SpansInTurn(text, len, longest, split))
    assert squeezed("".join(span.text for span in spans)) == squeezed(text)
    assert all(len(span.text) <= longest or not span.text.strip() for span in spans)


def length(text: str) -> int:
    return len(spoken_text(text))


@pytest.mark.parametrize(
    ("text", "longest", "spans"),
    [
        ("7,512.30 points", 30, ["seven thousand, five hundred", "and twelve point three zero", "points"]),
        ("On March 3, 2020 it was -5 °C.", 30, ["On March 3, 2020", "it was", "-5 °C."]),
    ],
)
def test_what_is_read_together_is_never_cut(text: str, longest: int, spans: list[str]) -> None:
    """What has to be cut even so is cut between the words that are said for it."""
    assert [span.text for span in SpansInTurn(text, length, longest, "auto", spoken_text)] == spans


FIGURES = st.sampled_from(
    [
        "7,512.30",
        "$1,234,567.89",
        "-5",
        "°C",
        "March",
        "3,",
        "2020",
        "it",
        "was",
        "example.com/red?x=12",
        "km",
        "1/2",
        "and",
    ]
)


@settings(deadline=None, max_examples=50)
@given(st.lists(FIGURES, min_size=1, max_size=12).map(" ".join), st.integers(12, 60))
def test_spans_say_what_the_whole_says(text: str, longest: int) -> None:
    spans = list(SpansInTurn(text, length, longest, "auto", spoken_text))
    said = " ".join(spoken_text(span.text) for span in spans)
    assert re.findall("[a-z]+", said) == re.findall("[a-z]+", spoken_text(text))
    assert all(length(span.text) <= longest for span in spans)


def test_a_long_text_is_looked_at_while_it_is_asked_for() -> None:
    """Its beginning costs what a short one does, and what was not asked for is told without looking at it."""
    looked_at: list[str] = []

    def length(part: str) -> int:
        looked_at.append(part)
        return len(part)

    for between in (" ", "\n\n"):
        looked_at.clear()
        text = between.join(f"This is sentence {n}." for n in range(2000))
        spans = SpansInTurn(text, length, 60, "auto")
        first = next(spans).text
        assert len(looked_at) < 10
        assert f"{first} {spans.rest()}".split() == text.split() and spans.more
        assert " ".join([first, *(span.text for span in spans)]).split() == text.split()
        assert not spans.more and spans.rest() == ""
