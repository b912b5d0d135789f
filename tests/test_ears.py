"""Speech in, speech out: the audio encoder, its files, audio in messages, and all of it against transformers."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from ears_side import FRAMES, TOWER, Ears, answered, boundaries, clip, our_answer, padded, recorded
from gguf_edit import GgufEdit
from omniggml import InputError, ModelFileError, TextOptions, _native, convert
from omniggml.files.encoders import open_encoders
from omniggml.media.hearing import Room, encode_audio
from omniggml.media.parts import HeardPart, parted
from omniggml.spec.mmproj_file import ARCHITECTURE
from omniggml.synthetic.ears import EARS
from parity.metrics import GATES, agreement

GREEDY = TextOptions(greedy=True, max_tokens=6)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Ears:
    return Ears(tmp_path_factory.mktemp("ears"))


@pytest.fixture(scope="module")
def model(ears: Ears) -> omniggml.Model:
    return ears.model()


def asked(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def audio(given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "audio", "audio": given, **more}


# --- against transformers ---------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize("name", EARS)
def test_every_module_of_the_encoder_agrees(ears: Ears, name: str) -> None:
    pytest.importorskip("transformers", "5")
    from omniggml.comparison.transformers_side import load_reference

    these = Ears(ears.root, "tiny", name)
    reference = load_reference(these.checkpoint)
    for frames in FRAMES:
        features = these.features(frames)
        theirs = recorded(reference, features)
        for type_ in GATES:
            ours = these.captured(features, type_, boundaries(theirs))
            assert set(theirs) - set(ours) == {TOWER}
            for module, array in ours.items():
                assert array.shape == theirs[module].shape, (module, frames)
                assert agreement(array, theirs[module]).inside(GATES[type_]), (module, frames, type_)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("geometry", "name"), [("tiny", "plain"), ("mini", "odd"), ("odd", "one-chunk"), ("grouped", "plain")]
)
def test_spoken_questions_are_answered_as_by_transformers(ears: Ears, geometry: str, name: str) -> None:
    """Text, codes and audio, of one clip, of several in one turn, and of turns that mix them."""
    pytest.importorskip("transformers", "5")
    from omniggml.comparison.transformers_side import load_reference

    these = Ears(ears.root, geometry, name)
    model, reference = these.model(), load_reference(these.checkpoint)
    clips = [clip("voice", 20000), clip("noise", 201), clip("voice", 36160)]
    text = {"type": "text", "text": "what is said?"}
    conversations: list[tuple[list[dict[str, Any]], list[int]]] = [
        (asked(audio(clips[0]), text), [0]),
        (asked(audio(clips[2]), text, audio(clips[1]), audio(clips[0])), [2, 1, 0]),
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [audio(clips[1])]},
                {"role": "assistant", "content": "one"},
                {"role": "user", "content": "two"},
                {"role": "assistant", "content": "three"},
                {"role": "user", "content": [text, audio(clips[2])]},
            ],
            [1, 2],
        ),
    ]
    n_mels = model.geometry["audio_encoder"]["num_mel_bins"]
    for messages, heard in conversations:
        features = [omniggml.log_mel(clips[i], n_mels=n_mels) for i in heard]
        speaker = model.speakers[0]
        prompt, tokens, spoken = our_answer(model, messages, speaker, 12, 12)
        ids, codes, samples = answered(reference, prompt, padded(features), speaker, 12, 12)
        assert ids[: len(tokens)] == tokens
        assert np.array_equal(spoken.codes, codes)
        assert np.abs(spoken.samples - samples).max() < 1e-4


# --- llama.cpp --------------------------------------------------------------------------------------------------------


def test_llama_cpp_hears_through_our_file(ears: Ears, tmp_path: Path) -> None:
    """It reads the file, and its prompt grows by what it heard; it pads windows otherwise, so the rows differ."""
    pytest.importorskip("xllamacpp")
    from test_llama_cpp_compat import llama_server, post

    _, thinker, mmproj = Ears(ears.root, "mini").files("f16")
    path = tmp_path / "q.wav"
    soundfile.write(path, clip("voice", 32000), 16000)
    data = base64.b64encode(path.read_bytes()).decode()
    text = {"type": "text", "text": "what?"}
    sound = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    with llama_server(thinker, mmproj) as address:
        lengths = []
        for parts in ([text], [text, sound]):
            body = {"messages": asked(*parts), "max_tokens": 2, "temperature": 0}
            lengths.append(post(address, "/v1/chat/completions", body)["usage"]["prompt_tokens"])
    assert lengths[1] - lengths[0] >= 26  # thirteen a second


# --- the encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EARS)
def test_tokens_of_a_clip(ears: Ears, name: str) -> None:
    these = Ears(ears.root, "tiny", name)
    native = these.encoders()
    for frames in FRAMES:
        assert len(these.encoded(these.features(frames))) == native.audio_tokens(frames)


def test_thirty_seconds_are_390_tokens(ears: Ears) -> None:
    assert [ears.encoders().audio_tokens(n) for n in (1, 50, 99, 100, 101, 150, 1000, 3000)] == [
        *(1, 7, 13, 13, 14, 20, 130, 390)
    ]


def test_the_same_bits_however_many_threads_and_how_often(ears: Ears) -> None:
    features = ears.features(950)
    one = ears.encoded(features)
    session = _native.AudioEncoderSession(ears.encoders(), 2, None)
    session.encode(ears.features(30))
    assert np.array_equal(one, session.encode(features))
    assert np.array_equal(one, ears.encoded(features, threads=3))


@pytest.mark.parametrize("name", EARS)
@pytest.mark.parametrize("type_", GATES)
def test_nodes_of_our_own_equal_ordinary_ones(ears: Ears, name: str, type_: str) -> None:
    these = Ears(ears.root, "tiny", name)
    plain = _native.MediaEncoders(open_encoders(these.files(type_)[2]).native, "cpu", plain=True)
    for frames in (1, 99, 1000, 3700):
        features = these.features(frames)
        ordinary = _native.AudioEncoderSession(plain, 1, None).encode(features)
        seen = agreement(these.encoded(features, type_), ordinary)
        assert seen.nmse <= (1e-10 if type_ == "f32" else 1e-3)


def test_a_window_is_heard_by_itself(ears: Ears) -> None:
    """What comes after eight seconds changes nothing before."""
    features = ears.features(1000)
    for type_ in ("f32", "bf16", "q8_0"):
        whole = ears.encoded(features, type_)
        assert np.array_equal(whole[:104], ears.encoded(features[:, :800], type_))


def test_probes_see_and_replace(model: omniggml.Model) -> None:
    given = clip("voice", 30000)
    plain = model.listen(given)
    with model.probe("thinker.audio_tower.layers.1") as seen:
        assert np.array_equal(model.listen(given), plain)
    layer = seen["thinker.audio_tower.layers.1"]
    assert layer.shape == (len(plain), 64)
    with model.probe(replace={"thinker.audio_tower.layers.1": layer}):
        assert np.array_equal(model.listen(given), plain)
    with model.probe(replace={"thinker.audio_tower.layers.1": np.zeros_like(layer)}):
        assert not np.array_equal(model.listen(given), plain)
    with model.probe("thinker.audio_tower.conv2d2") as seen:
        model.listen(given)
    assert seen["thinker.audio_tower.conv2d2"].shape == (2, 32, 32, 25)


@pytest.mark.parametrize("features", [np.zeros((128, 0)), np.zeros((127, 10)), np.zeros(10), np.full((128, 3), np.nan)])
def test_features_that_are_none(ears: Ears, features: Any) -> None:
    with pytest.raises(InputError, match="features"):
        ears.encoded(features.astype(np.float32))


# --- messages ---------------------------------------------------------------------------------------------------------


def test_audio_is_heard_however_it_comes(model: omniggml.Model, tmp_path: Path) -> None:
    samples = (clip("voice", 24000, 24000) * 2**15).astype(np.int16)
    path = tmp_path / "q.wav"
    soundfile.write(path, samples, 24000)
    data = base64.b64encode(path.read_bytes()).decode()
    text = {"type": "text", "text": "hm?"}
    replies = [
        model.chat(asked(part, text), text_options=GREEDY, greedy=True, max_frames=2)
        for part in (
            audio(str(path)),
            audio(path),
            audio(path.read_bytes()),
            audio(samples, sampling_rate=24000),
            audio({"array": samples, "sampling_rate": 24000}),
            audio(omniggml.Audio(samples.astype(np.float32) / 2**15, 24000)),
            {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
            {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}},
        )
    ]
    assert len({reply.tokens for reply in replies}) == 1
    assert all(np.array_equal(reply.audio.codes, replies[0].audio.codes) for reply in replies)
    other = model.chat(asked(audio(clip("noise", 24000)), text), text_options=GREEDY, greedy=True, max_frames=2)
    assert other.tokens != replies[0].tokens


def test_listen_is_what_the_thinker_reads(model: omniggml.Model, ears: Ears) -> None:
    given = clip("voice", 16000)
    rows = model.listen(given)
    assert rows.shape == (13, 64)
    assert np.array_equal(rows, ears.encoded(omniggml.log_mel(given)))
    assert np.array_equal(model.listen(given, sampling_rate=16000), rows)


def test_stream_text_hears(model: omniggml.Model) -> None:
    messages = asked(audio(clip("voice", 9000)))
    whole = model.chat(messages, text_options=GREEDY, max_frames=1)
    assert "".join(model.stream_text(messages, GREEDY)) == whole.text


REFUSED: dict[str, tuple[Any, str]] = {
    "a type that is none": ({"type": "smell", "smell": "x"}, "of the type 'smell'"),
    "no type": ({"nothing": 1}, "of the type None"),
    "no mapping": ("hello", "expected a mapping"),
    "audio without any": ({"type": "audio"}, "without one"),
    "text without any": ({"type": "text"}, "has to have a text"),
    "an image, without eyes": ({"type": "image", "image": "x.png"}, "holds no encoder for images"),
    "a video, without eyes": ({"type": "video", "video": "x.mp4"}, "holds no encoder for images"),
    "an address": (audio("https://example.com/a.wav"), "not downloaded"),
    "no base64": ({"type": "input_audio", "input_audio": {"data": "§§", "format": "wav"}}, "no base64"),
    "no data": ({"type": "input_audio", "input_audio": {}}, '"data"'),
    "no URL": ({"type": "audio_url", "audio_url": 3}, "data URL"),
    "a plain data URL": ({"type": "audio_url", "audio_url": {"url": "data:audio/wav,abc"}}, "isn't in base64"),
    "an empty mapping": (audio({}), "without an array"),
    "no file": (audio("nowhere.wav"), "no such file"),
    "nothing to hear": (audio(np.zeros(10)), "at least 201"),
    "a rate that is none": (audio(np.zeros(1000), sampling_rate="x"), "sampling rate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parts_that_can_not_be_heard(model: omniggml.Model, case: str) -> None:
    part, sentence = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(sentence)):
        model.chat(asked(part))


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_audio_in_turns_of_others(model: omniggml.Model, role: str) -> None:
    turns = [{"role": role, "content": [audio(clip("voice", 4000))]}, {"role": "user", "content": "hm?"}]
    with pytest.raises(InputError, match=f"a turn of the {role}"):
        model.chat(turns)


def test_more_than_the_context_holds(model: omniggml.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused before any of it is encoded, whether it is much too long or by a row."""
    monkeypatch.setattr(_native, "AudioEncoderSession", None)
    for rows in (100, 1):
        room = Room(4096 - 3, 4096)
        samples = np.zeros(round((room.rows + rows) * 16000 / 13), np.float32)
        with pytest.raises(InputError, match=r"longer than the 315 seconds .* context of 4096 positions"):
            encode_audio(model._encoders, HeardPart(samples), 1, room=room)
    with pytest.raises(InputError, match="positions has room for; cut it"):
        model.chat(asked(audio(np.zeros(16000 * 330, np.float32))))


