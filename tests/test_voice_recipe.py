"""The training recipe: its parts agree with each other, with transformers, and with the engine's prompt."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
for needed in ("hibari", "onnx", "onnxruntime", "scipy"):
    pytest.importorskip(needed)

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))

pytestmark = pytest.mark.slow


def part(name: str) -> ModuleType:
    """One module of the recipe."""
    import importlib

    return importlib.import_module(f"recipe.{name}")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All untrained parts, and the checkpoint and files made of them."""
    torch.manual_seed(3)
    directory = tmp_path_factory.mktemp("voice")
    talker, thinker = part("talker").Talker(36).eval(), part("thinker").Thinker().eval()
    code2wav = part("vocoder").build_code2wav(0).eval()
    checkpoint = part("export").write_checkpoint(directory / "checkpoint", thinker, talker, code2wav)
    speech, _ = part("export").write_gguf_files(checkpoint, directory, "f32")
    return {
        "talker": talker,
        "thinker": thinker,
        "code2wav": code2wav,
        "checkpoint": checkpoint,
        "speech": speech,
    }


def test_layers_compute_what_transformers_computes(voice: dict[str, Any]) -> None:
    """Fused for training, the layers are still those of the reference."""
    reference = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(
        voice["checkpoint"], dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        x = torch.randn(2, 20, 192)
        theirs = reference.talker.model(inputs_embeds=x).last_hidden_state
        assert torch.allclose(voice["talker"].stack(x), theirs, atol=1e-4)
        x = torch.randn(3, 8, 192)
        theirs = reference.talker.code_predictor.model(inputs_embeds=x).last_hidden_state
        assert torch.allclose(voice["talker"].predictor.stack(x), theirs, atol=1e-4)
        tokens = torch.randint(0, 340, (1, 30))
        assert torch.allclose(voice["thinker"](tokens), reference.thinker(input_ids=tokens).logits, atol=1e-4)
        codes = torch.randint(0, 256, (1, 8, 12))
        made = part("vocoder").decode(voice["code2wav"], codes).clamp(-1, 1)
        assert torch.allclose(made, reference.code2wav(codes)[:, 0], atol=1e-5)


def test_engine_agrees_with_transformers(voice: dict[str, Any]) -> None:
    """Every module of a voice of this shape, teacher-forced, in F32 and in the type of the committed files."""
    from parity import transformers_side
    from parity.cases import make_case
    from parity.engine_side import Engine
    from parity.rows import compare

    case = make_case(part("geometry").VOICE)
    recording = transformers_side.record(transformers_side.load_reference(voice["checkpoint"]), case)
    for type_ in ("f32", "f16"):
        files = part("export").write_gguf_files(voice["checkpoint"], voice["speech"].parent / type_, type_)
        rows = compare("voice", type_, Engine(*files).capture(case, recording), recording.outputs)
        assert len(rows) > 150
        assert [row for row in rows if not row.passes] == []


def test_training_reads_what_the_engine_will_feed(voice: dict[str, Any]) -> None:
    """User segment, nine positions, one text token a frame: as the engine lays them out."""
    import omniggml

    batches = part("batches")
    model = omniggml.load(voice["speech"], device="cpu")
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": "what's it?"}])
    tokens = model.tokenizer.encode("hello user")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (20, 8)).astype(np.int16)
    item = batches.Item(tuple(tokens), 1, codes, np.zeros(20, np.int16), np.zeros((20, 36), np.float16))
    batch = batches._collate([batches._row(item, model.tokenizer.encode("what's it?"))])
    with torch.no_grad():
        entered = voice["talker"].inputs(batch)[0].numpy()
    prompt = model.talker_prompt(conversation, tokens, speaker=part("teacher").SPEAKERS[1].name)
    assert np.abs(prompt.inputs - entered[: len(prompt.inputs)]).max() < 1e-4
    trailing = np.concatenate([prompt.trailing, np.repeat(prompt.pad, 40, 0)])[:20]
    table = voice["talker"].codec_embedding.detach().numpy()
    others = voice["talker"].predictor.embeddings.detach().numpy()
    summed = table[codes[:, 0]] + sum(others[group][codes[:, group + 1]] for group in range(7))
    assert np.abs(summed + trailing - entered[len(prompt.inputs) :]).max() < 1e-4


