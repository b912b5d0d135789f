"""The training recipe: its parts agree with each other, with transformers, and with the engine's prompt."""

from __future__ import annotations

import dataclasses
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


def test_the_ear_computes_what_transformers_and_the_engine_compute(tmp_path: Path) -> None:
    """In batches of clips of any length, and alone from the file that is made of it."""
    import omniggml

    torch.manual_seed(5)
    ear, rows_of = part("ear").Ear().eval(), part("spoken").rows_of
    lengths = (100, 237, 563, 799, 1650)
    features = torch.zeros(len(lengths), 128, max(lengths))
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, 160 * length).astype(np.float32) for length in lengths]
    for row, sound in zip(features, sounds, strict=True):
        row[:, : len(sound) // 160] = torch.from_numpy(omniggml.log_mel(sound))
    rows = torch.tensor([rows_of(length) for length in lengths])
    with torch.no_grad():
        ours = ear(features, rows)
    config = transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe.Qwen3OmniMoeAudioEncoderConfig(
        **dataclasses.asdict(part("geometry").EAR), attn_implementation="eager"
    )
    modeling = transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe
    reference = modeling.Qwen3OmniMoeAudioEncoder(config).eval()
    assert reference.load_state_dict(ear.state_dict(), strict=False).unexpected_keys == []
    export = part("export")
    mmproj = export.write_ear_file(export.write_ear_checkpoint(tmp_path / "checkpoint", ear), tmp_path, "f32")
    assert mmproj.name == "voice-mmproj.gguf"
    model = omniggml.load(device="cpu", mmproj=mmproj)
    for index, (length, sound) in enumerate(zip(lengths, sounds, strict=True)):
        mine = ours[index, : rows_of(length)].numpy()
        with torch.no_grad():
            heard = reference(features[index, :, :length], feature_lens=torch.tensor([length])).last_hidden_state
        assert np.abs(mine - heard.numpy()).max() < 1e-5
        assert np.abs(mine - model.listen(sound)).max() < 1e-4


def test_the_ears_thinker_is_the_engines() -> None:
    """Read back from its file, in the conversation in which the ear is trained."""
    import omniggml

    model = omniggml.load(device="cpu")
    thinker = part("thinker_file").read_thinker(model.path.with_name("voice-thinker.gguf"))
    training = part("ear_training")
    turn = {"role": "user", "content": [{"type": "audio", "audio": "x"}]}
    heard = model.tokenizer.encode_chat([turn])
    pad = part("tokenizer").voice_tokenizer().added["<|audio_pad|>"]
    assert heard == [*training.BEFORE, pad, *training.AFTER]
    tokens = [*training.BEFORE, *model.tokenizer.encode("what is two plus two"), *training.AFTER]
    with torch.no_grad():
        assert np.abs(thinker(torch.tensor([tokens]))[0].numpy() - model.thinker(tokens).logits).max() < 1e-2


def test_recordings_hold_nothing_that_is_held_out() -> None:
    """No phrasing of those that are tested with, whatever stands in front of it, and no speaker."""
    spoken, aloud, plan_rng = part("spoken"), part("aloud"), random.Random(2)
    said = "".join(f"\n {aloud.plainly(one.text)} \n" for one in spoken.plan(3000, 1))
    for asked in part("questions").all_questions():
        said += "".join(f"\n {aloud.plainly(aloud.asked_aloud(asked, plan_rng))} \n" for _ in range(4))
        assert not [text for text in asked.unseen() if f" {aloud.plainly(text)} " in said]
    rng = np.random.default_rng(0)
    low, high = spoken.LEFT_OUT
    assert not [one for _ in range(500) if low < (one := spoken.drawn_speaker(rng)).pitch < high]
    assert all(low < one.pitch < high or one.pitch > 1.3 for one in spoken.UNHEARD_SPEAKERS)


def test_recordings_say_where_their_words_are(tmp_path: Path) -> None:
    """A row for each token, in order, from about where its word begins; and a shard gives back what was put in."""
    spoken = part("spoken")
    said, manner = spoken.Spoken("what is two plus three", "two plus three is five"), spoken.Manner(before=0.5)
    speech = spoken.voiced(said.text, spoken.SPEAKERS[0], manner, 0)
    clip = spoken.make_clip(said, speech, manner, spoken.Surroundings(), 0, None)
    empty = spoken.empty_clip(3, None)
    assert len(clip.tokens) == spoken.rows_of(clip.features.shape[1])
    tokens = [int(token) for token in clip.tokens if token != spoken.FILLER]
    assert part("tokenizer").engine_tokenizer().decode(tokens) == said.text
    assert 0.4 < np.flatnonzero(clip.tokens != spoken.FILLER)[0] / spoken.ROWS_A_SECOND < 0.75
    assert (empty.tokens == spoken.FILLER).all() and empty.said.answer == spoken.NOT_UNDERSTOOD
    spoken.save_clips(tmp_path / "0.npz", [clip, empty])
    for before, after in zip([clip, empty], spoken.load_shard(tmp_path / "0.npz"), strict=True):
        assert before.said == after.said
        for name in ("features", "tokens", "phones"):
            assert np.array_equal(getattr(before, name), getattr(after, name))


def test_the_ear_learns_from_the_frozen_thinker() -> None:
    """A few steps on one batch: the loss of the answers falls, and nothing of the thinker moves."""
    import omniggml

    training, spoken = part("ear_training"), part("spoken")
    thinker = part("thinker_file").read_thinker(omniggml.load().path.with_name("voice-thinker.gguf"))
    before = [value.clone() for _, value in thinker.tensors()]
    batch = training.collate(spoken.unheard_clips(4, 3))
    torch.manual_seed(0)
    model = training.Hearing()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        found = model(batch, thinker, answering=True)
        optimizer.zero_grad()
        (found.answers + found.tokens).backward()
        optimizer.step()
        losses.append((float(found.answers), float(found.tokens)))
    assert losses[-1][0] < 0.8 * losses[0][0] and losses[-1][1] < 0.8 * losses[0][1]
    assert all(torch.equal(old, new) for old, (_, new) in zip(before, thinker.tensors(), strict=True))


def spoken_clip() -> Any:
    """A question of ten words or so, with the tokens and phones of its rows."""
    return max(part("spoken").unheard_clips(12, 3), key=lambda clip: len(clip.said.text.split()))


def written(clip: Any) -> list[int]:
    spoken = part("spoken")
    assert len(clip.tokens) == len(clip.phones) == spoken.rows_of(clip.features.shape[1])
    assert np.isfinite(clip.features).all() and clip.features.dtype == np.float16
    return [int(token) for token in clip.tokens if token not in (spoken.FILLER, part("talker").NOTHING)]


def test_clips_with_seconds_about_them() -> None:
    """The same sound and the same tokens, so many rows later; what is heard around it is heard within it, too."""
    microphone = part("open_microphone")
    clip, rng = spoken_clip(), np.random.default_rng(1)
    begin, frames = round(20 * 100 / 13), clip.features.shape[1]
    noise = np.full((128, 7), float(clip.features.max()) - 0.5, np.float32)
    for around in (None, np.full((128, 1), -9.0, np.float32), noise):
        made = microphone.surrounded(clip, 20, 30, around, rng)
        assert written(made) == written(clip) and made.said == clip.said
        assert np.array_equal(made.tokens[20 : 20 + len(clip.tokens)], clip.tokens)
        assert np.array_equal(made.phones[20 : 20 + len(clip.phones)], clip.phones)
        inside, outside = made.features[:, begin : begin + frames], made.features[:, : begin - 1]
        assert (inside.astype(np.float32) >= clip.features.astype(np.float32) - 1e-3).all()
        assert made.features.min() >= max(-1.5, float(made.features.max()) - 2) - 1e-2
        if around is noise:
            assert outside.min() > float(clip.features.max()) - 0.51 < inside.min() + 0.02
        else:
            assert outside.mean() < clip.features.mean()
            assert np.abs(inside.astype(np.float32) - clip.features.astype(np.float32)).max() < 0.5


@pytest.mark.parametrize("times", [0.8, 1.0, 1.15])
def test_clips_at_another_pace(times: float) -> None:
    clip = spoken_clip()
    made = part("open_microphone").paced(clip, times)
    assert made.features.shape[1] == round(clip.features.shape[1] * times)
    assert written(made) == written(clip)
    if times == 1.0:
        assert np.array_equal(made.features, clip.features) and np.array_equal(made.phones, clip.phones)
    begins = [np.flatnonzero(one.tokens != part("spoken").FILLER)[0] for one in (clip, made)]
    assert abs(begins[1] - begins[0] * times) <= 1


def test_a_clip_with_a_pause_in_it() -> None:
    microphone, spoken = part("open_microphone"), part("spoken")
    slow = dataclasses.replace(spoken.Manner(), stretch=1.5)
    said = spoken.Spoken("what is the capital of france", "the capital of france is paris")
    speech = spoken.voiced(said.text, spoken.SPEAKERS[0], slow, 1)
    clip = spoken.make_clip(said, speech, slow, spoken.Surroundings(), 0, None)
    made = microphone.paused(clip, 13, np.random.default_rng(2))
    assert made.features.shape[1] == clip.features.shape[1] + 100 and written(made) == written(clip)
    fillers = "".join("." if token == spoken.FILLER else "w" for token in made.tokens)
    assert "." * 13 in fillers.strip(".")


def test_the_second_of_two_questions_is_answered() -> None:
    microphone = part("open_microphone")
    first, clip = part("spoken").unheard_clips(2, 5)
    made = microphone.following(first, clip, 3, np.random.default_rng(1))
    assert made.said == clip.said and written(made) == written(first) + written(clip)


def test_clips_are_made_anew_every_time() -> None:
    """All of them, of nothing as of something, never longer than half a minute, other ones each time."""
    microphone, spoken = part("open_microphone"), part("spoken")
    clips = [*spoken.unheard_clips(12, 3), *(spoken.empty_clip(seed, None) for seed in range(12))]
    rng = np.random.default_rng(3)
    rounds = [[clip for portion in microphone.opened(clips, rng) for clip in portion] for _ in range(3)]
    for made in rounds:
        assert sorted(clip.said.answer for clip in made) == sorted(clip.said.answer for clip in clips)
        assert all(25 <= clip.features.shape[1] <= 3000 or clip.features.shape[1] < 30 for clip in made)
        for clip in made:
            written(clip)
    lengths = [sorted(clip.features.shape[1] for clip in made) for made in rounds]
    assert lengths[0] != lengths[1] != lengths[2]
    assert np.mean(lengths) > np.mean([clip.features.shape[1] for clip in clips]) * 1.05


def test_clips_are_disturbed_where_they_are() -> None:
    """Nothing beside a clip, the same by the same draws, and most of what is heard stays what it was."""
    training, spoken = part("ear_training"), part("spoken")
    batch = training.collate([*spoken.unheard_clips(6, 3), spoken.empty_clip(1, None)])
    one, two, other = (training.disturbed(batch, torch.Generator().manual_seed(seed)).features for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and bool(torch.isfinite(one).all())
    for made, as_it_is, frames in zip(one, batch.features.float(), batch.frames, strict=True):
        assert not made[:, frames:].any()
        assert float(torch.corrcoef(torch.stack([made[:, :frames].ravel(), as_it_is[:, :frames].ravel()]))[0, 1]) > 0.5


def test_closing_answers_only_what_is_listed() -> None:
    training, spoken = part("ear_training"), part("spoken")
    clip = spoken.unheard_clips(1, 3)[0]
    repeated = dataclasses.replace(clip, said=spoken.Spoken("say a tree", "a tree"))
    for closing, answered in ((False, {0, 1}), (True, {0})):
        batch = training.collate([clip, repeated], closing)
        assert set(batch.whose.tolist()) == answered
        assert len(batch.tokens) == 2 * len(clip.tokens)


def test_a_batch_in_which_nobody_says_anything_has_losses() -> None:
    import omniggml

    training, spoken = part("ear_training"), part("spoken")
    thinker = part("thinker_file").read_thinker(omniggml.load().path.with_name("voice-thinker.gguf"))
    said = spoken.Spoken("", spoken.NOT_UNDERSTOOD)
    rows = np.full(13, spoken.NOTHING)
    clip = spoken.Clip(said, np.zeros((128, 100), np.float16), rows.astype(np.int16), rows.astype(np.int8))
    losses = training.Hearing()(training.collate([clip, clip]), thinker, answering=True)
    assert all(torch.isfinite(value) for value in vars(losses).values())
    assert float(losses.tokens) == 0 and float(losses.answers) > 0


def test_surroundings_are_what_they_are_called() -> None:
    """Noise as loud as it was asked for, and nothing outside of a band."""
    acoustics = part("acoustics")
    rng = np.random.default_rng(1)
    tone = np.sin(np.arange(32000) * 0.4).astype(np.float32)
    for kind in acoustics.NOISES:
        made = acoustics.noise(kind, 30011, rng, tone)
        assert made.shape == (30011,) and abs(float(np.sqrt(np.mean(made**2))) - 1) < 1e-3
    quiet = acoustics.recorded(tone, acoustics.Surroundings(), np.random.default_rng(0))
    noisy = acoustics.recorded(tone, acoustics.Surroundings("white", 10.0), np.random.default_rng(0))
    assert abs(20 * np.log10(np.std(quiet) / np.std(noisy - quiet)) - 10) < 0.5
    telephone = acoustics.recorded(
        acoustics.noise("white", 32000, rng), acoustics.Surroundings(band=(300.0, 3400.0)), np.random.default_rng(0)
    )
    power = np.abs(np.fft.rfft(telephone)) ** 2
    assert power[12000:].sum() < 0.02 * power[800:6000].sum()


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
    assert model.has_ears and model.listen(np.zeros(16000)).shape == (13, 128)


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
