"""A program as a user would write it, with every public function: mypy --strict accepts it, test_doors.py runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import omniggml


def files(checkpoint: Path, directory: Path) -> tuple[Path, Path]:
    speech, thinker = omniggml.convert(checkpoint, directory, type="f32", name="omni")
    inspected: omniggml.Inspection = omniggml.inspect(speech)
    assert not inspected.problem, inspected.problem
    concerns: tuple[omniggml.Concern, ...] = inspected.concerns
    assert all(concern.reason for concern in concerns)
    policy: omniggml.Policy = omniggml.read_policy(omniggml.policy_names()[0])
    made: omniggml.Quantized = omniggml.quantize(speech, directory / "small-speech.gguf", policy=policy)
    assert made.nbytes > 0
    return speech, thinker


def speech(path: Path, thinker: Path) -> omniggml.Audio:
    loading: omniggml.LoadKeywords = {"thinker": thinker, "n_threads": 1, "device": "cpu"}
    model: omniggml.Model = omniggml.load(path, **loading)
    options: omniggml.SpeechKeywords = {"greedy": True, "max_frames": 3, "speaker": model.speakers[0]}
    audio: omniggml.Audio = model.speak("hello world", **options)
    pieces = [piece.samples for piece in model.stream("hello world", **options)]
    assert np.array_equal(np.concatenate(pieces), audio.samples)
    segment: omniggml.Segment = audio.segments[0]
    assert segment.text == "hello world" and segment.end == len(audio.samples)
    batch: list[omniggml.Audio] = model.speak_batch(["one", "two"], together=2, **options)
    assert len(batch) == 2
    engine: omniggml.SpeechEngine = model.engine(slots=1, queue=1)
    speaking: omniggml.Speaking = engine.begin("hello world", **options)
    assert np.array_equal(omniggml.Audio.join(list(speaking)).samples, audio.samples)
    timings: omniggml.SpeechTimings = speaking.timings()
    assert timings.frames == audio.codes.shape[1]
    engine.close()
    try:
        engine.begin("hello world")
    except omniggml.BusyError:
        engine.stop()
    reply: omniggml.Reply = model.chat("hello", text_options=omniggml.TextOptions(max_tokens=2), max_frames=2)
    streamed: omniggml.StreamedReply = model.stream_chat("hello", text_options=omniggml.TextOptions(max_tokens=2))
    assert reply.tokens == streamed.tokens
    written: omniggml.AnswerText = model.stream_text("hello", omniggml.TextOptions(max_tokens=2))
    assert "".join(written) == reply.text and tuple(written.tokens) == reply.tokens
    return audio


def stages(path: Path, thinker: Path) -> None:
    model = omniggml.load(path, thinker=thinker, n_threads=1)
    tokenizer: omniggml.Tokenizer = model.tokenizer
    conversation = tokenizer.encode_chat([{"role": "user", "content": "hello"}])
    thoughts: omniggml.ThinkerOutput = model.thinker(conversation)
    prompt: omniggml.TalkerPrompt = model.talker_prompt(conversation, tokenizer.encode("hello"))
    codes = model.talker(prompt, greedy=True, max_frames=3)
    states: omniggml.TalkerStates = model.talker_states(prompt, codes)
    assert thoughts.logits.ndim == states.logits.ndim == model.predictor_logits(states.hidden, codes).ndim - 1
    with model.probe("code2wav.decoder.*") as seen:
        samples = model.code2wav(codes)
    reading: omniggml.Reading = seen
    assert len(samples) == model.n_samples(codes.shape[1]) and "code2wav.decoder.0" in reading
    recording: omniggml.AudioLike = omniggml.Audio(np.zeros(1600, np.float32), 16000)
    assert omniggml.log_mel(recording).shape == (128, 10)
    image: omniggml.ImageLike = np.zeros((32, 32, 3), np.uint8)
    try:
        looked: omniggml.Seen = model.look(image)
        assert len(looked.rows) > 0
    except omniggml.InputError:
        assert not model.has_eyes


def elsewhere(model: omniggml.Model) -> omniggml.StreamedReply:
    server = omniggml.ThinkerServer("http://127.0.0.1:8080")
    return model.stream_chat("hello", thinker_url=server)


def tools(path: Path, checkpoint: Path, audio: omniggml.Audio, directory: Path) -> None:
    found: omniggml.Diagnosis = omniggml.diagnose(path, codes=audio.codes, n_threads=1)
    exit_code: omniggml.Exit = found.exit_code
    assert found.verdict and exit_code in tuple(omniggml.Exit)
    causes: tuple[omniggml.Finding, ...] = found.causes
    assert all(finding.severity is not omniggml.Severity.NOTE for finding in causes)
    compared: omniggml.Comparison = omniggml.compare(path, checkpoint, n_threads=1)
    rows: tuple[omniggml.Row, ...] = compared.rows
    worst: omniggml.Agreement = min((row.local for row in rows), key=lambda agreement: agreement.cosine)
    gate: omniggml.Gate = rows[0].gate
    assert worst.cosine > 0.99 and gate.cosine > 0.9 and not compared.first
    model = omniggml.load(path, n_threads=1)
    matters = omniggml.imatrix(model, directory / "x.gguf", texts=["hello"], max_frames=2)
    statistics: omniggml.Statistics = next(iter(matters.values()))
    assert statistics.counts.sum() > 0
    measuring: omniggml.BenchKeywords = {"n_threads": 1, "frames": 2, "repetitions": 1}
    report: omniggml.BenchReport = omniggml.bench(path, **measuring)
    assert report.lines()
    policy: omniggml.FoundPolicy = omniggml.search_policy(
        path, texts=("hello",), held_out=("world",), max_frames=2, n_threads=1
    )
    damage: omniggml.Damage = policy.held_out
    assert damage.snr > 0


def picture(audio: omniggml.Audio, directory: Path) -> Path:
    return omniggml.plot(audio, directory / "audio.png")


def refusal() -> str:
    try:
        omniggml.load("nothing-speech.gguf")
    except (omniggml.InputError, omniggml.ModelFileError, omniggml.OutOfMemoryError) as error:
        return str(error)
    except (omniggml.ConversionError, omniggml.NumericError, omniggml.OmniError) as error:
        raise AssertionError("of another kind") from error
    raise AssertionError("loaded nothing")
