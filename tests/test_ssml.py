"""The few SSML tags that people use, read safely."""

from __future__ import annotations

import numpy as np
import pytest

import omniggml
from omniggml import InputError
from omniggml.text.ssml import Passage, is_ssml, passages_of


@pytest.mark.parametrize(
    ("document", "passages"),
    [
        ("<speak>hello</speak>", [Passage("hello")]),
        ('<speak>one<break time="500ms"/>two</speak>', [Passage("one", 0.5), Passage("two")]),
        ('<speak>one<break time="1.5s"/>two</speak>', [Passage("one", 1.5), Passage("two")]),
        ("<speak>one<break/>two</speak>", [Passage("one", 0.5), Passage("two")]),
        ('<speak>one<break strength="x-strong"/>two</speak>', [Passage("one", 1.2), Passage("two")]),
        ("<speak><p>one</p><p>two</p></speak>", [Passage("one", 0.8), Passage("two", 0.8)]),
        ("<speak><s>one</s> <s>two</s></speak>", [Passage("one", 0.4), Passage("two", 0.4)]),
        ('<speak><sub alias="doctor">Dr</sub> Brown</speak>', [Passage("doctor Brown")]),
        ('<speak><say-as interpret-as="characters">abc</say-as></speak>', [Passage("a b c")]),
        ('<speak><say-as interpret-as="ordinal">3</say-as> man</speak>', [Passage("3rd man")]),
        ('<speak><say-as interpret-as="ordinal">IV</say-as></speak>', [Passage("4th")]),
        ('<speak><say-as interpret-as="cardinal">XIV</say-as></speak>', [Passage("14")]),
        ('<speak>call <say-as interpret-as="telephone">911</say-as></speak>', [Passage("call 9 1 1")]),
        ('<say-as interpret-as="telephone">+1 (555) 0199</say-as>', [Passage("plus 1, 5 5 5, 0 1 9 9")]),
        ('<say-as interpret-as="date" format="dmy">03/04/2025</say-as>', [Passage("April 3, 2025")]),
        ('<say-as interpret-as="date" format="mdy">03/04/2025</say-as>', [Passage("March 4, 2025")]),
        ('<say-as interpret-as="date" format="my">3-2025</say-as> on', [Passage("March 2025 on")]),
        ('<speak>in <say-as interpret-as="date">2025-01-02</say-as></speak>', [Passage("in 2025-01-02")]),
        ('<speak xmlns="http://www.w3.org/2001/10/synthesis">a &amp; b &lt; c</speak>', [Passage("a & b < c")]),
        ("no root<break time='1s'/> at all", [Passage("no root", 1.0), Passage("at all")]),
        ('<?xml version="1.0"?><speak>x</speak>', [Passage("x")]),
    ],
)
def test_passages(document: str, passages: list[Passage]) -> None:
    assert passages_of(document) == passages


def test_other_tags_are_named() -> None:
    with pytest.warns(UserWarning, match="change nothing here: emphasis, prosody"):
        assert passages_of('<speak><prosody rate="slow"><emphasis>a</emphasis> b</prosody></speak>') == [Passage("a b")]


@pytest.mark.parametrize(
    ("document", "words", "named"),
    [
        ('a<break time="1s"/>', "a", "a break behind the last word"),
        ('<break time="1s"/>a', "a", "a break before the first word"),
        ('<say-as interpret-as="date" format="mdy">31/12/2025</say-as>', "31/12/2025", 'say-as format="mdy"'),
        ('<say-as interpret-as="time" format="hms12">3:30</say-as>', "3:30", 'say-as format="hms12"'),
        ('<say-as interpret-as="expletive">x</say-as>', "x", 'say-as interpret-as="expletive"'),
    ],
)
def test_what_changes_nothing_is_named(document: str, words: str, named: str) -> None:
    with pytest.warns(UserWarning, match=f"change nothing here: {named}"):
        assert [passage.text for passage in passages_of(document)] == [words]


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ("<speak>unclosed", "can't be read"),
        ("<speak><p>a</s></speak>", "can't be read"),
        ('<!DOCTYPE s [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><speak>&c;</speak>', "document type|can't be read"),
        ("<speak>&nothing;</speak>", "can't be read"),
        ('<speak><break time="long"/></speak>', "expected one such as 500ms"),
        ('<speak><break time="90s"/></speak>', "longer than 60 s"),
        ('<speak><break strength="huge"/></speak>', "strength"),
        ("<speak>" + "<b>" * 100 + "x" + "</b>" * 100 + "</speak>", "deep"),
    ],
)
def test_refused(document: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        passages_of(document)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "http://www.w3.org/TR/speech-synthesis/synthesis.dtd">',
        "<?xml version='1.0'?>\n<!-- a note -->\n<!doctype speak>",
        '<!DOCTYPE speak [<!ENTITY a "b">]>\n',
    ],
)
def test_a_document_type_is_refused_and_not_read_aloud(prolog: str) -> None:
    document = f"{prolog}<speak>hello</speak>"
    assert is_ssml(document) and is_ssml("<!-- a note --><speak>hello</speak>")
    with pytest.raises(InputError, match=r"document type|can't be read"):
        passages_of(document)


@pytest.mark.parametrize("text", ["<!-- " * 5000, "<!--a-->" * 5000 + "<spea", "<!DOCTYPE " * 5000, "<?xml " * 5000])
def test_looking_for_a_root_takes_no_time(text: str) -> None:
    assert not is_ssml(text)


def test_entities_can_not_grow() -> None:
    """The document type is refused before any entity is resolved."""
    bomb = '<?xml version="1.0"?><!DOCTYPE speak [<!ENTITY a "' + "x" * 1000 + '"><!ENTITY b "' + "&a;" * 1000 + '">]>'
    with pytest.raises(InputError, match="document type"):
        passages_of(f"{bomb}<speak>&b;</speak>")


def test_only_a_root_or_a_wish_makes_it_ssml() -> None:
    assert is_ssml(" <speak>hello</speak>") and is_ssml("<speak/>")
    assert not is_ssml("<speaker>") and not is_ssml("he said <speak>")


def test_a_break_is_heard() -> None:
    """The silence that the voice leaves by itself counts."""
    voice = omniggml.load(device="cpu", n_threads=1)
    audio = voice.speak('<speak>hello<break time="2s"/>good night</speak>')
    one, other = audio.segments
    assert one.text == "hello" and other.text == "good night"
    assert 1.0 < (other.start - one.end) / audio.sample_rate <= 2.0
    assert np.array_equal(audio.samples[other.start :], voice.speak("good night").samples)
    plain = voice.speak("a <p>b</p>", ssml=False, max_frames=2)
    assert len(plain.segments) == 1
