"""Images and videos in, speech out: the vision encoder, its files, and all of it against transformers."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from ears_side import answered, our_answer
from eyes_side import GRIDS, VISUAL, Eyes, Shown, held_to, recorded, write_video
from gguf_edit import GgufEdit
from omniggml import InputError, ModelFileError, TextOptions, _native, convert
from omniggml.files.encoders import open_encoders
from omniggml.media.parts import SeenPart, WatchedPart, parted
from omniggml.media.seeing import Eyes as Eyes_
from omniggml.synthetic.eyes import EYES
from parity.metrics import agreement
from parity.rows import compare
from sentences import one_sentence
from test_log_mel import clip

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Eyes:
    return Eyes(tmp_path_factory.mktemp("eyes"))


# --- against transformers ---------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize("name", EYES)
def test_every_module_of_the_encoder_agrees(eyes: Eyes, name: str) -> None:
    pytest.importorskip("transformers", "5")
    from omniggml.comparison.transformers_side import load_reference

    these = Eyes(eyes.root, "tiny", name)
    reference = load_reference(these.checkpoint)
    for grid in GRIDS:
        theirs = recorded(reference, these.patches(grid), grid)
        for type_ in (type_ for type_ in ("f32", "f16", "q8_0") if held_to(type_, grid)):
            ours = these.captured(grid, type_)
            assert len(ours) > 20 * EYES[name]["depth"] / 2
            for row in compare(name, type_, ours, theirs):
                assert ours[row.module].shape == theirs[row.module].shape, (row.module, grid)
                assert row.passes, (row, grid)


@pytest.mark.parametrize("name", EYES)
@pytest.mark.parametrize("type_", ("f32", "f16", "q8_0"))
def test_nodes_of_our_own_equal_ordinary_ones(eyes: Eyes, name: str, type_: str) -> None:
    these = Eyes(eyes.root, "tiny", name)
    encoders = open_encoders(these.files(type_)[2]).native
    for grid in GRIDS:
        rows = [
            _native.VisionEncoderSession(_native.MediaEncoders(encoders, "cpu", plain=plain), threads, None).encode(
                these.patches(grid), list(grid)
            )
            for plain, threads in ((True, 1), (False, 1), (False, 3))
        ]
        ordinary, own, threaded = (np.stack([all_rows, *deepstack]) for all_rows, deepstack in rows)
        assert agreement(own, ordinary).nmse <= (1e-10 if type_ == "f32" else 1e-3)
        assert np.array_equal(own, threaded)


def test_llama_cpp_sees_the_same_through_our_file(eyes: Eyes, tmp_path: Path) -> None:
    """Without deepstack, which its Qwen3-Omni doesn't take: another program reads the layout and answers alike."""
    pytest.importorskip("xllamacpp")
    from test_llama_cpp_compat import llama_server, post

    these = Eyes(eyes.root, "mini", "plain", None)
    _, thinker, _ = these.files("f16")
    (shallow,) = convert(these.checkpoint, tmp_path, name="shallow", only="mmproj", deepstack=False)
    assert not any(tensor.name.startswith("v.deepstack.") for tensor in GgufEdit.read(shallow).tensors)
    url = f"data:image/png;base64,{base64.b64encode(as_png(picture(128, 192))).decode()}"
    shown = {"type": "image_url", "image_url": {"url": url}}
    answers = []
    with llama_server(thinker, shallow) as address:
        for parts in ([text("what?")], [text("what?"), shown]):
            answers.append(post(address, "/v1/chat/completions", {"messages": asked(*parts)} | SHORT))
    lengths = [answer["usage"]["prompt_tokens"] for answer in answers]
    assert lengths[1] - lengths[0] == 4 * 6 + 2
    with pytest.warns(UserWarning, match="seen less well"):
        ours = omniggml.load(thinker=thinker, mmproj=shallow)
    said = "".join(ours.stream_text(asked(text("what?"), shown), TextOptions(greedy=True, max_tokens=4)))
    theirs = answers[1]["choices"][0]["message"]["content"]
    assert said.rstrip("\ufffd") and theirs.rstrip("\ufffd").startswith(said.rstrip("\ufffd"))


SHORT = {"max_tokens": 6, "temperature": 0}