def test_snake_has_the_right_slope() -> None:
    """The backward pass that is written out agrees with finite differences."""
    x = torch.randn(2, 3, 5, dtype=torch.double, requires_grad=True)
    a, b = (torch.randn(3, dtype=torch.double, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(part("vocoder").Snake.apply, (x, a, b))


def test_teacher_keeps_to_the_grid() -> None:
    """Every phone fills whole frames, and there are samples for each of them."""
    teacher = part("teacher")
    rendering = teacher.render("hello world")
    assert rendering.phones[: teacher.LEAD_FRAMES] == (teacher.SILENCE,) * teacher.LEAD_FRAMES
    assert max(rendering.words) == 1
    samples = teacher.waveform(rendering.outputs, teacher.SPEAKERS[0], 0)
    assert abs(len(samples) - rendering.frames * teacher.FRAME_SAMPLES) < teacher.FRAME_SAMPLES // 2
    features = part("features").frame_features(rendering.outputs, rendering.frames)
    assert features.shape == (rendering.frames, part("features").WIDTH)


def test_nothing_held_out_is_planned() -> None:
    """No list of unseen texts meets the plan; the demo sentences are part of it, as the model card says."""
    data = part("data")
    planned = {item.text.rstrip(".?!") for item in data.plan(3000, 1)}
    assert planned & set(data.listed("demo_sentences"))
    assert not planned & (set(data.listed("unseen_sentences")) | set(data.listed("unseen_orders")))
    unseen = {word for line in data.listed("unseen_words") for word in line.split()} - {"the", "and"}
    assert not unseen & {word.strip(",") for text in planned for word in text.split()}


def test_questions_are_distinct_and_answerable() -> None:
    """At least 200 questions, no two alike, and none among those that have no answer."""
    questions = part("questions")
    plain = [asked.plain for asked in questions.all_questions()]
    assert len(plain) == len(set(plain)) >= 200
    rng = random.Random(0)
    assert not set(plain) & {questions.nonsense(rng) for _ in range(500)}
    for asked in questions.all_questions():
        assert not set(asked.trained()) & set(asked.unseen())


def test_judge_counts_words() -> None:
    """Figures and American spelling are no errors, a missing word is one."""
    judge = part("judge")
    result = judge.score(["three grey dogs", "hello world"], ["3 gray dogs.", "Hello."])
    assert (result.errors, result.words, result.exact) == (1, 5, 1)
    assert judge.words_of("10 - 2 = 8, 3 x 4") == ["ten", "minus", "two", "equals", "eight", "three", "times", "four"]


def test_recipe_runs_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages at the smallest size, twice: the second time there is nothing left to do but the files."""
    import omniggml

    monkeypatch.setattr(sys, "argv", ["run", "--work", str(tmp_path), "--size", "smoke", "--threads", "1"])
    part("pipeline").main()
    before = (tmp_path / "voice-speech.gguf").read_bytes()
    part("pipeline").main()
    assert (tmp_path / "voice-speech.gguf").read_bytes() == before
    model = omniggml.load(tmp_path / "voice-speech.gguf", device="cpu")
    assert model.speakers == ["chelsie", "ethan"]
    assert len(model.speak("hello", max_frames=3).samples) == model.n_samples(3)


def test_vocoder_draws_from_short_utterances_too() -> None:
    """Those shorter than a piece are passed over."""
    vocoder, teacher = part("vocoder"), part("teacher")
    lengths = (vocoder.CROP - 1, vocoder.CROP, vocoder.CROP + 30)
    codes = [np.full((8, frames), frames) for frames in lengths]
    audio = [np.zeros(frames * teacher.FRAME_SAMPLES, np.int16) for frames in lengths]
    pieces = vocoder.Pieces(codes, audio, seed=0)
    drawn = {int(row[0, 0]) for _ in range(10) for row in pieces.draw()[0]}
    assert drawn == set(lengths[1:])


def test_weighted_utterances_are_drawn_more_often() -> None:
    """Nine times as heavy and as long: nine pieces in ten."""
    vocoder, teacher = part("vocoder"), part("teacher")
    frames = vocoder.CROP + 5
    codes = [np.full((8, frames), value) for value in (1, 2)]
    audio = [np.zeros(frames * teacher.FRAME_SAMPLES, np.int16)] * 2
    pieces = vocoder.Pieces(codes, audio, seed=0, weights=[1.0, 9.0])
    drawn = np.concatenate([pieces.draw()[0][:, 0, 0].numpy() for _ in range(100)])
    assert 0.86 < (drawn == 2).mean() < 0.94


def test_what_it_is_asked_most_is_polished_most() -> None:
    """A demo sentence weighs more than an answer, and that more than any text, whatever mark they end with."""
    polishing, data = part("polishing"), part("data")
    texts = [data.listed("demo_sentences")[0] + "!", "there are seven hours", "two plus two is four."]

    def utterance(text: str) -> Any:
        empty = np.zeros(0)
        return data.Utterance(text, 0, (), empty, empty, empty, None)

    demo, other, answer = polishing._weights([utterance(text) for text in texts])
    assert demo > answer > other == 1.0


def test_the_committed_voice_has_the_measured_span() -> None:
    """The key was added to a file that was made before there was one."""
    import omniggml

    assert omniggml.load(device="cpu").longest_span == part("export").LONGEST_SPAN
