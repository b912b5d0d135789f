"""Text goes in while it is written, audio comes out while it is spoken: the same as of the whole text at once."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import pytest

import omniggml
from omniggml import Audio, InputError, Model, SpeechOptions
from omniggml.coming_text import ComingSpan, ComingText
from omniggml.in_turn import Planned
from omniggml.text.spans import SpansInTurn
from omniggml.text.spoken_english import plain_text, spoken_text, write_out
from parity.files import ModelFiles
from processes import ROUNDS


@pytest.fixture(scope="module")
def model(model_files: ModelFiles) -> Model:
    speech, thinker = model_files.gguf("odd", "f32")
    return omniggml.load(speech, thinker=thinker, n_threads=1)


def cut(text: str, rng: random.Random, longest: int) -> Iterator[str]:
    while text:
        size = rng.randint(1, longest)
        yield text[:size]
        text = text[size:]


def fed(text: str, coming: ComingText, rng: random.Random, longest: int = 4) -> list[list[int]]:
    """The tokens of the spans; what was given on once must stay."""
    before: list[list[int]] = []
    for part in cut(text, rng, longest):
        coming.feed(part)
        now = [list(span.tokens) for span in coming.spans]
        for old, new in zip(before, now, strict=False):
            assert new[: len(old)] == old
        before = now
    coming.finish()
    assert all(span.pause is not None for span in coming.spans)
    return [span.tokens for span in coming.spans]


def same(one: Audio, other: Audio) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.samples, other.samples)
    assert one.stop_reason == other.stop_reason


# --- text -------------------------------------------------------------------------------------------------------------

_WORDS = """the a cat sat don't it's I'll NASA Mr. end. yes! no? 3 42 1,000 $5.50 3:30 pm 10 km/h May 4, 2020 5%
e.g. (so) - ... ' " \u00e9 e\u0301 \u0130 \u4f60\u597d \uff0c \U0001f600 \u0e2a\u0e27"""
_PIECES = [*_WORDS.split(), "\n", "\n\n", "  ", "\t"]


@pytest.mark.parametrize("seed", range(40))
def test_tokens_of_a_text_that_comes_are_those_of_the_whole(model: Model, seed: int) -> None:
    rng = random.Random(seed)
    encode = model.tokenizer.encode
    for _ in range(25):
        text = "".join(rng.choice(_PIECES) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 25)))
        wanted = [encode(span.text) for span in SpansInTurn(text, lambda part: len(encode(part)), 10**6, "auto")]
        assert fed(text, ComingText(encode, 10**6), rng) == wanted, repr(text)
        assert fed(text, ComingText(encode, 10**6, "never"), rng) == [encode(text)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_out_is_that_of_the_whole(voice: Model, seed: int) -> None:
    rng = random.Random(seed)

    def encode(text: str) -> list[int]:
        return voice.tokenizer.encode(voice.written_out(text))

    for _ in range(10):
        text = "".join(rng.choice(_PIECES) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 20)))
        assert fed(text, ComingText(encode, 10**6, "never", written_out=True), rng, 9) == [encode(text)], repr(text)


def test_words_are_given_on_as_they_come(model: Model) -> None:
    coming = ComingText(model.tokenizer.encode, 100)
    coming.feed("one two thr")
    assert coming.spans[0].text == "one two" and coming.held_back == " thr"
    coming.feed("ee. Fo")
    assert coming.spans[0].text == "one two three"
    written = ComingText(model.tokenizer.encode, 100, written_out=True)
    written.feed("we had one two three four")
    assert written.spans[0].text == "we had one", "two words more have to be seen, and the end of the second"
    written.feed(" five 6")
    assert written.spans[0].text == "we had one two three", "a figure may change its neighbours"


