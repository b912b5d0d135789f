"""Decoding call after call: what is kept of one changes nothing of the next."""

from __future__ import annotations

import gc
import multiprocessing
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml import Model, _native
from parity.files import ModelFiles


@pytest.fixture
def model(model_files: ModelFiles) -> Model:
    return omniggml.load(model_files.gguf("tiny", "f32")[0], thinker=False, n_threads=2)


def drawn(model: Model, frames: int) -> npt.NDArray[np.int32]:
    geometry = model.geometry["code2wav"]
    rng = np.random.default_rng(frames)
    return rng.integers(0, geometry["codebook_size"], (geometry["num_quantizers"], frames), np.int32)


def decoded_alone(model: Model, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """By a session of its own."""
    return _native.Code2WavSession(model._speech, 2, None).decode(codes)


def test_any_lengths_in_any_order(model: Model) -> None:
    lengths = [1, 40, 2, 0, 33, 40, 32, 5, 1, 64, 33, 3, 40]
    for frames in lengths:
        codes = drawn(model, frames)
        np.testing.assert_array_equal(model.code2wav(codes), decoded_alone(model, codes))


def test_after_pieces_of_another_size(model: Model) -> None:
    codes = drawn(model, 20)
    whole = decoded_alone(model, codes)
    for chunk_frames in (1, 7, 20, None, 3):
        np.testing.assert_allclose(model.code2wav(codes, chunk_frames=chunk_frames), whole, rtol=0, atol=1e-6)


def test_after_codes_that_were_refused(model: Model) -> None:
    codes = drawn(model, 9)
    before = model.code2wav(codes)
    wrong = codes.copy()
    wrong[0, 8] = -1
    with pytest.raises(omniggml.InputError):
        model.code2wav(wrong)
    np.testing.assert_array_equal(model.code2wav(codes), before)


def test_after_one_that_was_probed(model: Model) -> None:
    codes = drawn(model, 9)
    before = model.code2wav(codes)
    with model.probe("code2wav", replace={"code2wav.decoder.0": np.zeros((1, *_first(model, codes)), np.float32)}):
        assert not np.array_equal(model.code2wav(codes), before)
    np.testing.assert_array_equal(model.code2wav(codes), before)


def _first(model: Model, codes: npt.NDArray[np.int32]) -> tuple[int, ...]:
    with model.probe("code2wav.decoder.0") as reading:
        model.code2wav(codes)
    return tuple(reading["code2wav.decoder.0"].shape[1:])


def test_in_threads(model: Model) -> None:
    every = [drawn(model, frames) for frames in range(1, 13)]
    wanted = [decoded_alone(model, codes) for codes in every]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(model.code2wav, every * 8))
    for samples, want in zip(got, wanted * 8, strict=True):
        np.testing.assert_array_equal(samples, want)


def _in_a_child(pipe: object, model: Model, codes: npt.NDArray[np.int32]) -> None:
    pipe.send(model.code2wav(codes))  # type: ignore[attr-defined]


def test_in_a_forked_child(model: Model) -> None:
    codes = drawn(model, 9)
    before = model.code2wav(codes)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_in_a_child, args=(theirs, model, codes))
    child.start()
    assert ours.poll(60)
    np.testing.assert_array_equal(ours.recv(), before)
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(model.code2wav(codes), before)


def test_nothing_outlives_the_model(model_files: ModelFiles) -> None:
    model = omniggml.load(model_files.gguf("tiny", "f32")[0], thinker=False)
    model.code2wav(drawn(model, 9))
    gone = weakref.ref(model._vocoder)
    del model
    gc.collect()
    assert gone() is None
