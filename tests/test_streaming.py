"""Streaming is exact: the samples of the reference's full forward, however the codes are cut."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml import Model, _native
from omniggml.synthetic.geometries import GEOMETRIES
from parity import golden
from parity.files import ModelFiles

GOLDENS = Path(__file__).parent / "goldens"
NAMES = [name for name in GEOMETRIES if name != "eos-first"]
LIMIT = 1e-5


def load(files: ModelFiles, name: str, type_: str = "f32") -> Model:
    return omniggml.load(files.gguf(name, type_)[0], device="cpu", n_threads=1)


def decode(model: Model, codes: npt.NDArray[np.int32], sizes: Iterable[int]) -> npt.NDArray[np.float32]:
    """Samples of one session that is given pieces of these sizes, and then the rest."""
    session = _native.Code2WavSession(model._speech, 1, None)
    pieces, done = [np.zeros(0, np.float32)], 0
    for size in sizes:
        pieces.append(session.decode(codes[:, done : done + size]))
        done += size
        assert sum(piece.size for piece in pieces) == model.n_samples(min(done, codes.shape[1]))
    pieces.append(session.decode(codes[:, done:]))
    return np.concatenate(pieces)


@pytest.mark.parametrize("name", NAMES)
def test_all_chunk_sizes_give_the_full_forward(model_files: ModelFiles, name: str) -> None:
    wave = golden.load(GOLDENS / f"{name}.npz").waveform
    model = load(model_files, name)
    for chunk in (1, 3, 25, 300, wave.codes.shape[1]):
        samples = model.code2wav(wave.codes, chunk_frames=chunk)
        assert samples.shape == (wave.n_samples,), chunk
        assert np.abs(samples[:: wave.step] - wave.samples).max() <= LIMIT, chunk


def test_speeches_are_longer_and_shorter_than_the_window() -> None:
    """Otherwise the tests above would not see a ring of keys overwrite itself, or a window that is never full."""
    frames = {name: golden.load(GOLDENS / f"{name}.npz").waveform.codes.shape[1] for name in NAMES}
    windows = {name: GEOMETRIES[name].code2wav.sliding_window for name in NAMES}
    assert sum(frames[name] == 700 and windows[name] < 100 for name in NAMES) >= 4
    assert any(windows[name] == 72 and frames[name] == 700 for name in NAMES)
    assert any(windows[name] > frames[name] > 300 for name in NAMES)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["tiny", "odd", "big-codebook"])
def test_any_partition_gives_the_same_samples(model_files: ModelFiles, name: str, seed: int) -> None:
    """Empty pieces and pieces too short for a first sample included."""
    rng = np.random.default_rng(seed)
    wav = GEOMETRIES[name].code2wav
    codes = rng.integers(0, wav.codebook_size, (wav.num_quantizers, 150), dtype=np.int32)
    model = load(model_files, name)
    sizes = rng.choice([0, 1, 1, 2, 5, 31, 32, 33, 70], size=12).tolist()
    samples = decode(model, codes, sizes)
    np.testing.assert_allclose(samples, decode(model, codes, []), rtol=0, atol=LIMIT)


@pytest.mark.parametrize("type_", ["f16", "bf16", "q8_0"])
def test_partitions_with_coarser_weights(model_files: ModelFiles, type_: str) -> None:
    """Rounding depends on the values, never on where a piece begins."""
    rng = np.random.default_rng(3)
    wav = GEOMETRIES["tiny"].code2wav
    codes = rng.integers(0, wav.codebook_size, (wav.num_quantizers, 100), dtype=np.int32)
    model = load(model_files, "tiny", type_)
    whole = decode(model, codes, [])
    for chunk in (1, 3, 25):
        np.testing.assert_allclose(decode(model, codes, [chunk] * (100 // chunk)), whole, rtol=0, atol=LIMIT)


def test_a_first_piece_can_be_too_short_for_a_sample(model_files: ModelFiles) -> None:
    """Both sides of a transposed convolution are trimmed, so one frame may not reach the first sample."""
    for name in NAMES:
        model = load(model_files, name)
        frames = next(n for n in range(1, 20) if model.n_samples(n) > 0)
        wav = GEOMETRIES[name].code2wav
        codes = np.ones((wav.num_quantizers, frames), np.int32)
        assert decode(model, codes, [1] * frames).size == model.n_samples(frames)
        assert model.code2wav(codes[:, : frames - 1]).size == 0


def test_number_of_samples_follows_from_the_rates(model_files: ModelFiles) -> None:
    """Each transposed convolution of rate r makes r (n - 1) of n: 1920 T - 555 with the published rates."""
    for name in NAMES:
        model = load(model_files, name)
        wav = GEOMETRIES[name].code2wav
        for frames in (1, 2, 3, 50):
            expected = frames * int(np.prod(wav.upsampling_ratios))
            for rate in wav.upsample_rates:
                expected = max(0, (expected - 1) * rate)
            assert model.n_samples(frames) == expected
    assert load(model_files, "mini").n_samples(100) == 1920 * 100 - 555


def test_a_second_call_equals_the_first(model_files: ModelFiles) -> None:
    model = load(model_files, "tiny")
    codes = np.random.default_rng(0).integers(0, 64, (4, 40), dtype=np.int32)
    np.testing.assert_array_equal(model.code2wav(codes), model.code2wav(codes))
    first = model.speak("one two three", seed=5, max_frames=20)
    again = model.speak("one two three", seed=5, max_frames=20)
    np.testing.assert_array_equal(first.codes, again.codes)
    np.testing.assert_array_equal(first.samples, again.samples)


@pytest.mark.parametrize("chunk", [1, 3, 7, None])
def test_a_stream_collects_to_the_speech(model_files: ModelFiles, chunk: int | None) -> None:
    """Talker, code predictor and vocoder together: the cut of the stream changes neither codes nor samples."""
    model = load(model_files, "odd")
    whole = model.speak("one two three", seed=11, max_frames=30)
    pieces = list(model.stream("one two three", seed=11, max_frames=30, chunk_frames=chunk))
    assert [piece.stop_reason for piece in pieces[:-1]] == [""] * (len(pieces) - 1)
    assert pieces[-1].stop_reason == whole.stop_reason
    joined = omniggml.Audio.join(pieces)
    np.testing.assert_array_equal(joined.codes, whole.codes)
    np.testing.assert_allclose(joined.samples, whole.samples, rtol=0, atol=LIMIT)


def test_refused_codes_leave_the_stream_as_it_was(model_files: ModelFiles) -> None:
    model = load(model_files, "tiny")
    codes = np.random.default_rng(0).integers(0, 64, (4, 40), dtype=np.int32)
    session = _native.Code2WavSession(model._speech, 1, None)
    first = session.decode(codes[:, :10])
    bad = codes[:, 10:20].copy()
    bad[2, 5] = 64
    with pytest.raises(omniggml.InputError, match=re.escape("code 64 of group 2, frame 5")):
        session.decode(bad)
    rest = session.decode(codes[:, 10:])
    np.testing.assert_allclose(np.concatenate([first, rest]), model.code2wav(codes), rtol=0, atol=LIMIT)