def test_a_long_text_is_spoken_in_spans_of_sentences(model: Model) -> None:
    sentences = ["one two three four.", "five six.", "seven eight nine ten one two.", "three."]
    encode = model.tokenizer.encode
    longest = len(encode(" ".join(sentences[:2])))
    coming = ComingText(encode, longest)
    assert fed(" ".join(sentences), coming, random.Random(1)) == [
        encode(" ".join(sentences[:2])),
        encode(sentences[2]),
        encode(sentences[3]),
    ] or [span.text for span in coming.spans] == [" ".join(sentences[:2]), " ".join(sentences[2:])]
    alone = ComingText(encode, 1000, "sentence")
    fed(" ".join(sentences), alone, random.Random(2))
    assert [span.text for span in alone.spans] == sentences
    tight = ComingText(encode, len(encode("one two three")))
    fed("one two three four five six", tight, random.Random(3))
    assert all(len(span.tokens) <= len(encode("one two three")) for span in tight.spans)
    assert " ".join(span.text for span in tight.spans) == "one two three four five six"


def test_what_is_no_text_is_refused_before_anything_looks_at_it(voice: Model) -> None:
    """Half of a surrogate pair, a zero byte; what was fed before stays."""
    with voice.speaking(max_frames=2) as speaking:
        speaking.feed("one ")
        for part in ("a\ud800b", "\ude00", "a\0b"):
            with pytest.raises(InputError, match=r"the text to speak (?:is not valid Unicode|holds a zero byte)"):
                speaking.feed(part)
        speaking.feed("two")
        speaking.finish()
        assert Audio.join(list(speaking)).segments[0].text == "one two"


def test_letters_without_a_sound_are_named(voice: Model) -> None:
    """In one warning, as `speak` does; where nothing is left to say, in the refusal."""
    with voice.speaking(max_frames=2) as speaking:
        for part in ("one \u4f60", "\u597d two", " \u4f60"):
            speaking.feed(part)
        with pytest.warns(UserWarning, match="no sounds for '\u4f60'.*'\u597d'") as warned:
            speaking.finish()
        assert len(warned) == 1
    with voice.speaking() as speaking:
        speaking.feed("\u4f60\u597d")
        with pytest.raises(InputError, match="there is no text to speak: this voice has no sounds for '\u4f60'"):
            speaking.finish()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_ssml_is_refused_while_it_is_written(voice: Model, size: int) -> None:
    document = " <speak>one<break time='300ms'/>two</speak>"
    with voice.speaking() as speaking, pytest.raises(InputError, match="SSML can't be spoken while it is written"):
        for at in range(0, len(document), size):
            speaking.feed(document[at : at + size])
    with voice.speaking(ssml=False, max_frames=2) as speaking:
        speaking.feed(document)
        speaking.finish()
        assert Audio.join(list(speaking)).segments


def test_a_token_is_decoded_once_however_many_came_before(voice: Model) -> None:
    class Counting:
        decoded = 0

        def encode(self, text: str, /) -> list[int]:
            return voice.tokenizer.encode(text)

        def decode(self, tokens: Sequence[int], /) -> str:
            self.decoded += len(tokens)
            return voice.tokenizer.decode(tokens)

    words, vocabulary = "the caf\u00e9 by the river was late \U0001f600. " * 30, Counting()
    ids = voice.tokenizer.encode(words)
    coming = ComingText(voice.tokenizer.encode, 60, vocabulary=vocabulary)
    for token in ids:
        coming.feed_tokens([token])
    coming.finish()
    assert "".join(span.text for span in coming.spans).replace(" ", "") == words.replace(" ", "")
    assert vocabulary.decoded < 10 * len(ids)


@pytest.mark.parametrize("longest", [12, 20, 40])
def test_what_is_read_together_is_fed_to_one_span(voice: Model, longest: int) -> None:
    """A sentence that is too long is cut as in the whole where nothing of it was given on, never within a figure."""
    encode = voice.tokenizer.encode

    def tokens(text: str) -> list[int]:
        return encode(voice.written_out(text))

    text = "On March 3, 2020 it was -5 \u00b0C, and 7,512.30 people saw that it cost $1,234,567.89 a day."
    coming = ComingText(tokens, longest, written_out=True, said=voice.written_out)
    spans = [
        span.text for span in SpansInTurn(text, lambda part: len(tokens(part)), longest, "auto", voice.written_out)
    ]
    assert fed(text, coming, random.Random(longest), 40) == [tokens(span) for span in spans]
    assert [span.text for span in coming.spans] == spans
    text = "we saw in the old house by the river that " + text.removeprefix("On ")
    begun = ComingText(tokens, longest, written_out=True, said=voice.written_out)
    fed(text, begun, random.Random(longest), 40)
    said = " ".join(voice.written_out(span.text) for span in begun.spans)
    assert re.findall("[a-z]+", said) == re.findall("[a-z]+", voice.written_out(text))