class Pictures:
    """A checkpoint's model, and what it is shown as the reference is given it."""

    def __init__(self, model: omniggml.Model) -> None:
        self.model = model
        self.eyes = Eyes_(model._media_encoders(), 1)
        self.n_mels = model.geometry["audio_encoder"]["num_mel_bins"]

    def shown(self, messages: list[dict[str, Any]], *, with_sound: bool = False) -> Shown:
        shown = Shown([], [], [], with_sound)
        for part in parted(messages).media:
            if isinstance(part, SeenPart):
                shown.images.append(self.eyes.image_patches(part, "it"))
            elif isinstance(part, WatchedPart):
                frames, rate = self.eyes.frames(part, "it")
                shown.videos.append((list(frames.pairs()), rate.step))
                if with_sound:
                    shown.clips.append(omniggml.log_mel(part.video, n_mels=self.n_mels))
            else:
                shown.clips.append(omniggml.log_mel(part.audio, n_mels=self.n_mels))
        return shown


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def picture(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def image(given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "image", "image": given, **more}


def video(given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "video", "video": given, **more}


def asked(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def conversations(block: int, film: Path) -> list[tuple[list[dict[str, Any]], bool]]:
    """Messages, and whether videos in them are heard. Sizes in blocks of pixels."""
    small = {"max_pixels": 12 * block**2, "min_pixels": 1}
    pictures = [
        image(picture(rows * block, columns * block, rows), **small) for rows, columns in ((1, 2), (3, 2), (2, 5))
    ]
    frames = np.stack([picture(2 * block, 3 * block, seed) for seed in range(5)])
    sound = {"type": "audio", "audio": clip("voice", 20000)}
    silent = video(frames, fps=1, **small)
    return [
        (asked(pictures[0], text("what is seen?")), False),
        (asked(text("what?"), pictures[1], sound, pictures[2]), False),
        (asked(silent, text("what happens?")), False),
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [pictures[2], text("one")]},
                {"role": "assistant", "content": "one"},
                {"role": "user", "content": "two"},
                {"role": "assistant", "content": "three"},
                {"role": "user", "content": [text("and"), silent, sound, pictures[0]]},
            ],
            False,
        ),
        (asked(video(film, **small), text("what is said?"), pictures[1]), True),
    ]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("geometry", "name"),
    [("tiny", "plain"), ("mini", "odd"), ("odd", "wide-heads"), ("grouped", "small-patches")],
)
def test_questions_about_pictures_are_answered_as_by_transformers(
    eyes: Eyes, tmp_path: Path, geometry: str, name: str
) -> None:
    """Text, codes and audio, of images, videos with and without sound, and turns that mix them."""
    pytest.importorskip("transformers", "5")
    pytest.importorskip("av")
    from omniggml.comparison.transformers_side import load_reference

    these = Eyes(eyes.root, geometry, name)
    model, reference = these.model(), load_reference(these.checkpoint)
    seen = Pictures(model)
    block = 2 * EYES[name]["patch_size"]
    frames = np.stack([picture(2 * block, 3 * block, seed) for seed in range(7)])
    film = write_video(tmp_path / "film.mkv", frames, 2, clip("voice", 50000))
    for messages, with_sound in conversations(block, film):
        speaker = model.speakers[0]
        prompt, tokens, spoken = our_answer(model, messages, speaker, 12, 12)
        media = seen.shown(messages, with_sound=with_sound).inputs()
        ids, codes, samples = answered(reference, prompt, media, speaker, 12, 12)
        assert ids[: len(tokens)] == tokens
        assert np.array_equal(spoken.codes, codes)
        assert np.abs(spoken.samples - samples).max() < 1e-4


# --- the encoder ------------------------------------------------------------------------------------------------------


