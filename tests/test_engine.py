"""The engine: slots, queue, text as it comes, audio as it comes. Whatever else goes on, a speech sounds as it does
alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml import Model, _native
from parity.files import ModelFiles
from processes import ROUNDS

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture(scope="module")
def model(model_files: ModelFiles) -> Model:
    speech, thinker = model_files.gguf("odd", "f32")
    return omniggml.load(speech, thinker=thinker, n_threads=1)


@dataclass(frozen=True)
class Said:
    samples: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    stop_reason: str


@dataclass(frozen=True)
class Wish:
    """What one speech says."""

    text: tuple[int, ...]
    seed: int
    speaker: str
    user: str = ""
    max_frames: int = 40


def begin(model: Model, engine: _native.SpeechEngine, wish: Wish, **options: Any) -> _native.EngineSpeech:
    params = model._speech.default_params()
    params.seed, params.max_frames = wish.seed, wish.max_frames
    sampling = params.talker
    sampling.temperature, sampling.top_k = 3.0, 0
    params.talker = sampling
    return engine.begin(
        params,
        speaker=model._speaker(wish.speaker),
        **{
            "conversation": model._conversation([{"role": "user", "content": wish.user}]),
            "text": wish.text,
            **options,
        },
    )


def heard(speech: _native.EngineSpeech, pause: float = 0.0) -> Said:
    """All of it, by a listener who takes so many seconds over each piece."""
    samples, codes = [np.zeros(0, np.float32)], []
    while not speech.ended:
        piece = speech.read(20)
        assert piece is not None or speech.ended, "nothing came for long"
        if piece is not None:
            samples.append(piece[0])
            codes.append(piece[1])
        time.sleep(pause)
    return Said(np.concatenate(samples), np.concatenate(codes, axis=1), speech.stop_reason)


def alone(model: Model, wish: Wish) -> Said:
    return heard(begin(model, _native.SpeechEngine(model._speech, n_threads=1), wish))


def same(one: Said, other: Said) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.samples, other.samples)
    assert one.stop_reason == other.stop_reason


def wishes(model: Model, n: int, rng: random.Random) -> list[Wish]:
    return [
        Wish(
            tuple(model.tokenizer.encode(" ".join(rng.choices(WORDS, k=rng.randint(1, 12))))),
            rng.randrange(2**32),
            rng.choice(model.speakers),
            " ".join(rng.choices(WORDS, k=rng.choice([0, 0, 3, 40]))),
            rng.randint(0, 40),
        )
        for _ in range(n)
    ]


# --- what a batch computes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize("geometry", ["tiny", "grouped"])
def test_a_batch_computes_for_each_exactly_what_it_computes_alone(
    model_files: ModelFiles, geometry: str, type_: str
) -> None:
    speech = omniggml.load(model_files.gguf(geometry, type_)[0], n_threads=1)._speech
    rng = np.random.default_rng(0)
    hidden, groups = speech.talker_geometry["hidden_size"], speech.predictor_geometry["num_code_groups"]
    prompts = [rng.standard_normal((n, hidden), np.float32) for n in (3, 20, 9, 70)]
    codes = rng.integers(0, speech.predictor_geometry["vocab_size"], (12, 4, groups), np.int32)
    text = rng.standard_normal((12, 4, hidden), np.float32)
    # Who takes part changes from frame to frame, so that sequences move in the cache.
    parts = [[0, 1, 2, 3], [3], [1, 3], [0, 2], [2, 3, 0], [1], [3, 2, 1, 0], [2], [0, 3], [1, 2], [0, 1, 2, 3], [3, 1]]
    batch = _native.TalkerSession(speech, 4, 1, None)
    singles = [_native.TalkerSession(speech, 1, 1, None) for _ in prompts]
    for i, prompt in enumerate(prompts):
        batch.prompt(i, prompt)
        singles[i].prompt(0, prompt)
    for frame, part in enumerate(parts):
        logits, states = batch.frame(codes[frame, part], text[frame, part], sequences=part)
        predictor = _native.CodePredictorSession(speech, 4, 1, None)
        first = predictor.start(states, codes[frame, part, 0].tolist())
        for row, i in enumerate(part):
            own_logits, own_states = singles[i].frame(codes[frame, [i]], text[frame, [i]])
            np.testing.assert_array_equal(logits[row], own_logits[0])
            np.testing.assert_array_equal(states[row], own_states[0])
            own_predictor = _native.CodePredictorSession(speech, 1, 1, None)
            np.testing.assert_array_equal(first[row], own_predictor.start(own_states, [int(codes[frame, i, 0])])[0])


@pytest.mark.parametrize("type_", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize("geometry", ["tiny", "grouped"])
def test_prompts_that_are_read_at_once_are_what_they_are_alone(
    model_files: ModelFiles, geometry: str, type_: str
) -> None:
    """Those who wait for slots that become free at the same moment; not all are equally long."""
    model = omniggml.load(model_files.gguf(geometry, type_)[0], n_threads=1)
    users = ["", "", "one", "", "one", ""]
    wanted = [Wish((3, 4, 5, 6, 7, 8), i, model.speakers[-(i % 2)], user, 3) for i, user in enumerate(users)]
    expected = [alone(model, wish) for wish in wanted]
    for slots in (6, 3):
        engine = _native.SpeechEngine(model._speech, n_slots=slots, n_threads=1)
        resting = [endless(model, engine, piece_frames=[1], buffered_frames=1) for _ in range(slots)]
        assert all(speech.read(10) is not None for speech in resting)
        speeches = [begin(model, engine, wish) for wish in wanted]
        for speech in resting:
            speech.cancel()
        for speech, said in zip(speeches, expected, strict=True):
            same(heard(speech), said)


def test_frames_are_for_different_sequences_that_there_are(model: Model) -> None:
    session = _native.TalkerSession(model._speech, 2, 1, None)
    hidden, groups = model.geometry["talker"]["hidden_size"], model.geometry["code2wav"]["num_quantizers"]
    for i in range(2):
        session.prompt(i, np.zeros((2, hidden), np.float32))
    codes, text = np.zeros((2, groups), np.int32), np.zeros((2, hidden), np.float32)
    for sequences in ([0, 0], [0, 2], [-1, 0]):
        with pytest.raises(omniggml.InputError, match="different sequences from 0 to 1"):
            session.frame(codes, text, sequences=sequences)


@pytest.mark.parametrize("type_", ["f32", "f16", "bf16", "q8_0"])
def test_prompts_and_texts_are_the_same_in_parts(model_files: ModelFiles, type_: str) -> None:
    """Of two or more: a single one is computed in another order of sums, so nothing is ever given as one."""
    speech = omniggml.load(model_files.gguf("tiny", type_)[0], n_threads=1)._speech
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((90, speech.talker_geometry["hidden_size"]), np.float32)
    whole = _native.TalkerSession(speech, 1, 1, None).prompt(0, inputs)[0]
    tokens = rng.integers(0, 200, 60).tolist()
    for size in (2, 3, 5, 16, 44):
        session = _native.TalkerSession(speech, 1, 1, None)
        for at in range(0, 90, size):
            part = inputs[at : at + size] if at + size != 89 else inputs[at:]
            if at < 90 and len(part) > 1:
                last = session.prompt(0, part)[0]
        np.testing.assert_array_equal(last, whole)
        parts = [session.project_text(tokens[at : at + size]) for at in range(0, 60, size) if at + size <= 60]
        projected = np.concatenate(parts)
        np.testing.assert_array_equal(projected, session.project_text(tokens)[: len(projected)])


# --- same samples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slots", "threads"), [(1, 1), (2, 4), (4, 2), (5, 5)])
def test_speeches_side_by_side_sound_as_alone(model: Model, model_files: ModelFiles, slots: int, threads: int) -> None:
    wanted = wishes(model, 8, random.Random(slots))
    engine = _native.SpeechEngine(model._speech, n_slots=slots, n_threads=threads)
    assert engine.overlaps == (threads >= 4)
    speeches = [begin(model, engine, wish) for wish in wanted]
    with ThreadPoolExecutor(8) as pool:
        for wish, said in zip(wanted, pool.map(heard, speeches), strict=True):
            same(said, alone(model, wish))


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_fed_token_by_token_it_sounds_as_whole(model: Model, at_once: int) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    other = begin(model, engine, Wish((9,) * 30, 5, model.speakers[0], max_frames=200))
    for wish in wishes(model, 6, random.Random(at_once)):
        speech = begin(model, engine, wish, text=[], finished=False)
        for at in range(0, len(wish.text), at_once):
            speech.feed(wish.text[at : at + at_once])
            time.sleep(0.002)
        speech.finish()
        same(heard(speech), alone(model, wish))
    other.cancel(drop=True)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_many_speeches_come_and_go_at_random(model: Model, seed: int) -> None:
    """16 over 4 slots: they arrive at random, text comes at random, some are cancelled, some are heard slowly."""
    rng = random.Random(seed)
    wanted = wishes(model, 16, rng)
    engine = _native.SpeechEngine(model._speech, n_slots=4, n_threads=4)
    ways = [rng.choice(["whole", "fed", "slow", "cancelled", "dropped"]) for _ in wanted]
    arrivals = [rng.random() * 0.3 for _ in wanted]
    cuts = [rng.random() * 0.1 for _ in wanted]

    def one(i: int) -> Said | None:
        time.sleep(arrivals[i])
        wish, way = wanted[i], ways[i]
        if way == "fed":
            speech = begin(model, engine, wish, text=[], finished=False)
            for token in wish.text:
                speech.feed([token])
                time.sleep(0.001)
            speech.finish()
            return heard(speech)
        speech = begin(model, engine, wish, buffered_frames=10, piece_frames=[1, 2, 3])
        if way == "cancelled":
            time.sleep(cuts[i])
            speech.cancel()
        if way == "dropped":
            time.sleep(cuts[i])
            return None
        return heard(speech, pause=0.01 if way == "slow" else 0.0)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, range(16)))
    assert engine.drain(20)
    for wish, way, said in zip(wanted, ways, results, strict=True):
        if said is None:
            continue
        whole = alone(model, wish)
        if way == "cancelled" and said.stop_reason == "cancelled":
            np.testing.assert_array_equal(said.codes, whole.codes[:, : said.codes.shape[1]])
        else:
            np.testing.assert_array_equal(said.codes, whole.codes)
            np.testing.assert_allclose(said.samples, whole.samples, rtol=0, atol=1e-5)
            assert said.stop_reason == whole.stop_reason


# --- text as it comes -------------------------------------------------------------------------------------------------


def test_a_speech_starts_with_the_fourth_token_and_rests_where_there_is_none(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    wish = Wish((3, 4, 5, 6, 7, 8), 1, model.speakers[0])
    params = model._speech.default_params()
    params.max_frames, params.ignore_eos = 20, True
    header = model._conversation([{"role": "user", "content": ""}])
    speaker = model._speaker(wish.speaker)
    speech = engine.begin(
        params, conversation=header, text=wish.text[:3], finished=False, speaker=speaker, piece_frames=[1]
    )
    assert speech.read(0.05) is None and not speech.admitted
    speech.feed(wish.text[3:4])
    assert [piece is not None for piece in [speech.read(10) for _ in range(4)]] == [True] * 4
    assert speech.read(0.05) is None, "a fifth frame would need a fifth token"
    speech.feed(wish.text[4:5])
    assert speech.read(10) is not None
    assert speech.read(0.05) is None and speech.admitted and not speech.ended
    speech.finish()
    assert heard(speech).codes.shape[1] == 20 - 5
    assert speech.timings()["idle"] > 0.05


def test_a_pause_of_one_is_none_of_the_others(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    resting = begin(model, engine, Wish((3, 4, 5, 6), 1, model.speakers[0]), finished=False)
    wish = Wish((9, 8, 7, 6, 5), 2, model.speakers[-1])
    same(heard(begin(model, engine, wish)), alone(model, wish))
    assert not resting.ended
    resting.finish()
    same(heard(resting), alone(model, Wish((3, 4, 5, 6), 1, model.speakers[0])))


def test_one_without_text_lets_others_pass(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    silent = begin(model, engine, Wish((), 1, model.speakers[0]), finished=False)
    wish = Wish((9, 8, 7), 2, model.speakers[0])
    same(heard(begin(model, engine, wish)), alone(model, wish))
    assert engine.n_waiting == 1
    silent.cancel()
    assert heard_nothing(silent) == "cancelled"


def with_sound(model: Model) -> dict[str, Any]:
    """A conversation in which three positions are the thinker's hidden states."""
    header = model._conversation([{"role": "user", "content": "two"}])
    at = len(header) - 6
    conversation = header[:at] + [model._speech.text_tokens["audio"]] * 3 + header[at:]
    width = model._speech.talker_geometry["thinker_hidden_size"]
    hidden = np.random.default_rng(0).standard_normal((len(conversation), width), np.float32)
    return {"conversation": conversation, "thinker_hidden": hidden}


