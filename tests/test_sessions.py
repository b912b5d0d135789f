"""Sessions side by side: what one gives depends on neither the chunking, the threads, nor the others."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml import Audio, Model, _native
from parity.files import ModelFiles

TEXT = "the same words"
FRAMES = 40
SEED = 11


@pytest.fixture(scope="module")
def model(model_files: ModelFiles) -> Model:
    return load(model_files, 1)


def load(model_files: ModelFiles, n_threads: int, geometry: str = "tiny") -> Model:
    speech, thinker = model_files.gguf(geometry, "f32")
    return omniggml.load(speech, thinker=thinker, n_threads=n_threads)


def speak(model: Model, seed: int = SEED, **options: Any) -> Audio:
    return model.speak(TEXT, seed=seed, **{"max_frames": FRAMES, **options})


def same(one: Audio, other: Audio, tolerance: float = 1e-6) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_allclose(one.samples, other.samples, rtol=0, atol=tolerance)
    assert one.stop_reason == other.stop_reason


# --- the same seed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", ["tiny", "odd"])
@pytest.mark.parametrize("chunk_frames", [1, 2, 3, 7, 25, 300, None])
def test_same_audio_for_every_chunk_size(model_files: ModelFiles, geometry: str, chunk_frames: int | None) -> None:
    model = load(model_files, 1, geometry)
    pieces = list(model.stream(TEXT, seed=SEED, max_frames=FRAMES, chunk_frames=chunk_frames))
    same(Audio.join(pieces), speak(model))
    assert all(piece.stop_reason == "" for piece in pieces[:-1])


@pytest.mark.parametrize("geometry", ["tiny", "odd"])
@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 0])
def test_same_audio_for_every_thread_count(model_files: ModelFiles, geometry: str, n_threads: int) -> None:
    same(speak(load(model_files, n_threads, geometry)), speak(load(model_files, 1, geometry)))


@pytest.mark.slow
@pytest.mark.parametrize("n_threads", [2, 3, 4])
@pytest.mark.parametrize("chunk_frames", [1, 7, 300])
def test_same_audio_of_a_larger_model(model_files: ModelFiles, n_threads: int, chunk_frames: int) -> None:
    one = speak(load(model_files, 1, "mini"), max_frames=12)
    same(speak(load(model_files, n_threads, "mini"), max_frames=12, chunk_frames=chunk_frames), one)


def test_second_call_equals_the_first(model: Model) -> None:
    same(speak(model), speak(model), tolerance=0)


def test_different_seeds_differ(model: Model) -> None:
    codes = [speak(model, seed).codes.tobytes() for seed in range(8)]
    assert len(set(codes)) == len(codes)


def test_a_seed_beyond_32_bits_counts(model: Model) -> None:
    assert speak(model, 1).codes.tobytes() != speak(model, 2**32 + 1).codes.tobytes()


def test_greedy_needs_no_seed(model: Model) -> None:
    same(speak(model, 1, greedy=True), speak(model, 2, greedy=True), tolerance=0)


def test_frame_limit_cuts_and_changes_nothing(model: Model) -> None:
    np.testing.assert_array_equal(speak(model, max_frames=7).codes, speak(model).codes[:, :7])


@pytest.mark.parametrize("chunk_frames", [1, 2, 5, 31, 32, 33, 64, 300])
def test_codes_give_the_same_samples_for_every_chunk_size(model: Model, chunk_frames: int) -> None:
    """Longer than the ring of keys and values, so that slots are written over."""
    codes = np.random.default_rng(0).integers(0, 64, (4, 150))
    whole = model.code2wav(codes)
    assert len(whole) == model.n_samples(150)
    np.testing.assert_allclose(model.code2wav(codes, chunk_frames=chunk_frames), whole, rtol=0, atol=1e-6)


def test_text_answers_repeat(model: Model) -> None:
    tokens = [model.generate_text([1, 2, 3], omniggml.TextOptions(seed=5, max_tokens=20)) for _ in range(2)]
    assert tokens[0] == tokens[1]


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
def test_two_threads_speak_from_one_model(model_files: ModelFiles, n_threads: int) -> None:
    model = load(model_files, n_threads)
    alone = [speak(model, seed) for seed in (1, 2)]
    ready = threading.Barrier(2)

    def together(seed: int) -> list[Audio]:
        ready.wait()
        return [speak(model, seed) for _ in range(3)]

    with ThreadPoolExecutor(2) as pool:
        for audio, repeated in zip(alone, pool.map(together, (1, 2)), strict=True):
            for again in repeated:
                same(again, audio, tolerance=0)


def test_speaking_answering_and_decoding_at_once(model: Model) -> None:
    codes = np.random.default_rng(0).integers(0, 64, (4, 60))
    jobs = [
        lambda: speak(model).samples,
        lambda: model.code2wav(codes),
        lambda: np.array(model.generate_text([1, 2, 3], omniggml.TextOptions(max_tokens=30))[0]),
        lambda: model.thinker([5, 6, 7]).logits,
    ]
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for _ in range(3):
            for one, other in zip(alone, pool.map(lambda job: job(), jobs), strict=True):
                np.testing.assert_array_equal(one, other)


def test_interleaved_streams(model: Model) -> None:
    """Two generators drawn from in turn, in one thread."""
    streams = [model.stream(TEXT, seed=seed, max_frames=FRAMES, chunk_frames=3) for seed in (1, 2)]
    pieces: list[list[Audio]] = [[], []]
    running = {0, 1}
    while running:
        for i in tuple(running):
            piece = next(streams[i], None)
            if piece is None:
                running.remove(i)
            else:
                pieces[i].append(piece)
    for seed, parts in zip((1, 2), pieces, strict=True):
        same(Audio.join(parts), speak(model, seed))


def test_a_probe_in_one_thread_is_not_seen_by_another(model: Model) -> None:
    def elsewhere() -> Audio:
        return speak(model)

    with ThreadPoolExecutor(1) as pool, model.probe("code2wav") as seen:
        audio = pool.submit(elsewhere).result()
        assert len(seen) == 0
        same(speak(model), audio)
        assert list(seen) == ["code2wav"]


def test_other_threads_run_meanwhile(model: Model) -> None:
    """Native calls release the interpreter's lock: a counter goes on while a long text is read in one call."""
    count, stop = [0], threading.Event()

    def counting() -> None:
        while not stop.is_set():
            count[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=counting)
    thread.start()
    try:
        before = count[0]
        model.thinker([1] * 2000)
        counted = count[0] - before
    finally:
        stop.set()
        thread.join()
    assert counted > 50, counted


