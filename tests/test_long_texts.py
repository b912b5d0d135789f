"""Texts of any length, with the built-in voice: spoken in spans, each as if it were alone, without a seam."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import omniggml
from omniggml import InputError
from omniggml.text.spans import PAUSE_PARAGRAPH, PAUSE_SENTENCE

TEXT = "The cat sleeps. The dog runs in the garden and the bird sings.\n\nGood night!"


@pytest.fixture(scope="module")
def voice() -> omniggml.Model:
    return omniggml.load(device="cpu", n_threads=1)


@pytest.fixture(scope="module")
def spoken(voice: omniggml.Model) -> omniggml.Audio:
    return voice.speak(TEXT, split="sentence")


def test_each_span_is_a_speech_of_its_own(voice: omniggml.Model, spoken: omniggml.Audio) -> None:
    """Same seed, same speaker: a segment holds the samples of its sentence spoken alone."""
    texts = ["The cat sleeps.", "The dog runs in the garden and the bird sings.", "Good night!"]
    assert [segment.text for segment in spoken.segments] == texts
    for segment in spoken.segments:
        alone = voice.speak(segment.text)
        assert np.array_equal(spoken.samples[segment.start : segment.end], alone.samples)
        assert segment.stop_reason == alone.stop_reason == "eos"
    assert spoken.stop_reason == "eos" and spoken.missing == ""
    assert spoken.segments[-1].end == len(spoken.samples)


def test_a_paragraph_ends_with_a_longer_pause(spoken: omniggml.Audio) -> None:
    """The quiet end of a span and the silence behind it add up to what the rule says, or more where a span ends so."""
    for (one, following), wanted in zip(
        itertools.pairwise(spoken.segments), (PAUSE_SENTENCE, PAUSE_PARAGRAPH), strict=True
    ):
        gap = spoken.samples[one.end : following.start]
        assert not gap.any()
        said = spoken.samples[one.start : following.start]
        loud = np.flatnonzero(np.abs(said) > 0.0178 * np.abs(said).max())[-1]
        quiet = (len(said) - 1 - loud) / spoken.sample_rate
        assert quiet >= wanted - 1e-9
        assert not len(gap) or quiet < wanted + 0.011


def test_short_paragraphs_have_a_pause_between_them(voice: omniggml.Model) -> None:
    """Though one span has room for both, whether they are given whole or come."""
    text = "Hello.\n\nGood night!"
    whole = voice.speak(text)
    with voice.speaking() as speaking:
        for letter in text:
            speaking.feed(letter)
        speaking.finish()
        came = omniggml.Audio.join(list(speaking))
    assert np.array_equal(came.samples, whole.samples) and came.segments == whole.segments
    one, other = whole.segments
    assert (one.text, other.text) == ("Hello.", "Good night!")
    said = whole.samples[one.start : other.start]
    loud = np.flatnonzero(np.abs(said) > 0.0178 * np.abs(said).max())[-1]
    assert len(said) - 1 - loud >= PAUSE_PARAGRAPH * whole.sample_rate - 1e-9
    assert len(voice.speak(text, split="never").segments) == 1


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_streaming_is_the_same(voice: omniggml.Model, spoken: omniggml.Audio, chunk: int | None) -> None:
    pieces = list(voice.stream(TEXT, split="sentence", chunk_frames=chunk))
    joined = omniggml.Audio.join(pieces)
    assert np.array_equal(joined.samples, spoken.samples) and np.array_equal(joined.codes, spoken.codes)
    assert joined.segments == spoken.segments
    assert [piece.stop_reason for piece in pieces] == [""] * (len(pieces) - 1) + ["eos"]


def test_a_batch_is_the_same(voice: omniggml.Model, spoken: omniggml.Audio) -> None:
    one, other = voice.speak_batch([TEXT, "Hello."], split="sentence")
    # Rounding may choose other fine codes in a batch; the first ones, and so the lengths, are the same.
    assert np.array_equal(one.codes[0], spoken.codes[0]) and one.segments == spoken.segments
    assert len(one.samples) == len(spoken.samples)
    assert [segment.text for segment in other.segments] == ["Hello."]


@pytest.mark.parametrize("limit", [3, 20, 60, 10_000])
def test_a_limit_is_for_all_spans(voice: omniggml.Model, spoken: omniggml.Audio, limit: int) -> None:
    """What a limit cuts is named; what comes before it is the same."""
    cut = voice.speak(TEXT, split="sentence", max_frames=limit)
    assert cut.codes.shape[1] == min(limit, spoken.codes.shape[1])
    last = cut.segments[-1]
    assert np.array_equal(cut.samples[: last.end], spoken.samples[: last.end])
    batched = voice.speak_batch([TEXT], split="sentence", max_frames=limit)[0]
    assert np.array_equal(batched.codes[0], cut.codes[0]) and len(batched.samples) == len(cut.samples)
    assert (batched.segments, batched.missing, batched.stop_reason) == (cut.segments, cut.missing, cut.stop_reason)
    if limit < spoken.codes.shape[1]:
        assert cut.stop_reason == last.stop_reason == "frame_limit"
        rest = " ".join(segment.text for segment in spoken.segments[len(cut.segments) :])
        assert cut.missing == rest
    else:
        assert cut.stop_reason == "eos" and cut.missing == ""


def test_a_text_that_fits_is_spoken_as_it_always_was(voice: omniggml.Model) -> None:
    """One speech of the engine over the tokens of the whole text."""
    text = "the cat sleeps. good night!"
    conversation = voice._conversation([{"role": "user", "content": ""}])
    tokens = voice.tokenizer.encode(text)
    assert len(tokens) <= voice.longest_span
    whole = omniggml.Audio.join(list(voice.stream_answer(conversation, tokens)))
    for options in ({}, {"split": "never"}):
        audio = voice.speak(text, **options)
        assert np.array_equal(audio.samples, whole.samples) and len(audio.segments) == 1


def test_the_voice_says_how_long_it_is_good_for(voice: omniggml.Model) -> None:
    """Its file has the key, no span is longer, and the caller can choose another length."""
    text = " ".join(["The dog runs in the garden."] * 8)
    spans = [segment.text for segment in voice.speak(text, greedy=True).segments]
    assert len(spans) > 2
    assert all(len(voice.tokenizer.encode(span.lower())) <= voice.longest_span for span in spans)
    assert len(voice.speak(text, greedy=True, longest_span=10_000, max_frames=20).segments) == 1
    assert voice.metadata["qwen3omni-speech.longest_span"] == voice.longest_span


def test_a_text_longer_than_the_context_is_refused_where_it_is_not_split(voice: omniggml.Model) -> None:
    with pytest.raises(InputError, match='let it be split with split="auto"'):
        voice.stream("a word " * 3000, split="never")


def test_what_has_no_sounds_is_named_once(voice: omniggml.Model) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        voice.speak("hello 你 and 你好. good night.", max_frames=2, split="sentence")
    assert [str(one.message) for one in caught] == [
        "this voice has no sounds for '你' (cjk unified ideograph-4f60), '好' (cjk unified ideograph-597d); "
        "they are left out"
    ]


def test_a_sentence_of_nothing_is_passed_over(voice: omniggml.Model) -> None:
    with pytest.warns(UserWarning, match="no sounds"):
        audio = voice.speak("Hello. 你好。 Good night.", split="sentence", max_frames=60)
    assert [segment.text for segment in audio.segments] == ["Hello.", "Good night."]


def test_subtitles(spoken: omniggml.Audio, tmp_path: object) -> None:
    srt, vtt = spoken.subtitles("srt").splitlines(), spoken.subtitles("vtt").splitlines()
    assert srt[0] == "1" and srt[2] == "The cat sleeps." and srt[1].startswith("00:00:00,000 --> 00:00:0")
    assert vtt[:3] == ["WEBVTT", "", "1"] and "," not in vtt[3]
    seconds = [float(time[6:].replace(",", ".")) for time in srt[1].split(" --> ")]
    assert abs(seconds[1] - spoken.segments[0].end / spoken.sample_rate) < 1e-3
    with pytest.raises(InputError, match="srt or vtt"):
        spoken.subtitles("ass")


def test_bad_options(voice: omniggml.Model) -> None:
    for options, part in (({"split": "words"}, "auto, sentence, never"), ({"longest_span": 0}, "longest_span")):
        with pytest.raises(InputError, match=part):
            voice.speak("hello", **options)


def test_a_long_answer_is_spoken_in_spans(voice: omniggml.Model) -> None:
    """And one that fits as the tokens that the thinker wrote."""
    words: list[str] = []
    reply = voice.stream_chat("what is the capital of france", written=words.append)
    assert reply.text == "".join(words) and len(words) > 1
    audio = omniggml.Audio.join(list(reply.pieces))
    assert [segment.text for segment in audio.segments] == [reply.text]
    short = omniggml.Audio.join(list(voice.stream_chat("what is the capital of france", longest_span=8).pieces))
    assert len(short.segments) > 1
    assert " ".join(segment.text for segment in short.segments) == reply.text


def test_what_is_written_out_is_what_would_be_spoken(voice: omniggml.Model) -> None:
    """With its warnings, and of SSML as `speak` reads it."""
    assert voice.written_out("5 kg - 3 kg = 2 kg") == "five kilograms minus three kilograms equals two kilograms"
    ssml = '<speak>x<break/>5 kg <say-as interpret-as="digits">-12.5</say-as></speak>'
    assert voice.written_out(ssml) == "x five kilograms minus one two point five"
    assert voice.written_out(ssml, ssml=False) != voice.written_out(ssml)
    with pytest.warns(UserWarning, match="no sounds for '\u4f60'"):
        assert voice.written_out("hello \u4f60") == "hello"
    with pytest.raises(InputError, match="zero byte"):
        voice.written_out("a\0")