@pytest.mark.parametrize("longest", [30, 60])
@pytest.mark.parametrize(
    "text",
    [
        "**Important: we saw it. It was late** and cold. > 5 people came there and went.",
        "# Title\n\n- one item here\n- [x] two items there\n\nText with `code and. more code` here.",
        "Use <b>bold text. And more text</b> here and there again and again. The end.",
        "We went up the old hill and saw one dog. It **barked. And we** went home.",
    ],
)
def test_markup_is_taken_out_of_the_whole(text: str, longest: int) -> None:
    """Whatever spans its ends are in."""

    def tokens(text: str) -> list[int]:
        return list(spoken_text(text).encode())

    def said(text: str) -> str:
        return write_out(text).text

    coming = ComingText(tokens, longest, written_out=True, plain=plain_text, said=said)
    fed(text, coming, random.Random(longest), 9)
    assert all(len(span.tokens) <= longest for span in coming.spans)
    assert "star" not in " ".join(span.text for span in coming.spans)
    words = " ".join(spoken_text(span.text) for span in coming.spans)
    assert re.findall("[a-z]+", words) == re.findall("[a-z]+", spoken_text(text))


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    "text",
    [
        "Hello there.\n\nHow are you?\n\n\n\nFine, thanks. And you?",
        "the first paragraph without a mark\n\nthe second one of three\n \nthe third",
        "Two roads diverged in a wood,\nAnd sorry I could not travel both\nAnd long I stood\n\nand looked\ndown one",
        "Dear Bob,\n\nhere is my list:\n\n- milk and bread from the shop\n- eggs\n\nThanks,\nAlice",
        "We were wrapped here by a hand that had no room for more of the old infor-\nmation and went on.\n\nThe end.",
        "name,age\nBob,25\n\nName    Age\nBob     25\n\nit is over",
    ],
)
def test_paragraphs_that_come_are_those_of_the_whole(text: str, size: int) -> None:
    """Each a span of its own, with the longer pause behind it, and its lines read as in the whole."""

    def tokens(text: str) -> list[int]:
        return list(spoken_text(text).encode())

    def said(text: str) -> str:
        return write_out(text).text

    wanted = list(SpansInTurn(plain_text(text), lambda part: len(tokens(part)), 1000, "auto", said))
    coming = ComingText(tokens, 1000, written_out=True, plain=plain_text, said=said)
    assert fed(text, coming, random.Random(size), size) == [tokens(span.text) for span in wanted]
    assert len(wanted) > 1 and [span.pause for span in coming.spans] == [span.pause for span in wanted]


# Markup, figures, signs, marks and letters that nothing is said for, and sentences that are too long for a span.
_WORDS_AND_SIGNS = """the a cat sat garden red said or and so it big yes. no? May 3 7:05 5 km/h $5.50 2020 it's dog,
town. home! # ## - * > `x` **so** &amp; &amp;amp; \u4f60\u597d ... -- \\# _a_ <b>bold</b> 1. 2) I'll which when
said; (so) Mr."""
_HOSTILE = [*_WORDS_AND_SIGNS.split()]
_FOUND = [
    "- # five",
    "* * two",
    "`# five`",
    "\\# five",
    "a &amp;amp; b",
    "one\ntwo,",
    "- one,\n- two,\n- three,\n",
    "The cat sat\non the mat,",
    "7:05 said or garden red or so it big yes. May red and said",
    "The cat went on to the old town. # 5 was closed. We all went home then. ## Heading again. > quoted later in it",
    "One two. \u4f60\u597d. Three four.",
]


def _hostile(rng: random.Random) -> str:
    between = [" "] * 12 + ["\n", "\n\n", "  ", ",\n", "\t"]
    return "".join(rng.choice(_HOSTILE) + rng.choice(between) for _ in range(rng.randint(1, 60)))


