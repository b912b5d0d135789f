"""Images and videos of any kind as the vision encoder's input."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyes_side import write_video
from omniggml import InputError
from omniggml.media.audio_input import read_samples
from omniggml.media.image_input import Bounds, PatchSize, image_patches, read_image, smart_size
from omniggml.media.video_input import VideoFrames, has_sound, rate_of
from omniggml.spec.model_config import VisionInputConfig
from sentences import one_sentence
from test_log_mel import clip

Image = pytest.importorskip("PIL.Image")

SIZE = PatchSize(16, 2, VisionInputConfig())
BOUNDS = Bounds(3136, 12_845_056)
SIZES = ((32, 32), (33, 31), (1, 1), (1, 200), (7, 300), (480, 640), (100, 47), (1080, 1920), (16, 16), (48, 80))


def picture(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(array: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(out, kind, **options)
    return out.getvalue()


# --- against transformers ---------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize(("least", "most"), [(3136, 12_845_056), (3136, 786_432), (1, 5000), (100_000, 120_000)])
def test_patches_are_the_reference_s_to_the_bit(least: int, most: int) -> None:
    pytest.importorskip("transformers", "5")
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processor = Qwen2VLImageProcessorPil(
        patch_size=16,
        merge_size=2,
        size={"shortest_edge": least, "longest_edge": most},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    for height, width in SIZES:
        given = picture(height, width)
        theirs = processor([Image.fromarray(given)], return_tensors="np")
        ours = image_patches(given, SIZE, Bounds(least, most), "it")
        assert list(ours.grid) == theirs["image_grid_thw"][0].tolist()
        assert ours.values.dtype == np.float32 and np.array_equal(ours.values, theirs["pixel_values"])


@pytest.mark.reference
def test_frames_are_the_reference_s_within_two_levels() -> None:
    """It resizes them by torchvision, which rounds otherwise than Pillow: noise up to 2 of 255 levels, seldom any."""
    torch = pytest.importorskip("torch")
    frames = np.stack([picture(90, 130, seed) for seed in range(4)])
    rows, columns = smart_size(90, 130, 32, Bounds(20_000, 30_000), "it")
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()), (rows, columns), mode="bicubic", antialias=True
    )
    theirs = (resized.numpy().astype(np.float64) / 255 - 0.5) / 0.5
    rate = rate_of(2, 13, "it")
    pairs = list(VideoFrames(frames, rate, SIZE, Bounds(20_000, 30_000), "it").pairs())
    assert len(pairs) == 2 and pairs[0].grid == (1, rows // 16, columns // 16)
    for number, pair in enumerate(pairs):
        there = theirs[2 * number : 2 * number + 2]
        blocks = there.reshape(2, 3, rows // 32, 2, 16, columns // 32, 2, 16).transpose(2, 5, 3, 6, 1, 0, 4, 7)
        away = np.abs(pair.values - blocks.reshape(pair.values.shape)) * 127.5
        assert away.max() < 2.01 and away.mean() < 0.1


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_sizes_as_published() -> None:
    sizes = {(480, 640): 300, (1080, 1920): 2040, (3136, 4096): 12544}
    for (height, width), tokens in sizes.items():
        rows, columns = smart_size(height, width, 32, BOUNDS, "it")
        assert rows * columns // 1024 == tokens


def test_bounds_hold_for_any_size() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = (int(2 ** rng.uniform(0, 14)) for _ in range(2))
        if max(height, width) > 200 * min(height, width):
            continue
        rows, columns = smart_size(height, width, 32, Bounds(3136, 500_000), "it")
        assert rows % 32 == columns % 32 == 0 and 0 < rows * columns <= max(500_000, 32 * max(rows, columns))


# --- files ------------------------------------------------------------------------------------------------------------

ARRAY = picture(40, 56)
KINDS: dict[str, bytes] = {
    "PNG": saved(ARRAY, "PNG"),
    "BMP": saved(ARRAY, "BMP"),
    "TIFF": saved(ARRAY, "TIFF"),
    "WebP": saved(ARRAY, "WEBP", lossless=True),
    "PPM": saved(ARRAY, "PPM"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(KINDS[kind])
    for given in (KINDS[kind], path, str(path), Image.fromarray(ARRAY), ARRAY):
        assert np.array_equal(np.asarray(read_image(given, "it")), ARRAY)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_colours_of_any_mode(mode: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 56).astype(np.uint8)[None, :, None], (40, 1, 3))
    if mode == "I;16":
        given = Image.fromarray(smooth[:, :, 0].astype(np.uint16) * 257)
        data = io.BytesIO()
        given.save(data, "PNG")
        read = read_image(data.getvalue(), "it")
    else:
        kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
        read = read_image(saved(smooth, kind, mode), "it")
    assert read.mode == "RGB" and read.size == (56, 40)
    if mode not in ("1", "P"):
        assert np.abs(np.asarray(read).astype(int) - smooth).mean() < 4


def test_a_camera_s_note_turns_the_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(saved(ARRAY, "JPEG", exif=exif), "it").size == (40, 56)


def png_of(width: int, height: int) -> bytes:
    """A header that promises so many pixels, and next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def animation() -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(picture(8, 8, seed)) for seed in range(3)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