@pytest.mark.parametrize("sound", [False, True])
def test_a_prompt_is_read_ahead_of_its_text_in_a_slot_that_nobody_wants(model: Model, sound: bool) -> None:
    """It has it until somebody may speak, and reads again what it had read."""
    options = with_sound(model) if sound else {}
    wish, other = Wish((3, 4, 5, 6, 7), 1, model.speakers[0], "three two"), Wish((9, 8, 7), 2, model.speakers[-1])
    expected = [
        heard(begin(model, _native.SpeechEngine(model._speech, n_threads=1), one, **options)) for one in (wish, other)
    ]
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    written = begin(model, engine, wish, **{**options, "text": wish.text[:1], "finished": False})
    assert written.read(0.05) is None and written.timings()["prompt"] == 0, "whether it is the only one isn't known"
    written.feed(wish.text[1:3])
    read_once = prompt_seconds_above(written, 0)
    assert not written.admitted and (engine.n_speaking, engine.n_waiting) == (0, 1)
    passing = begin(model, engine, other, **options)
    same(heard(passing), expected[1])
    assert prompt_seconds_above(written, read_once) and not written.admitted
    passing = begin(model, engine, other, **options)
    written.feed(wish.text[3:])
    written.finish()
    same(heard(passing), expected[1])
    same(heard(written), expected[0])