def test_cancel_from_another_thread(model: Model) -> None:
    params = model._speech.default_params()
    params.max_frames = 100_000
    header = model._conversation([{"role": "user", "content": ""}])
    engine = _native.SpeechEngine(model._speech, n_threads=1)
    about = {"conversation": header, "speaker": model._speaker(None)}
    speech = engine.begin(params, **about, text=model.tokenizer.encode(TEXT), piece_frames=[2, 4], buffered_frames=0)
    first = speech.read()
    assert first is not None
    speech.cancel()
    rest = 0
    while not speech.ended:
        piece = speech.read()
        rest += piece[1].shape[1] if piece else 0
    assert speech.stop_reason == "cancelled"
    assert first[1].shape[1] == 2 and rest < 4000
    assert speech.read() is None
    assert engine.begin(params, **about, text=[5] * 4).read() is not None, "the slot is free again"


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["tiny", "grouped"], scope="module")
def batch_model(request: pytest.FixtureRequest, model_files: ModelFiles) -> Iterator[Model]:
    yield load(model_files, 1, request.param)


def prompts(model: Model) -> list[omniggml.TalkerPrompt]:
    """Three of different lengths."""
    texts = ["one", "two words", "and here a third text, longer than the others by far"]
    return [
        model.talker_prompt(model._conversation([{"role": "user", "content": text * i}]), model.tokenizer.encode(text))
        for i, text in enumerate(texts)
    ]


def rows(prompt: omniggml.TalkerPrompt, frame: int) -> npt.NDArray[np.float32]:
    return prompt.trailing[frame] if frame < len(prompt.trailing) else prompt.pad[0]