BROKEN: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "no image"),
    "text": (b"hello", "no image"),
    "a program of PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    "cut": (KINDS["PNG"][:-900], "damaged"),
    "huge": (png_of(20_000, 20_000), "20000 x 20000|80000000"),
    "more than there is": (png_of(100, 100), "damaged"),
    "an animation": (animation(), "animation of 3 frames"),
    "a thread": (picture(1, 201), "200 times"),
    "floats": (np.zeros((8, 8, 3)), "uint8"),
    "five channels": (np.zeros((8, 8, 5), np.uint8), "uint8"),
    "no pixels": (np.zeros((0, 8, 3), np.uint8), "no pixels"),
    "a number": (3, "uint8"),
    "no file": ("nowhere.png", "no such file"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_that_are_none(case: str) -> None:
    given, sentence = BROKEN[case]
    with pytest.raises(InputError, match=sentence) as error:
        image_patches(given, SIZE, BOUNDS, "the image")
    one_sentence(str(error.value))


def test_damaged_bytes_are_one_sentence() -> None:
    """Whatever a bit is turned to: an image, or one sentence."""
    rng = np.random.default_rng(0)
    for data in KINDS.values():
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(int(rng.integers(1, 9))):
                changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
            try:
                image_patches(bytes(changed), SIZE, Bounds(3136, 20_000), "the image")
            except InputError as error:
                one_sentence(str(error))


# --- videos -----------------------------------------------------------------------------------------------------------


def film(path: Path, n: int, rate: int, sound: Any = None) -> tuple[Any, Path]:
    pytest.importorskip("av")
    frames = np.stack([np.full((64, 96, 3), 8 * number, np.uint8) for number in range(n)])
    return frames, write_video(path / "film.mkv", frames, rate, sound)


def levels(path: Any, rate: float) -> list[float]:
    """The brightness of each frame that is seen."""
    pairs = VideoFrames(path, rate_of(rate, 13, "it"), SIZE, Bounds(4096, 8192), "the video").pairs()
    seen = []
    for pair in pairs:
        values = pair.values.reshape(-1, 3, 2, 16, 16)
        seen += [float(np.rint((values[:, :, frame].mean() * 0.5 + 0.5) * 255)) for frame in (0, 1)]
    return seen


def test_frames_at_a_stated_rate(tmp_path: Path) -> None:
    _, path = film(tmp_path, 20, 10)
    assert levels(path, 2) == [0, 40, 80, 120]
    assert levels(path.read_bytes(), 1) == [0, 80]
    assert len(levels(path, 13)) == 26
    assert levels(path, 0.5) == [0, 0]  # one frame, shown twice
    assert levels(str(path), 2) == levels(path, 2)


def test_frames_as_they_are() -> None:
    frames = np.stack([np.full((64, 96, 3), 50 * number, np.uint8) for number in range(3)])
    assert levels(frames, 2) == levels(list(frames), 1) == [0, 50, 100, 100]


@pytest.mark.parametrize("rate", [3, 0, -1, 1000, float("nan"), "2", True, 25])
def test_rates_between_positions(rate: Any) -> None:
    with pytest.raises(InputError, match="frame rate of the video") as error:
        rate_of(rate, 13, "the video")
    one_sentence(str(error.value))


def test_sound_is_known(tmp_path: Path) -> None:
    frames, path = film(tmp_path, 4, 2, clip("voice", 16000))
    assert has_sound(path) and has_sound(path.read_bytes()) and not has_sound(frames)
    _, silent = film(tmp_path, 4, 2)
    assert not has_sound(silent)


class Reluctant:
    """As torch's tensors that want a gradient."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("can't be an array\nfor reasons")


def test_what_raises_anything_when_it_is_read() -> None:
    for read in (
        lambda: read_image(Reluctant(), "the image"),
        lambda: levels(Reluctant(), 2),
        lambda: read_samples(Reluctant(), 16000),
    ):
        with pytest.raises(InputError) as caught:
            read()
        one_sentence(str(caught.value), "can't be an array")


@pytest.mark.parametrize("error", [IndexError("list index out of range"), RuntimeError("x"), ZeroDivisionError("x")])
def test_what_a_library_raises_of_a_damaged_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """PyAV raises IndexError where a damaged stream of MPEG shows a track that its beginning did not tell of."""
    av = pytest.importorskip("av")
    _, path = film(tmp_path, 4, 2)
    given = path.read_bytes()

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(av, "open", fails)
    assert not has_sound(given)
    for read in (
        lambda: levels(given, 2),
        lambda: read_samples(given),
    ):
        with pytest.raises(InputError) as caught:
            read()
        one_sentence(str(caught.value))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_an_animation_is_a_video(tmp_path: Path, kind: str) -> None:
    """Of a second, in four frames; as an image it is refused, and that says so."""
    pytest.importorskip("av")
    frames = [Image.fromarray(np.full((64, 96, 3), 60 * number, np.uint8)) for number in range(4)]
    path = tmp_path / f"a.{kind.lower()}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=250)
    for given in (path, path.read_bytes()):
        pairs = list(VideoFrames(given, rate_of(26 / 7, 13, "it"), SIZE, Bounds(4096, 8192), "it").pairs())
        seen = [np.mean(pair.values[:, index::2]) for pair in pairs for index in (0, 1)]
        assert len(pairs) == 2 and not has_sound(given)
        assert seen[0] < seen[-1] - 0.5
        with pytest.raises(InputError, match="or a video of all"):
            read_image(given, "it")


def test_videos_that_are_none(tmp_path: Path) -> None:
    _, path = film(tmp_path, 4, 2)
    whole = path.read_bytes()
    for given, sentence in (
        (b"", "no video"),
        (b"hello", "no video"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n", "no video"),
        (whole[:200], "no video|no frames"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no frames"),
        (np.zeros((3, 8, 8)), "uint8"),
        ([picture(32, 32), picture(32, 64)], "different sizes"),
        ("nowhere.mp4", "no such file"),
        (np.broadcast_to(np.zeros((1, 8, 8, 3), np.uint8), (800, 8, 8, 3)), "more than 768 frames"),
    ):
        with pytest.raises(InputError, match=sentence) as error:
            levels(given, 2)
        one_sentence(str(error.value))