def test_a_row_for_each_block_of_patches(eyes: Eyes) -> None:
    for grid in GRIDS:
        rows, deepstack = eyes.seen(grid)
        assert rows.shape == (np.prod(grid) // 4, 64)
        assert len(deepstack) == 2 and all(level.shape == rows.shape for level in deepstack)


def test_the_same_bits_however_many_threads_and_how_often(eyes: Eyes) -> None:
    grid = (1, 16, 12)
    rows, deepstack = eyes.seen(grid)
    session = _native.VisionEncoderSession(eyes.encoders(), 2, None)
    session.encode(eyes.patches((1, 2, 4)), (1, 2, 4))
    again, deep_again = session.encode(eyes.patches(grid), grid)
    assert np.array_equal(rows, again)
    assert all(np.array_equal(a, b) for a, b in zip(deepstack, deep_again, strict=True))
    assert np.array_equal(rows, eyes.seen(grid, threads=3)[0])


def test_pairs_of_frames_see_nothing_of_each_other(eyes: Eyes) -> None:
    grid = (2, 4, 6)
    session, patches = _native.VisionEncoderSession(eyes.encoders(), 1, None), eyes.patches(grid)
    rows, _ = session.encode(patches, grid)
    second, _ = session.encode(patches[24:], (1, 4, 6))
    assert np.array_equal(rows[6:], second)


def test_probes_see_and_replace(eyes: Eyes) -> None:
    grid, path = (1, 4, 16), f"{VISUAL}.blocks.1"
    block = eyes.captured(grid)[path]
    assert block.shape == (64, 64)

    def with_block(array: Any) -> Any:
        probe = omniggml.probe.new_probe((), {path: array})
        return _native.VisionEncoderSession(eyes.encoders(), 1, probe).encode(eyes.patches(grid), grid)[0]

    rows, _ = eyes.seen(grid)
    assert np.array_equal(with_block(block), rows)
    assert not np.array_equal(with_block(np.zeros_like(block)), rows)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((4, 1536), (1, 2, 4)),
        ((4, 1535), (1, 2, 2)),
        ((4, 1536), (1, 1, 4)),
        ((4, 1536), (1, 4, 1)),
        ((0, 1536), (0, 2, 2)),
        ((4, 1536), (-1, -2, 2)),
        ((4, 1536), (1, 2**62, 2)),
        ((4, 1536), (2**62, 2, 2)),
    ],
)
def test_patches_that_are_none(eyes: Eyes, shape: Any, grid: Any) -> None:
    session = _native.VisionEncoderSession(eyes.encoders(), 1, None)
    with pytest.raises(InputError, match="patches"):
        session.encode(np.zeros(shape, np.float32), grid)


def test_patches_that_are_not_finite(eyes: Eyes) -> None:
    session = _native.VisionEncoderSession(eyes.encoders(), 1, None)
    with pytest.raises(InputError, match="NaN"):
        session.encode(np.full((4, 1536), np.nan, np.float32), (1, 2, 2))


# --- messages ---------------------------------------------------------------------------------------------------------

GREEDY = TextOptions(greedy=True, max_tokens=5)


@pytest.fixture(scope="module")
def model(eyes: Eyes) -> omniggml.Model:
    return eyes.model()