def greedy_frames(
    model: Model, given: list[omniggml.TalkerPrompt], n_frames: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Codes [sequence, frame, group], the talker's logits and the predictor's, of a batch run in step."""
    n = len(given)
    talker = _native.TalkerSession(model._speech, n, 1, None)
    predictor = _native.CodePredictorSession(model._speech, n, 1, None)
    outputs = [talker.prompt(i, prompt.inputs) for i, prompt in enumerate(given)]
    logits = np.concatenate([output[0] for output in outputs])
    hidden = np.concatenate([output[1] for output in outputs])
    groups = model.geometry["code2wav"]["num_quantizers"]
    size = model.geometry["code2wav"]["codebook_size"]
    codes, talker_logits, predictor_logits = [], [], []
    for frame in range(n_frames):
        talker_logits.append(logits)
        drawn = [logits[:, :size].argmax(axis=1)]
        step = predictor.start(hidden, [int(code) for code in drawn[0]])
        for _ in range(groups - 1):
            predictor_logits.append(step)
            drawn.append(step.argmax(axis=1))
            if len(drawn) < groups:
                step = predictor.next([int(code) for code in drawn[-1]])
        codes.append(np.stack(drawn, axis=1))
        text = np.stack([rows(prompt, frame) for prompt in given])
        logits, hidden = talker.frame(codes[-1].astype(np.int32), text)
    return np.stack(codes, axis=1), np.stack(talker_logits, axis=1), np.stack(predictor_logits, axis=1)


def test_a_batch_gives_each_what_it_gives_alone(batch_model: Model) -> None:
    given = prompts(batch_model)
    codes, talker_logits, predictor_logits = greedy_frames(batch_model, given, 12)
    for i, prompt in enumerate(given):
        alone = greedy_frames(batch_model, [prompt], 12)
        np.testing.assert_array_equal(codes[i], alone[0][0])
        # Logits of up to 20 in float32, summed in another order.
        np.testing.assert_allclose(talker_logits[i], alone[1][0], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(predictor_logits[i], alone[2][0], rtol=1e-5, atol=1e-4)


TEXTS = [
    "one",
    "two words",
    "and here a third text, longer than the others by far",
    "four",
    "the fifth",
    "six, at last",
]


@pytest.mark.parametrize(("together", "n_threads"), [(1, 1), (2, 4), (3, 2), (6, 4), (64, 1)])
def test_texts_spoken_together_sound_as_alone(model_files: ModelFiles, together: int, n_threads: int) -> None:
    model = load(model_files, n_threads, "odd")
    alone = [model.speak(text, max_frames=60, seed=7, temperature=3.0, top_k=0) for text in TEXTS]
    assert len({audio.codes.shape[1] for audio in alone}) > 1, "they should end at different times"
    batch = model.speak_batch(TEXTS, together=together, max_frames=60, seed=7, temperature=3.0, top_k=0)
    for ours, wanted in zip(batch, alone, strict=True):
        np.testing.assert_array_equal(ours.codes, wanted.codes)
        np.testing.assert_array_equal(ours.samples, wanted.samples)
        assert ours.stop_reason == wanted.stop_reason


def test_no_texts_together(batch_model: Model) -> None:
    assert batch_model.speak_batch([]) == []
    with pytest.raises(omniggml.InputError, match="texts is 'a text'; expected a list of texts"):
        batch_model.speak_batch("a text")
    with pytest.raises(omniggml.InputError, match="together is 0"):
        batch_model.speak_batch(["a text"], together=0)
    with pytest.raises(omniggml.InputError, match="there is no text to speak"):
        batch_model.speak_batch(["a text", " "])


def test_texts_spoken_together_can_be_interrupted(batch_model: Model) -> None:
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        batch_model.speak_batch(["a text"] * 4, max_frames=3000, ignore_eos=True)
    timer.join()


def test_prompts_in_any_order(batch_model: Model) -> None:
    """Sequences of a batch do not write into each other's caches."""
    given = prompts(batch_model)
    forwards = _native.TalkerSession(batch_model._speech, 3, 1, None)
    one = [forwards.prompt(i, given[i].inputs)[0] for i in (0, 1, 2)]
    backwards = _native.TalkerSession(batch_model._speech, 3, 1, None)
    other = [backwards.prompt(i, given[i].inputs)[0] for i in (2, 1, 0)][::-1]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_a_prompt_in_parts(batch_model: Model) -> None:
    inputs = prompts(batch_model)[2].inputs
    whole = _native.TalkerSession(batch_model._speech, 1, 1, None).prompt(0, inputs)
    session = _native.TalkerSession(batch_model._speech, 1, 1, None)
    for part in np.array_split(inputs, 4):
        last = session.prompt(0, part)
    np.testing.assert_allclose(last[0], whole[0], rtol=0, atol=1e-5)


# --- caches that grow -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_sequences", [1, 2])
def test_the_talkers_cache_grows(model: Model, n_sequences: int) -> None:
    """Across 256 and 512 slots, one position at a time, as in one run."""
    inputs = np.random.default_rng(0).normal(size=(600, 32)).astype(np.float32)
    whole = _native.TalkerSession(model._speech, 1, 1, None).prompt(0, inputs)[0]
    session = _native.TalkerSession(model._speech, n_sequences, 1, None)
    sizes = {0}
    for start in range(0, 600, 50):
        for sequence in range(n_sequences):
            logits = session.prompt(sequence, inputs[start : start + 50])[0]
        sizes.add(session.cache_nbytes)
    np.testing.assert_allclose(logits, whole, rtol=0, atol=1e-5)
    assert len(sizes) == 4, sizes


def test_the_thinkers_cache_grows(model: Model) -> None:
    tokens = np.random.default_rng(0).integers(0, 400, 600).astype(np.int32)
    whole = model.thinker(tokens.tolist()).logits
    assert model._thinker is not None
    session = _native.ThinkerSession(model._thinker.loaded(), 1, None)
    pieces = [session.forward(tokens[i : i + 37])[0] for i in range(0, 600, 37)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-4)


def test_the_thinker_goes_back(model: Model) -> None:
    assert model._thinker is not None
    session = _native.ThinkerSession(model._thinker.loaded(), 1, None)
    first = session.forward(np.arange(20, dtype=np.int32))[0]
    session.forward(np.arange(300, dtype=np.int32) % 400)
    session.truncate(5)
    again = session.forward(np.arange(5, 20, dtype=np.int32))[0]
    np.testing.assert_allclose(again, first[5:], rtol=0, atol=1e-5)


def test_a_speech_longer_than_the_first_cache(model: Model) -> None:
    """Frames across slot 256, whatever the chunks."""
    long = speak(model, max_frames=300)
    if long.codes.shape[1] < 260:
        pytest.skip("this seed ends early")
    same(speak(model, max_frames=300, chunk_frames=7), long)


def test_what_a_signals_handler_raises_comes_out(model: Model) -> None:
    """Ctrl-C is not the only signal; a deadline of the program's own is not KeyboardInterrupt."""

    class Late(Exception):
        pass

    def on_alarm(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Late):
            speak(model, max_frames=4000, chunk_frames=4000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