def _coming_spans(voice: Model, parts: Iterable[str], options: SpeechOptions) -> list[ComingSpan]:
    coming = voice._coming(options)[1]
    for part in parts:
        coming.feed(part)
    coming.finish()
    return coming.spans


def _letters_said(voice: Model, spans: Sequence[ComingSpan | Planned]) -> str:
    return re.sub("[^a-z]", "", "".join(voice.tokenizer.decode(span.tokens) for span in spans))


def _fed_says_the_same(voice: Model, text: str, options: SpeechOptions, size: int) -> None:
    """In one go the same spans with the same silence between them; in pieces the same words, however they are cut."""
    whole = voice._planned(voice._passages(text, None), options).all()
    at_once = _coming_spans(voice, [text], options)
    if not whole:
        assert not any(span.tokens for span in at_once), repr(text)
        return
    wanted = [(span.text.strip(), span.tokens) for span in whole]
    assert [(span.text.strip(), span.tokens) for span in at_once] == wanted, repr(text)
    assert [span.pause for span in at_once[:-1]] == [span.pause for span in whole[:-1]], repr(text)
    bits = _coming_spans(voice, (text[at : at + size] for at in range(0, len(text), size)), options)
    assert _letters_said(voice, bits) == _letters_said(voice, whole), repr(text)
    assert all(span.tokens and span.pause is not None for span in bits), repr(text)


@pytest.mark.parametrize("text", _FOUND)
@pytest.mark.parametrize("split", ["auto", "sentence"])
@pytest.mark.parametrize("longest", [None, 12, 40])
def test_what_was_said_otherwise_when_fed(
    voice: Model, text: str, split: Literal["auto", "sentence"], longest: int | None
) -> None:
    _fed_says_the_same(voice, text, SpeechOptions(split=split, longest_span=longest), 1)


@pytest.mark.parametrize("seed", range(10))
def test_hostile_texts_are_those_of_the_whole(voice: Model, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(12):
        text = _hostile(rng)
        if rng.random() < 0.5:
            text = re.sub(r"[#*`>&\\_<]", "", text)  # without markup it is spoken while it comes
        options = SpeechOptions(split=rng.choice(["auto", "sentence"]), longest_span=rng.choice([None, 12, 20, 200]))
        _fed_says_the_same(voice, text, options, rng.choice([1, 3, 9, 30]))


@pytest.mark.parametrize("seed", range(8))
def test_a_text_that_is_given_as_it_is_is_that_of_the_whole(model: Model, seed: int) -> None:
    """Its spaces and lines, too, in one go; in parts all its letters, however it is cut."""
    rng = random.Random(seed)
    encode, decode = model.tokenizer.encode, model.tokenizer.decode
    for _ in range(40):
        text = "".join(rng.choice(_PIECES) + rng.choice(["", " ", " "]) for _ in range(rng.randint(1, 50)))
        longest, split, size = rng.choice([12, 20, 40, 200]), rng.choice(["auto", "sentence"]), rng.choice([1, 3, 9])
        spans_of_it = SpansInTurn(text, lambda part: len(encode(part)), longest, split)
        whole = [tokens for span in spans_of_it if (tokens := encode(span.text))]
        at_once = ComingText(encode, longest, split)
        at_once.feed(text)
        at_once.finish()
        assert [span.tokens for span in at_once.spans] == (whole or [[]]), repr(text)
        spans = fed(text, ComingText(encode, longest, split), rng, size)
        assert "".join("".join(map(decode, spans)).split()) == "".join("".join(map(decode, whole)).split()), repr(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("word and 3. " * 3333, 10**6),
        ("The cat sat on the mat in the old house and looked at a dog. " * 330, 10**6),
        ("The cat sat on the mat in the old house and looked at a dog. " * 330, 1),
        ("x" * 16_000, 1),
        ("!" * 16_000, 1),
        ("! " * 3000, 10**6),
        ("a\n" * 8000, 1),
        ("Hi.\n\n" * 8000, 10**6),
        ("--\n\n" * 4000, 1),
    ],
)
def test_a_long_text_takes_time_in_proportion(voice: Model, text: str, size: int) -> None:
    """The first took 10 s, the second 2 s, the word by its letters 8 s; now a tenth of a second or two."""
    start = time.process_time()
    _coming_spans(voice, (text[at : at + size] for at in range(0, len(text), size)), SpeechOptions())
    assert time.process_time() - start < 1.5


