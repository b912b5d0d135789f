"""The engine against recordings of transformers, which need no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import omniggml
from native_module import internals
from omniggml import TextOptions, _native
from omniggml.synthetic.geometries import GEOMETRIES
from parity import golden, greedy
from parity.cases import FloatArray, IntArray
from parity.engine_side import Engine
from parity.files import ModelFiles, digest
from parity.golden import Golden
from parity.metrics import GATES, Agreement, Gate, agreement

GOLDENS = Path(__file__).parent / "goldens"
NAMES = [name for name in GEOMETRIES if name != "eos-first"]

Reader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def goldens() -> Reader:
    return cache(lambda name: golden.load(GOLDENS / f"{name}.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_goldens_belong_to_these_checkpoints(model_files: ModelFiles, goldens: Reader, name: str) -> None:
    """Where this fails, the recipe has changed: python tests/goldens/make_goldens.py."""
    about = goldens(name).about
    assert about["checkpoint"] == digest(model_files.checkpoint(name))
    assert int(about["transformers"].split(".")[0]) >= 5, "older versions sample the code predictor even when greedy"


def test_goldens_stay_small() -> None:
    assert sum(path.stat().st_size for path in GOLDENS.glob("*.npz")) < 4_000_000


@pytest.mark.parametrize("type_", list(GATES))
@pytest.mark.parametrize("name", NAMES)
def test_blocks_agree(model_files: ModelFiles, goldens: Reader, name: str, type_: str) -> None:
    """Every block, given what the reference computed before it."""
    case, recording = goldens(name).case, goldens(name).recording
    captured = Engine(*model_files.gguf(name, type_)).capture(case, recording)
    failures = {
        module: seen
        for module, want in recording.outputs.items()
        if not (seen := agreement(captured[module], want)).inside(GATES[type_])
    }
    assert len(recording.outputs) > 15
    assert failures == {}


# How convolutions can be computed here; bfloat16 products are no match for weights in F32.
FORMS = [(type_, form) for type_ in GATES for form in ("f32", "plain")]
if any(kind.startswith("bf16") for kind in internals().kinds()):
    FORMS += [(type_, "bf16") for type_ in GATES if type_ != "f32"]


@pytest.mark.parametrize(("type_", "vocoder"), FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_waveform_agrees(model_files: ModelFiles, goldens: Reader, name: str, type_: str, vocoder: str) -> None:
    """The whole of code2wav as it is used: without a probe it fuses operations."""
    samples = Engine(*model_files.gguf(name, type_), vocoder).waveform(goldens(name).case)
    assert agreement(samples, goldens(name).recording.outputs["code2wav"]).inside(GATES[type_])


@pytest.mark.parametrize("type_", ["f32", "f16"])
@pytest.mark.parametrize("name", NAMES)
def test_stages_agree(model_files: ModelFiles, goldens: Reader, name: str, type_: str) -> None:
    """Whole stages, errors adding up. With coarser weights a random model chooses other experts now and then."""
    case, recording = goldens(name).case, goldens(name).recording
    captured = Engine(*model_files.gguf(name, type_)).capture(case, recording, forced=False)
    for module in ("thinker.lm_head", "talker.codec_head", "talker.code_predictor.lm_head.2", "code2wav"):
        assert agreement(captured[module], recording.outputs[module]).inside(GATES[type_]), module


@pytest.mark.parametrize("name", NAMES)
def test_greedy_speech_is_the_same(model_files: ModelFiles, goldens: Reader, name: str) -> None:
    """Text ids and every code equal, audio within 1e-4."""
    speech, thinker = model_files.gguf(name, "f32")
    model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
    assert len(goldens(name).speeches) == 2
    for title, (request, want) in goldens(name).speeches.items():
        assert tuple(model.tokenizer.encode_chat(greedy.CONVERSATIONS[title.split(",")[0]])) == request.conversation
        spoken = greedy.speak(model, request)
        assert spoken.differences(want) == [], title
        assert spoken.codes.shape[1] > 0
        assert spoken.audio.size == model.n_samples(spoken.codes.shape[1])


def test_thread_count_changes_nothing(model_files: ModelFiles, goldens: Reader) -> None:
    speech, thinker = model_files.gguf("odd", "f32")
    request, _ = next(iter(goldens("odd").speeches.values()))
    one, two = (
        greedy.speak(omniggml.load(speech, thinker=thinker, device="cpu", n_threads=n), request) for n in (1, 2)
    )
    np.testing.assert_array_equal(two.codes, one.codes)
    np.testing.assert_array_equal(two.audio, one.audio)


def test_eos_as_the_first_code_is_silence(model_files: ModelFiles) -> None:
    speech, thinker = model_files.gguf("eos-first", "f32")
    model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
    for options in ({"greedy": True}, {"seed": 3}):
        audio = model.speak("hello", **options)
        assert (audio.stop_reason, audio.samples.shape, audio.codes.shape) == ("eos", (0,), (4, 0))
        assert [piece.stop_reason for piece in model.stream("hello", **options)] == ["eos"]
    reply = model.chat("hello", text_options=TextOptions(greedy=True, max_tokens=5), greedy=True)
    assert (reply.audio.stop_reason, reply.audio.samples.shape, len(reply.tokens)) == ("eos", (0,), 5)


def test_an_answer_without_a_token_is_silence(model_files: ModelFiles) -> None:
    """As when the thinker ends its turn at once, where the reference fails to build the talker's prompt."""
    speech, thinker = model_files.gguf("tiny", "f32")
    model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
    reply = model.chat("hello", text_options=TextOptions(max_tokens=0))
    assert (reply.text, reply.tokens) == ("", ())
    assert (reply.audio.stop_reason, reply.audio.samples.shape, reply.audio.codes.shape) == ("empty", (0,), (4, 0))