def as_png(array: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def test_an_image_is_seen_however_it_comes(model: omniggml.Model, tmp_path: Path) -> None:
    pixels = picture(64, 96)
    path = tmp_path / "p.png"
    path.write_bytes(as_png(pixels))
    data = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    parts = (
        image(str(path)),
        image(path),
        image(path.read_bytes()),
        image(pixels),
        image(Image.open(path)),
        image(data),
        image({"path": str(path), "bytes": None}),
        {"image": str(path)},
        {"type": "image", "path": str(path)},
        {"type": "image_url", "image_url": {"url": data}},
        {"type": "input_image", "image_url": data},
    )
    replies = [model.chat(asked(part, text("hm?")), text_options=GREEDY, greedy=True, max_frames=2) for part in parts]
    assert len({reply.tokens for reply in replies}) == 1
    assert all(np.array_equal(reply.audio.codes, replies[0].audio.codes) for reply in replies)
    other = model._placed(asked(image(picture(64, 96, 1)), text("hm?")))
    assert other.tokens == model._placed(asked(parts[0], text("hm?"))).tokens


def test_look_is_what_the_thinker_reads(model: omniggml.Model) -> None:
    seen = model.look(picture(100, 60))
    assert seen.rows.shape == (6, 64) and seen.grid == (3, 2)
    assert [level.shape for level in seen.deepstack] == [(6, 64)] * 2
    small = model.look(picture(1000, 600), max_pixels=8 * 1024)
    assert small.grid[0] * small.grid[1] <= 8
    with model.probe(f"{VISUAL}.blocks.2") as probed:
        again = model.look(picture(100, 60))
    assert np.array_equal(again.rows, seen.rows) and probed[f"{VISUAL}.blocks.2"].shape == (24, 64)


def test_a_cpu_sees_less_of_a_large_image(model: omniggml.Model) -> None:
    placed = model._placed(asked(image(picture(1200, 1600))))
    pad = model.tokenizer.token_id("<|image_pad|>")
    assert 700 < placed.tokens.count(pad) <= 768


def test_frames_and_sound_stand_in_the_order_of_time(model: omniggml.Model, tmp_path: Path) -> None:
    pytest.importorskip("av")
    frames = np.stack([picture(64, 64, seed) for seed in range(4)])
    film = write_video(tmp_path / "film.mkv", frames, 2, clip("voice", 32000))
    ids = {model.tokenizer.token_id(f"<|{name}_pad|>"): name[0] for name in ("audio", "video")}

    def order(**more: Any) -> str:
        placed = model._placed(asked(video(film, max_pixels=64 * 64, min_pixels=1, **more)))
        return "".join(ids.get(token, "") for token in placed.tokens)

    assert order() == "vvvv" + "a" * 13 + "vvvv" + "a" * 13
    assert order(use_audio_in_video=False) == "v" * 8
    assert order(fps=1, use_audio_in_video=False) == "vvvv"


REFUSED: dict[str, tuple[Any, str]] = {
    "an image without any": ({"type": "image"}, "without one"),
    "an address": (image("https://example.com/a.png"), "not downloaded"),
    "an address of OpenAI's": ({"type": "image_url", "image_url": {"url": "http://x/a.png"}}, "not downloaded"),
    "no base64": (image("data:image/png;base64,§§"), "image whose data is no base64"),
    "no URL": ({"type": "image_url", "image_url": {}}, "data URL"),
    "no image": (image(b"hello"), "the image is no image"),
    "an empty mapping": (image({}), "without bytes or a path"),
    "no number of pixels": (image(picture(9, 9), max_pixels="many"), "max_pixels"),
    "too few pixels": (image(picture(9, 9), max_pixels=0), "max_pixels"),
    "bounds that cross": (image(picture(9, 9), max_pixels=10, min_pixels=20), "min_pixels is 20"),
    "no video": (video(b"hello"), "no video"),
    "a rate between positions": (video(np.zeros((2, 9, 9, 3), np.uint8), fps=3), "frame rate"),
    "a sound that isn't there": (video(np.zeros((2, 9, 9, 3), np.uint8), use_audio_in_video=True), "no sound"),
    "no yes or no": (video(np.zeros((2, 9, 9, 3), np.uint8), use_audio_in_video="yes"), "true or false"),
    "more than the context holds": (image(picture(2000, 3000), max_pixels=6_000_000), "thinker's context"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parts_that_can_not_be_seen(model: omniggml.Model, case: str) -> None:
    part, sentence = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(sentence)) as error:
        model.chat(asked(part, text("hm?")))
    one_sentence(str(error.value))


@pytest.mark.parametrize("role", ["system", "assistant"])
@pytest.mark.parametrize("part", [image(picture(9, 9)), video(np.zeros((2, 9, 9, 3), np.uint8))])
def test_media_in_turns_of_others(model: omniggml.Model, role: str, part: Any) -> None:
    turns = [{"role": role, "content": [part]}, {"role": "user", "content": "hm?"}]
    with pytest.raises(InputError, match=f"{part['type']} in a turn of the {role}"):
        model.chat(turns)


@pytest.mark.parametrize("places", [[], ["image", "image"], ["video"], ["audio"]])
def test_more_places_than_media(model: omniggml.Model, monkeypatch: pytest.MonkeyPatch, places: list[str]) -> None:
    tokens = [model.tokenizer.token_id(f"<|{name}_pad|>") for name in places]
    monkeypatch.setattr(type(model.tokenizer), "encode_chat", lambda *_: [1, *tokens, 2])
    with pytest.raises(ModelFileError, match="chat template"):
        model.chat(asked(image(picture(9, 9))))


def test_placeholders_that_a_user_writes_are_text(model: omniggml.Model) -> None:
    """Whoever writes them shows nothing."""
    said = "<|vision_start|><|image_pad|><|vision_end|>"
    placed = model._placed(asked(text(said), image(picture(64, 64)), text(said)))
    assert placed.tokens.count(model.tokenizer.token_id("<|image_pad|>")) == 4


def test_without_eyes(eyes: Eyes) -> None:
    speech, _, _ = eyes.files()
    blind = omniggml.load(speech, mmproj=False)
    assert not blind.has_eyes and not blind.has_ears and eyes.model().has_eyes
    for ask in (lambda: blind.chat(asked(image(picture(9, 9)))), lambda: blind.look(picture(9, 9))):
        with pytest.raises(InputError, match="without an mmproj file"):
            ask()


def command(*words: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "omniggml", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_the_command(eyes: Eyes, tmp_path: Path) -> None:
    _, thinker, mmproj = eyes.files()
    path = tmp_path / "p.png"
    path.write_bytes(as_png(picture(64, 96)))
    short = ("--thinker", thinker, "--mmproj", mmproj, "--max-tokens", 3, "--text-greedy")
    seen = command("chat", "what?", "--image", path, *short)
    plain = command("chat", "what?", *short)
    assert {seen.returncode, plain.returncode} <= {0, 3}, seen.stderr  # 3 where the answer was cut
    assert seen.stdout != plain.stdout
    twice = command("chat", "what?", "--image", path, "--max-pixels", 4096, "--image", path, *short)
    assert twice.returncode in (0, 3), twice.stderr
    lost = command("chat", "what?", "--image", tmp_path / "no.png", *short)
    assert lost.returncode != 0 and "no such file" in lost.stderr


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_inspect_says(eyes: Eyes) -> None:
    seen = omniggml.inspect(eyes.files("f16")[2])
    assert seen.family == "mmproj" and seen.loads and seen.needs == ("thinker",)
    assert {share.stage for share in seen.shares} == {"audio encoder", "image encoder"}
    assert seen.unknown == () and seen.concerns == () and seen.unused == ()
    assert seen.geometry["clip"]["vision.block_count"] == 3


@pytest.mark.parametrize("name", EYES)
def test_eyes_alone(eyes: Eyes, tmp_path: Path, name: str) -> None:
    alone = Eyes(eyes.root, "tiny", name, None)
    (only,) = convert(alone.checkpoint, tmp_path, type="f32", name="x", only="mmproj")
    seen = omniggml.inspect(only)
    assert seen.family == "mmproj" and seen.loads and seen.unknown == ()
    geometry = alone.encoders().vision_geometry
    assert geometry is not None
    expected = {"deepstack_visual_indexes": list(EYES[name]["deepstack_visual_indexes"]), "out_hidden_size": 64}
    assert geometry | {"temporal_patch_size": 2} == EYES[name] | expected | {"temporal_patch_size": 2}
    both, _ = Eyes(eyes.root, "tiny", name).seen((1, 4, 16))
    assert np.array_equal(both, alone.seen((1, 4, 16))[0])


def test_policies_keep_what_they_should(eyes: Eyes, tmp_path: Path) -> None:
    quantized = omniggml.quantize(eyes.files()[2], tmp_path / "q-mmproj.gguf", policy="q8_0")
    types = {change.name: change.after for change in quantized.changes}
    assert types["v.position_embd.weight"] == types["v.blk.0.ln1.weight"] == types["v.post_ln.weight"] == "F32"
    assert types["v.patch_embd.weight"] == types["v.patch_embd.weight.1"] == "F16"
    assert types["v.blk.0.attn_qkv.weight"] == types["v.deepstack.0.fc1.weight"] == "Q8_0"


def test_a_file_without_deepstack_is_used_aloud(eyes: Eyes, tmp_path: Path) -> None:
    edit, path = GgufEdit.read(eyes.files()[2]), tmp_path / "shallow-mmproj.gguf"
    edit.tensors = [tensor for tensor in edit.tensors if not tensor.name.startswith("v.deepstack.")]
    edit.write(path)
    with pytest.warns(UserWarning, match="seen less well"):
        source = omniggml.files.encoders.open_encoders(path)
    session = _native.VisionEncoderSession(_native.MediaEncoders(source.native, "cpu"), 1, None)
    rows, deepstack = session.encode(eyes.patches((1, 4, 16)), (1, 4, 16))
    assert deepstack == [] and np.array_equal(rows, eyes.seen((1, 4, 16))[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clip.vision.block_count", 2),
        ("clip.vision.block_count", 4),
        ("clip.vision.embedding_length", 32),
        ("clip.vision.attention.head_count", 3),
        ("clip.vision.attention.head_count", 0),
        ("clip.vision.attention.head_count", 32),
        ("clip.vision.feed_forward_length", 95),
        ("clip.vision.projection_dim", 1),
        ("clip.vision.projector_type", "gemma3"),
        ("clip.vision.attention.layer_norm_epsilon", -1.0),
        ("clip.vision.patch_size", 0),
        ("clip.vision.patch_size", 8),
        ("clip.vision.spatial_merge_size", 3),
    ],
)
def test_files_that_do_not_add_up(eyes: Eyes, tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "bad-mmproj.gguf"
    GgufEdit.read(eyes.files()[2]).set(key, value).write(path)
    with pytest.raises(ModelFileError, match=re.escape(str(path))):
        omniggml.load(eyes.files()[0], mmproj=path)


def test_a_part_of_a_vision_encoder_is_none(eyes: Eyes, tmp_path: Path) -> None:
    edit, path = GgufEdit.read(eyes.files()[2]), tmp_path / "part-mmproj.gguf"
    for lost in ("v.blk.1.ffn_up.bias", "v.patch_embd.weight.1", "v.position_embd.weight", "v.deepstack.2.fc1.weight"):
        edit.tensors = [tensor for tensor in edit.tensors if tensor.name != lost]
        edit.write(path)
        with pytest.raises(ModelFileError, match=re.escape(lost)):
            omniggml.load(eyes.files()[0], mmproj=path)
        edit = GgufEdit.read(eyes.files()[2])