def test_room_for_the_second_of_two_recordings(model: omniggml.Model) -> None:
    context = 4096
    half = np.zeros(int(16000 * 0.6 * context / 13), np.float32)
    with pytest.raises(InputError, match="audio 2 is longer than the"):
        model.chat(asked(audio(half), audio(half)))


def test_text_alone_is_left_as_it_is() -> None:
    turns = [{"role": "user", "content": "hm?"}, {"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]
    plain = parted(turns)
    assert plain.turns == turns and plain.media == ()


def test_without_ears_or_a_token_for_them(ears: Ears) -> None:
    speech, thinker, _ = ears.files()
    deaf = omniggml.load(speech, mmproj=False)
    assert not deaf.has_ears
    for ask in (lambda: deaf.chat(asked(audio(clip("voice", 4000)))), lambda: deaf.listen(clip("voice", 4000))):
        with pytest.raises(InputError, match="without an mmproj file"):
            ask()
    with pytest.raises(InputError, match="without an mmproj file"):
        omniggml.load(thinker=thinker, mmproj=False).chat(asked(audio(clip("voice", 4000))))


def test_a_template_without_places_for_audio(model: omniggml.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(model.tokenizer), "encode_chat", lambda *_: [1, 2, 3])
    with pytest.raises(ModelFileError, match="0 places for 1 parts"):
        model.chat(asked(audio(clip("voice", 4000))))


def test_more_places_than_audio(model: omniggml.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pad = model.tokenizer.token_id("<|audio_pad|>")
    monkeypatch.setattr(type(model.tokenizer), "encode_chat", lambda *_: [1, pad, pad, 3])
    with pytest.raises(ModelFileError, match="2 places for 1 parts"):
        model.chat(asked(audio(clip("voice", 4000))))


def command(*words: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "omniggml", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_the_command(ears: Ears, tmp_path: Path) -> None:
    speech, thinker, mmproj = ears.files()
    path, out = tmp_path / "q.wav", tmp_path / "a.wav"
    soundfile.write(path, clip("voice", 8000), 16000)
    short = ("--max-tokens", 3, "--text-greedy")
    asked_of = command("chat", "what?", "--audio", path, "--thinker", thinker, *short)
    heard = command("chat", "--audio", path, "--thinker", thinker, "--mmproj", mmproj, *short)
    assert {asked_of.returncode, heard.returncode} <= {0, 3}
    assert asked_of.stdout.strip() and heard.stdout.strip() and asked_of.stdout != heard.stdout
    nothing = command("chat", "--thinker", thinker)
    assert nothing.returncode != 0 and "--audio" in nothing.stderr
    over_itself = command("chat", "--audio", path, "-m", speech, "-o", path, *short)
    assert over_itself.returncode != 0 and soundfile.info(path).frames == 8000
    spoken = command("chat", "--audio", path, "-m", speech, "-o", out, "--max-frames", 2, *short)
    assert spoken.returncode in (0, 3) and out.exists()


NO_FILES = {
    "": "--audio names no file",
    ".": "is a directory",
    "nowhere.wav": "no such file",
    "https://example.com/a.wav": "is not downloaded",
    "file:///a.wav": "is not downloaded",
    "-": "nothing came through standard input",
    "data:audio/wav,abc": "isn't in base64",
}


@pytest.mark.parametrize("given", NO_FILES)
def test_what_is_no_recording(ears: Ears, tmp_path: Path, given: str) -> None:
    _, thinker, mmproj = ears.files()
    told = piped(b"", "chat", "--audio", given, "--thinker", thinker, "--mmproj", mmproj, at=tmp_path)
    assert told.returncode == 1 and told.stderr.count("\n") == 1
    assert NO_FILES[given] in told.stderr


def piped(data: bytes, *words: object, at: Path) -> subprocess.CompletedProcess[str]:
    """A command that is given `data` through standard input."""
    call = [sys.executable, "-m", "omniggml", *map(str, words)]
    run = subprocess.run(call, input=data, capture_output=True, check=False, cwd=at)
    return subprocess.CompletedProcess(call, run.returncode, run.stdout.decode(), run.stderr.decode())


def test_a_recording_comes_through_a_pipe(ears: Ears, tmp_path: Path) -> None:
    """By - and by a pipe's name, and is heard as from the file; an answer that is cut exits with 3, as speech does."""
    _, thinker, mmproj = ears.files()
    path = tmp_path / "q.wav"
    soundfile.write(path, clip("voice", 8000), 16000)
    rest = ("--thinker", thinker, "--mmproj", mmproj, "--max-tokens", 3, "--text-greedy")
    by_name = command("chat", "--audio", path, *rest)
    for name in ("-", "/dev/stdin"):
        through = piped(path.read_bytes(), "chat", "--audio", name, *rest, at=tmp_path)
        assert (through.returncode, through.stdout) == (by_name.returncode, by_name.stdout), through.stderr
    assert by_name.returncode == (3 if "the answer was cut: token limit" in by_name.stderr else 0)
    for option in ("--fps", "--max-pixels"):
        idle = command("chat", "--audio", path, option, 2, *rest)
        assert idle.returncode == 1 and f"{option} would change nothing without" in idle.stderr
    twice = piped(path.read_bytes(), "chat", "--audio", "-", "--video", "-", *rest, at=tmp_path)
    assert twice.returncode == 1 and "only once" in twice.stderr


def test_an_answer_that_is_cut_exits_with_3(voice: omniggml.Model, tmp_path: Path) -> None:
    """Of the built-in voice, whose answers have an end."""
    out = tmp_path / "a.wav"
    cut = command("chat", "what is two plus three", "--text-greedy", "--max-tokens", 3, "-o", out)
    assert cut.returncode == 3 and "the answer was cut: token limit" in cut.stderr and out.exists()
    whole = command("chat", "what is two plus three", "--text-greedy", "-o", out)
    assert whole.returncode == 0, whole.stderr


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_files_are_found_beside_each_other(ears: Ears) -> None:
    speech, thinker, mmproj = ears.files()
    given = clip("voice", 5000)
    rows = omniggml.load(speech).listen(given)
    for other in (
        omniggml.load(thinker),
        omniggml.load(thinker=thinker),
        omniggml.load(thinker=thinker, mmproj=mmproj),
    ):
        assert other.has_ears
        assert np.array_equal(other.listen(given), rows)


def test_what_inspect_says(ears: Ears) -> None:
    seen = omniggml.inspect(ears.files("f16")[2])
    assert seen.family == "mmproj" and seen.loads and seen.needs == ("thinker",)
    assert {share.stage for share in seen.shares} == {"audio encoder"}
    assert seen.unknown == () and seen.concerns == ()
    assert seen.geometry[ARCHITECTURE]["audio.block_count"] == 3


def test_policies_keep_what_they_should(ears: Ears, tmp_path: Path) -> None:
    mmproj = ears.files()[2]
    quantized = omniggml.quantize(mmproj, tmp_path / "q-mmproj.gguf", policy="q8_0")
    types = {change.name: change.after for change in quantized.changes}
    assert types["a.position_embd.weight"] == types["a.blk.0.ln1.weight"] == types["a.conv2d.1.bias"] == "F32"
    assert types["a.blk.0.attn_q.weight"] == "Q8_0"
    thinker = ears.files()[1]
    given = clip("voice", 20000)
    rows = omniggml.load(thinker=thinker, mmproj=mmproj).listen(given)
    again = omniggml.load(thinker=thinker, mmproj=quantized.path).listen(given)
    assert agreement(again, rows).inside(GATES["q8_0"])


def test_a_checkpoint_without_ears_makes_none(tmp_path: Path, tiny_files: Any) -> None:
    checkpoint = tiny_files.speech.parent / "checkpoint"
    with pytest.raises(omniggml.ConversionError, match="no weights of an encoder"):
        convert(checkpoint, tmp_path, only="mmproj")


def test_ears_alone(ears: Ears, tmp_path: Path) -> None:
    (only,) = convert(ears.checkpoint, tmp_path, type="f32", name="x", only="mmproj")
    assert only.name == "x-mmproj.gguf"
    whole, alone = (omniggml.inspect(path) for path in (ears.files()[2], only))
    assert whole.shares == alone.shares


def test_other_models_files(ears: Ears) -> None:
    speech, thinker, mmproj = ears.files()
    with pytest.raises(ModelFileError, match="is an mmproj file, through which a thinker hears and sees"):
        omniggml.load(mmproj)
    with pytest.raises(ModelFileError, match="is an mmproj file, through which a thinker hears and sees"):
        omniggml.load(thinker=mmproj)
    with pytest.raises(ModelFileError, match="is no mmproj file"):
        omniggml.load(speech, mmproj=thinker)
    other = Ears(ears.root, "mini").files()
    with pytest.raises(ModelFileError, match="belong to different models"):
        omniggml.load(other[0], mmproj=mmproj)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clip.audio.block_count", 2),
        ("clip.audio.block_count", 4),
        ("clip.audio.embedding_length", 32),
        ("clip.audio.attention.head_count", 3),
        ("clip.audio.attention.head_count", 0),
        ("clip.audio.feed_forward_length", 95),
        ("clip.audio.num_mel_bins", 64),
        ("clip.audio.num_mel_bins", 1000),
        ("clip.audio.projection_dim", 1),
        ("clip.audio.projector_type", "ultravox"),
        ("clip.audio.attention.layer_norm_epsilon", -1.0),
        ("qwen3omni.audio.n_window", 0),
        ("qwen3omni.audio.n_window", 800),
        ("qwen3omni.audio.n_window_infer", 50),
    ],
)
def test_files_that_do_not_add_up(ears: Ears, tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "bad-mmproj.gguf"
    GgufEdit.read(ears.files()[2]).set(key, value).write(path)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(ears.files()[0], mmproj=path)
    assert str(path) in str(error.value)


def test_cut_files(ears: Ears, tmp_path: Path) -> None:
    whole = ears.files()[2].read_bytes()
    for length in (0, 20, 1000, len(whole) // 2, len(whole) - 1):
        path = tmp_path / "cut-mmproj.gguf"
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            omniggml.load(ears.files()[0], mmproj=path)