# --- speech -----------------------------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize("longest", [1, 3, 100])
def test_it_sounds_as_the_whole_text(model: Model, longest: int) -> None:
    rng = random.Random(longest)
    for text, seed in ((TEXT, 1), ("one", 2), (" one, two.  ", 3)):
        with model.speaking(seed=seed, max_frames=60) as speaking:
            for part in cut(text, rng, longest):
                speaking.feed(part)
            speaking.finish()
            same(Audio.join(list(speaking)), Audio.join(list(model.stream(text, seed=seed, max_frames=60))))
            assert speaking.ended and speaking.read() is None


def test_the_built_in_voice_sounds_as_the_whole_text(voice: Model) -> None:
    text = "There were 12 cats and 3 dogs in the old house by the river. All of them slept."
    with voice.speaking(seed=3, max_frames=80, split="never") as speaking:
        for word in text.split(" "):
            speaking.feed(f"{word} ")
        speaking.finish()
        said = Audio.join(list(speaking))
    same(said, Audio.join(list(voice.stream(text + " ", seed=3, max_frames=80, split="never"))))


def test_a_text_of_many_sentences_sounds_as_the_whole(voice: Model) -> None:
    text = "The cat sat on the mat. A dog ran up the hill. We saw a bird and a fish. It was late, and we went home."
    whole = Audio.join(list(voice.stream(text, seed=3, longest_span=40, max_frames=400)))
    assert len(whole.segments) > 1
    for options in ({}, {"max_frames": 400}):
        with voice.speaking(seed=3, longest_span=40, **options) as speaking:
            for word in text.split(" "):
                speaking.feed(f"{word} ")
            speaking.finish()
            said = Audio.join(list(speaking))
        assert [segment.text for segment in said.segments] == [segment.text for segment in whole.segments]
        same(said, whole)


def test_audio_comes_while_text_does(model: Model) -> None:
    with model.speaking(seed=1, ignore_eos=True, max_frames=40) as speaking:
        assert speaking.read(0.05) is None and not speaking.ended
        speaking.feed("one two three four five six ")
        first = speaking.read(20)
        assert first is not None and first.codes.shape[1] == 2 and not speaking.ended
        speaking.feed("seven")
        speaking.finish()
        with pytest.raises(omniggml.InputError, match="the text of this speech is finished"):
            speaking.feed("more")
        assert sum(piece.codes.shape[1] for piece in speaking) == 38
        times = speaking.timings()
        assert times.frames == 40 and times.first > 0


_SOUNDLESS = ["--", "...", "\u2022", "\u4f60\u597d", "\u200b", "?"]


@pytest.mark.parametrize("split", ["auto", "sentence", "never"])
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.filterwarnings("ignore:this voice has no sounds")
def test_what_has_no_sounds_is_passed_over_wherever_it_is(
    voice: Model, size: int, split: Literal["auto", "sentence", "never"]
) -> None:
    rng = random.Random(size)
    for _ in range(6):
        parts = ["Hi.", rng.choice(_SOUNDLESS), rng.choice(_SOUNDLESS), "Two three four.", rng.choice(_SOUNDLESS)]
        rng.shuffle(parts)
        text = "".join(part + rng.choice(["\n\n", " "]) for part in parts)
        whole = voice.stream(text, split=split, max_frames=30, seed=2)
        with voice.speaking(split=split, max_frames=30, seed=2) as speaking:
            for part in cut(text, rng, size):
                speaking.feed(part)
            speaking.finish()
            same(Audio.join(list(speaking)), Audio.join(list(whole)))
            assert speaking.ended