def prompt_seconds_above(speech: _native.EngineSpeech, seconds: float) -> float:
    """What its prompt took, as soon as that is more than so much."""
    end = time.monotonic() + 20
    while speech.timings()["prompt"] <= seconds:
        assert time.monotonic() < end, "no prompt is read"
        time.sleep(0.002)
    return float(speech.timings()["prompt"])


def test_one_that_reads_ahead_is_cancelled(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    for drop in (False, True):
        written = begin(model, engine, Wish((3, 4, 5), 1, model.speakers[0]), finished=False)
        assert prompt_seconds_above(written, 0)
        written.cancel(drop=drop)
        if not drop:
            assert heard_nothing(written) == "cancelled"
    assert engine.drain(10)


def heard_nothing(speech: _native.EngineSpeech) -> str:
    while not speech.ended:
        piece = speech.read(10)
        assert piece is not None and piece[0].size == 0
    return speech.stop_reason


# --- queue, listeners, ends -------------------------------------------------------------------------------------------


def long_wish(model: Model) -> Wish:
    return Wish(tuple(range(3, 40)), 3, model.speakers[0], max_frames=4000)


def endless(model: Model, engine: _native.SpeechEngine, **options: Any) -> _native.EngineSpeech:
    params = model._speech.default_params()
    params.max_frames, params.ignore_eos = 4000, True
    header = model._conversation([{"role": "user", "content": ""}])
    return engine.begin(params, conversation=header, text=[5] * 8, speaker=model._speaker(None), **options)


def test_a_full_queue_refuses(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1, queue_limit=2)
    speeches = [endless(model, engine) for _ in range(3)]
    with pytest.raises(omniggml.BusyError, match="speeches wait already"):
        for _ in range(2):
            speeches.append(endless(model, engine))
    speeches[-1].cancel()
    assert heard_nothing(speeches[-1]) == "cancelled"
    assert speeches[0].read(10) is not None


def test_what_goes_on_from_another_has_the_slots_that_nobody_wants(model: Model) -> None:
    """But for one, which is for who comes next; and nobody is refused for what waits so."""
    engine = _native.SpeechEngine(model._speech, n_slots=3, n_threads=1, queue_limit=1)
    first = endless(model, engine)
    second = endless(model, engine, after=first.id)
    third = endless(model, engine, after=second.id)
    assert first.read(10) is not None and second.read(10) is not None
    assert not third.admitted and engine.n_speaking == 2 and engine.n_waiting == 0
    other = endless(model, engine)
    assert other.read(10) is not None and not third.admitted
    waiting = endless(model, engine)
    with pytest.raises(omniggml.BusyError, match="1 speeches wait already"):
        endless(model, engine)
    first.cancel()
    assert waiting.read(10) is not None and not third.admitted, "who waits goes before what is ahead of its turn"
    second.cancel()
    assert third.read(10) is not None


def test_texts_of_many_spans_go_round(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    first = endless(model, engine)
    assert first.read(10) is not None
    second = endless(model, engine, after=first.id)
    third = endless(model, engine, after=second.id)
    other = endless(model, engine)
    first.cancel()
    assert second.read(10) is not None, "it waits since the one before it has the slot"
    second.cancel()
    assert other.read(10) is not None and not third.admitted
    other.cancel()
    assert third.read(10) is not None


def test_a_cancelled_speech_frees_its_slot(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    first, second = endless(model, engine), endless(model, engine)
    assert first.read(10) is not None and not second.admitted
    first.cancel()
    assert second.read(10) is not None
    said = heard(first)
    assert said.stop_reason == "cancelled" and said.codes.shape[1] < 200
    del second
    assert engine.drain(10), "one that nobody has any more is none"


def test_a_slow_listener_slows_its_own_speech_alone(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    slow = endless(model, engine, buffered_frames=10, piece_frames=[5])
    wish = long_wish(model)
    same(heard(begin(model, engine, wish, buffered_frames=0)), alone(model, wish))
    assert slow.timings()["n_frames"] == 10
    assert slow.read(10) is not None


def test_timings_are_of_this_speech(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    first, second = (begin(model, engine, Wish((3, 4, 5, 6), seed, model.speakers[0])) for seed in (1, 2))
    frames = heard(first).codes.shape[1]
    heard(second)
    times = first.timings()
    assert times["n_frames"] == frames == len(times["frame_seconds"])
    assert all(times[stage] > 0 for stage in ("prompt", "talker", "predictor", "sampling", "vocoder", "first"))
    assert times["prompt_positions"] >= 9
    assert second.timings()["waiting"] > first.timings()["waiting"]
    assert engine.expected_wait == 0 and engine.cache_nbytes > 0


def test_who_waits_is_told_which_can_be_read(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    wanted = wishes(model, 5, random.Random(3))
    speeches = {speech.id: speech for speech in (begin(model, engine, wish) for wish in wanted)}
    codes: dict[int, list[npt.NDArray[np.int32]]] = {number: [] for number in speeches}
    going = set(speeches)
    while going:
        ids = engine.wait_readable(20)
        assert ids, "nothing came for long"
        for number in going.intersection(ids):
            while (piece := speeches[number].read(0)) is not None:
                codes[number].append(piece[1])
            if speeches[number].ended:
                going.discard(number)
    for wish, parts in zip(wanted, codes.values(), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), alone(model, wish).codes)


def test_a_closed_engine_says_what_it_has_begun(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    wish = Wish((3, 4, 5, 6), 1, model.speakers[0])
    speech = begin(model, engine, wish)
    engine.close()
    with pytest.raises(omniggml.BusyError, match="closed"):
        begin(model, engine, wish)
    same(heard(speech), alone(model, wish))
    assert engine.drain(10)


def test_speeches_outlive_their_engine(model: Model) -> None:
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    speeches = [endless(model, engine) for _ in range(2)]
    assert speeches[0].read(10) is not None
    engine.stop()
    del engine
    assert [heard(speech).stop_reason for speech in speeches] == ["cancelled"] * 2


@pytest.mark.parametrize("at", [0, 30])
def test_a_speech_that_fails_fails_alone(model: Model, at: int) -> None:
    """NaN in its prompt, or in the text of its last frame: and nothing of it is left for the next in its place."""
    engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads=1)
    params = model._speech.default_params()
    params.ignore_eos, params.max_frames = True, 60
    hidden = model.geometry["talker"]["hidden_size"]
    inputs, pad = np.full((3, hidden), np.nan if at == 0 else 0.1, np.float32), np.zeros((1, hidden), np.float32)
    trailing = np.zeros((31, hidden), np.float32)
    trailing[at] = np.nan
    wish = long_wish(model)
    good = begin(model, engine, wish)
    bad = engine.begin(params, prompt=(inputs, trailing, pad), piece_frames=[1])
    with pytest.raises(omniggml.NumericError, match="the talker's logits are NaN or infinite"):
        heard(bad)
    assert bad.ended and bad.stop_reason == "failed" and bad.read() is None
    assert bad.timings()["n_frames"] == (0 if at == 0 else at + 1)
    same(heard(good), alone(model, wish))
    for said in [heard(speech) for speech in [begin(model, engine, wish) for _ in range(2)]]:
        same(said, alone(model, wish))


# --- who speaks -------------------------------------------------------------------------------------------------------


def test_a_mixture_of_speakers(model: Model) -> None:
    one, other = model.speakers[:2]
    prompt = {
        name: model.talker_prompt(model._conversation([{"role": "user", "content": ""}]), [5, 6], speaker=name).inputs
        for name in (one, other, f"{one}:3", f"{one}:1, {other}:3", f"{one.upper()}:0.25,{other}:0.75")
    }
    np.testing.assert_array_equal(prompt[f"{one}:3"], prompt[one])
    mixed = prompt[one] * 0.25 + prompt[other] * 0.75
    np.testing.assert_allclose(prompt[f"{one}:1, {other}:3"], mixed, rtol=0, atol=1e-6)
    np.testing.assert_allclose(prompt[f"{one.upper()}:0.25,{other}:0.75"], mixed, rtol=0, atol=1e-6)
    assert not np.array_equal(prompt[one], prompt[other])


def test_weights_of_any_size_are_of_each_other(model: Model) -> None:
    one, other = model.speakers[:2]
    half = model.speaker_vector(f"{one}:1,{other}:1")
    assert np.any(half)
    for weight in ("1e308", "1e-300", "3e-308"):
        np.testing.assert_array_equal(model.speaker_vector(f"{one}:{weight},{other}:{weight}"), half)
    np.testing.assert_array_equal(
        model.speaker_vector(f"{one}:1e308,{other}:1e-300"), model.speaker_vector(f"{one}:1,{other}:1e-300")
    )
    for weight in ("nan", "inf", "-1", "0", "1e999", "1e-999", ""):
        with pytest.raises(omniggml.InputError, match="no mixture"):
            model.speaker_vector(f"{one}:{weight},{other}:1")
    try:  # a number that a double holds in part: libraries differ in whether they read it
        tiny = model.speaker_vector(f"{one}:1e-320,{other}:1e-320")
    except omniggml.InputError:
        return
    np.testing.assert_array_equal(tiny, half)


def test_a_vector_speaks_as_the_speaker_that_it_stands_for(model: Model) -> None:
    one, other = model.speakers[:2]
    for name in (one, f"{one}:1,{other}:3"):
        said = model.talker(model.talker_prompt(*texts(model), speaker=name), max_frames=6)
        vector = model.speaker_vector(name)
        assert vector.shape == (model.geometry["talker"]["hidden_size"],)
        for given in (vector, vector.tolist(), vector.astype(np.float64)):
            prompt = model.talker_prompt(*texts(model), speaker=given)
            np.testing.assert_array_equal(model.talker(prompt, max_frames=6), said)
        whole = model.speak("one two", speaker=name, max_frames=5).samples
        np.testing.assert_array_equal(model.speak("one two", speaker=vector, max_frames=5).samples, whole)
    assert omniggml.SpeechOptions(speaker=vector) == omniggml.SpeechOptions(speaker=vector.tolist())


def test_what_is_no_vector_of_a_speaker_is_refused(model: Model) -> None:
    width = model.geometry["talker"]["hidden_size"]
    for given, said in [
        (np.zeros(width - 1), f"a vector of {width} finite numbers; this one has {width - 1}"),
        (np.zeros((1, width)), "one row of numbers"),
        (np.full(width, np.nan), "NaN"),
        ([], "a vector of"),
        (["ethan"], "speaker is"),
    ]:
        with pytest.raises(omniggml.InputError, match=said):
            model.speak("one", speaker=given)  # type: ignore[arg-type]


def texts(model: Model) -> tuple[list[int], list[int]]:
    return model._conversation([{"role": "user", "content": ""}]), [5, 6]


# --- processes --------------------------------------------------------------------------------------------------------

_BEGINNING = """
import os, sys, threading, time
import omniggml
from omniggml import _native
model = omniggml.load(n_threads={threads})
params = model._speech.default_params()
params.max_frames, params.ignore_eos = 2000, True
header = model._conversation([{{"role": "user", "content": ""}}])
engine = _native.SpeechEngine(model._speech, n_slots=2, n_threads={threads})
def endless(engine=engine):
    return engine.begin(params, conversation=header, text=[5] * 8, speaker=model._speaker(None), buffered_frames=0)
def listen(speech):
    while not speech.ended:
        speech.read()
speech = endless()
assert speech.read(20) is not None
"""


def run(program: str, threads: int = 1) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _BEGINNING.format(threads=threads) + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    "end",
    [
        "threading.Thread(target=listen, args=(speech,), daemon=True).start()",
        "[threading.Thread(target=listen, args=(endless(),), daemon=True).start() for _ in range(4)]; time.sleep(0.02)",
        "threading.Thread(target=lambda: model.speak('a word', ignore_eos=True), daemon=True).start()",
        "threading.Thread(target=lambda: engine.wait_readable(100), daemon=True).start(); sys.exit(0)",
        "pieces = model.stream('some words', ignore_eos=True); next(pieces); sys.exit()",
        "sys.exit(0)",
    ],
)
def test_a_process_ends_in_the_middle_of_a_speech(end: str, threads: int) -> None:
    run(end, threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_is_told_at_once() -> None:
    said = run(
        """
def wrong(call):
    try:
        call()
    except omniggml.InputError as error:
        print(str(error).split(" speaks in ")[0])
child = os.fork()
if child == 0:
    for call in (speech.read, speech.cancel, lambda: speech.feed([1]), endless, lambda: engine.drain(1), engine.stop):
        wrong(call)
    del speech, engine
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert speech.read(20) is not None
"""
    )
    assert said == "this engine\n" * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_leaves_as_any_process_does() -> None:
    run("child = os.fork()\nif child == 0:\n    sys.exit(0)\nassert os.waitpid(child, 0)[1] == 0")


def test_a_thread_that_listens_holds_nobody_up(model: Model) -> None:
    """Reading gives up Python's lock."""
    engine = _native.SpeechEngine(model._speech, n_slots=1, n_threads=1)
    waiting = begin(model, engine, Wish((), 1, model.speakers[0]), finished=False)
    thread = threading.Thread(target=waiting.read, args=(20,))
    thread.start()
    try:
        assert list(counted(1000)) == list(range(1000))
    finally:
        waiting.cancel()
        thread.join(10)
    assert not thread.is_alive()


def counted(n: int) -> Iterator[int]:
    for i in range(n):
        time.sleep(0)
        yield i