@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_speeches_in_a_batch_are_as_if_alone(model_files: ModelFiles, goldens: Reader, name: str) -> None:
    """Talker and code predictor of two speeches at once, the prompts of different lengths."""
    speech = Engine(*model_files.gguf(name, "f32")).speech
    case, recording = goldens(name).case, goldens(name).recording
    prompts = (recording.talker_prompt, recording.talker_prompt[5:])
    frames = np.ascontiguousarray(np.stack([case.codes.T, case.codes.T[::-1]], axis=1))
    texts = np.stack([recording.frame_text, recording.frame_text[::-1]], axis=1)
    together = spoken_by(speech, prompts, frames, texts)
    for i in range(2):
        alone = spoken_by(speech, prompts[i : i + 1], frames[:, i : i + 1].copy(), texts[:, i : i + 1].copy())
        for got, want in zip(together, alone, strict=True):
            np.testing.assert_allclose(got[i : i + 1], want, rtol=0, atol=1e-4)


def spoken_by(
    speech: _native.SpeechModel, prompts: Sequence[FloatArray], frames: IntArray, texts: FloatArray
) -> list[FloatArray]:
    """Logits [sequences, vocabulary] of talker and code predictor, frame by frame."""
    talker = _native.TalkerSession(speech, len(prompts), 1, None)
    predictor = _native.CodePredictorSession(speech, len(prompts), 1, None)
    for sequence, prompt in enumerate(prompts):
        talker.prompt(sequence, prompt)
    logits = []
    for codes, text in zip(frames, texts, strict=True):
        scores, hidden = talker.frame(codes, text)
        logits += [scores, predictor.start(hidden, codes[:, 0].tolist())]
        logits += [predictor.next(column.tolist()) for column in codes.T[1:-1]]
    return logits


def test_agreement_knows_what_cosine_alone_hides() -> None:
    want = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    gate = GATES["q8_0"]
    assert agreement(want, want).inside(Gate(1 - 1e-12, 0, 1e-12))
    louder = agreement(want * 1.01, want)
    assert louder.cosine > 0.999999
    assert louder.nmse < gate.nmse
    assert not louder.inside(gate), "a gain of 1 % passes for noise"
    assert not agreement(np.roll(want, 1), want).inside(gate)
    assert not agreement(np.full_like(want, np.nan), want).inside(gate)
    assert not agreement(want, np.zeros_like(want)).inside(gate)
    assert agreement(np.zeros_like(want), np.zeros_like(want)) == Agreement(1, 0, 1, 0)
    assert agreement(np.zeros_like(want), want).cosine == 0
    with pytest.raises(ValueError, match="shape"):
        agreement(want[:-1], want)