def test_what_goes_wrong_while_it_is_fed_ends_it(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it for ever."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    for wrong in ("feed", "finish"):
        with model.engine(slots=1) as engine:
            speaking = engine.begin(max_frames=8)
            speaking.feed("one two ")
            with monkeypatch.context() as patched:
                patched.setattr(ComingText, wrong, broken)
                with pytest.raises(ZeroDivisionError):
                    speaking.feed("three") if wrong == "feed" else speaking.finish()
            assert speaking.ended and speaking.read() is None and engine.drain(10)


def test_ids_that_there_are_not_change_nothing(model: Model) -> None:
    tokens = model.tokenizer.encode(TEXT)
    with model.speaking(seed=1, max_frames=40) as speaking:
        for wrong in ([10**9], [-1], [*tokens[:1], 10**6]):
            with pytest.raises(InputError):
                speaking.feed_tokens(wrong)
        speaking.feed_tokens([])
        speaking.feed_tokens(tokens)
        with pytest.raises(InputError, match="has to be tokens"):
            speaking.feed(" more")
        speaking.finish()
        same(Audio.join(list(speaking)), Audio.join(list(model.stream(TEXT, seed=1, max_frames=40))))
    with model.speaking(seed=1, max_frames=40) as speaking:
        speaking.feed(TEXT)
        with pytest.raises(InputError, match="was fed text"):
            speaking.feed_tokens(tokens)
        speaking.finish()
        same(Audio.join(list(speaking)), Audio.join(list(model.stream(TEXT, seed=1, max_frames=40))))


def test_nothing_to_say(model: Model, voice: Model) -> None:
    for text in ("", "  "):
        with voice.speaking() as speaking:
            speaking.feed(text)
            with pytest.raises(omniggml.InputError, match="there is no text to speak"):
                speaking.finish()
            assert speaking.read() is None
    with pytest.raises(omniggml.InputError, match="SSML"):
        model.speaking(ssml=True)


def test_ctrl_c_while_it_is_read(model: Model) -> None:
    with model.speaking(ignore_eos=True, max_frames=4000) as speaking:
        speaking.feed(TEXT)
        speaking.finish()
        assert speaking.read() is not None
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        pieces: list[Audio] = []
        with pytest.raises(KeyboardInterrupt):
            pieces.extend(iter(speaking.read, None))
        pieces.extend(iter(speaking.read, None))
        assert speaking.ended and pieces[-1].stop_reason == "cancelled"


class _TimeLimit(Exception):
    pass


def _raise_time_limit(*_: object) -> None:
    raise _TimeLimit


@pytest.mark.parametrize("timeout", [0.05, None])
@pytest.mark.parametrize("fed", [False, True])
def test_what_a_signals_handler_raises_is_raised_by_the_read_that_it_interrupted(
    model: Model, timeout: float | None, fed: bool
) -> None:
    """No loop that asks whether it ended loses it, nor a single read of a speech that waits for its text."""
    before = signal.signal(signal.SIGUSR1, _raise_time_limit)
    try:
        with model.speaking(ignore_eos=True, max_frames=4000) as speaking:
            if fed:
                speaking.feed(TEXT)
                speaking.finish()
            threading.Timer(0.2, signal.raise_signal, [signal.SIGUSR1]).start()
            with pytest.raises(_TimeLimit):
                while not speaking.ended:
                    speaking.read(timeout)
            list(speaking)
            assert speaking.ended
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- engines ----------------------------------------------------------------------------------------------------------


def test_an_engine_speaks_for_many_coroutines(model: Model) -> None:
    texts = [" ".join(random.Random(seed).choices(TEXT.split(), k=6)) for seed in range(7)]
    wanted = [Audio.join(list(model.stream(text, seed=i, max_frames=50))) for i, text in enumerate(texts)]

    async def one(engine: omniggml.SpeechEngine, number: int, whole: bool) -> Audio:
        async with engine.begin(texts[number] if whole else None, seed=number, max_frames=50) as speaking:
            if not whole:
                for word in texts[number].split(" "):
                    speaking.feed(word if word == texts[number].split(" ")[0] else f" {word}")
                    await asyncio.sleep(0.001)
                speaking.finish()
            return Audio.join([piece async for piece in speaking])

    async def all_of_them() -> list[Audio]:
        with model.engine(slots=3, queue=8) as engine:
            return await asyncio.gather(*(one(engine, i, i % 2 == 0) for i in range(len(texts))))

    for said, whole in zip(asyncio.run(all_of_them()), wanted, strict=True):
        np.testing.assert_array_equal(said.codes, whole.codes)
        np.testing.assert_array_equal(said.samples, whole.samples)


@pytest.mark.parametrize("limit", [None, 1, 25, 70, 71, 10_000])
def test_spans_side_by_side_sound_as_one_after_another(voice: Model, limit: int | None) -> None:
    text = "The cat sat. A dog ran up the hill. We saw a bird.\n\nIt was late. We went home, and it rained. Good night!"
    options: omniggml.SpeechKeywords = {"split": "sentence", "seed": 4, "max_frames": limit}
    whole = Audio.join(list(voice.stream(text, **options)))
    with voice.engine(slots=4) as engine:
        said = engine.begin(text, **options)
        fed = engine.begin(**options)
        for letter in text:
            fed.feed(letter)
        fed.finish()
        for audio in (Audio.join(list(said)), Audio.join(list(fed))):
            same(audio, whole)
            assert audio.segments == whole.segments and audio.missing == whole.missing


def test_a_cancelled_task_frees_its_slot(model: Model) -> None:
    async def endless(engine: omniggml.SpeechEngine) -> None:
        async with engine.begin(TEXT, ignore_eos=True, max_frames=4000) as speaking:
            async for _ in speaking:
                pass

    async def run() -> None:
        with model.engine(slots=1, queue=1) as engine:
            task = asyncio.create_task(endless(engine))
            await asyncio.sleep(0.1)
            assert engine.speaking == 1
            async with engine.begin() as waiting:
                assert await waiting.aread(0.01) is None and not waiting.ended
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            async with engine.begin(TEXT, max_frames=8) as after:
                assert sum([piece.codes.shape[1] async for piece in after]) <= 8
            assert await engine.adrain(10)
            with pytest.raises(omniggml.BusyError):
                engine.begin(TEXT)

    for _ in range(ROUNDS):
        asyncio.run(run())


def test_an_engine_refuses_whom_it_has_no_room_for(model: Model) -> None:
    with model.engine(slots=1, queue=1) as engine:
        kept = []
        with pytest.raises(omniggml.BusyError, match="wait already"):
            for _ in range(4):
                kept.append(engine.begin(TEXT, ignore_eos=True, max_frames=4000))
        assert 2 <= len(kept) <= 3 and engine.slots == 1 and engine.waiting >= 1
        with pytest.raises(omniggml.InputError, match="no speaker"):
            engine.begin(TEXT, speaker="nobody")
        kept[0].cancel()
        said = Audio.join(list(kept[0]))
        assert said.stop_reason == "cancelled"
    for values in ({"slots": 0}, {"queue": -1}, {"slots": True}):
        with pytest.raises(omniggml.InputError):
            model.engine(**values)


_FORKS = """
import os, omniggml
model = omniggml.load()
engine = model.engine(slots=1)
speaking = engine.begin(max_frames=4, ignore_eos=True)
speaking.feed("one ")
if os.fork() == 0:
    for call in (lambda: speaking.feed("two"), speaking.finish):
        try:
            call()
        except omniggml.InputError as error:
            print("forked" in str(error), flush=True)
    raise SystemExit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]))
speaking.finish()
print(sum(piece.codes.shape[1] for piece in speaking))
"""


def test_a_forked_process_is_refused_and_ends_quietly() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.split(), done.stderr) == (["True", "True", "3", "4"], "")


def test_a_mixture_is_a_speaker(model: Model) -> None:
    one, other = model.speakers
    halves = model.speak("one two", speaker=f"{one.upper()}:1,{other}:1", seed=1, max_frames=30)
    assert not np.array_equal(halves.codes, model.speak("one two", speaker=one, seed=1, max_frames=30).codes)
    same(
        model.speak("one two", speaker=f"{one}:2", seed=1, max_frames=30),
        model.speak("one two", speaker=one, seed=1, max_frames=30),
    )
