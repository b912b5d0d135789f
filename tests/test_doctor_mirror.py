"""The doctor's NumPy vocoder is the engine's, until it is told to be wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import omniggml
from omniggml.doctor.counterfactuals import in_pieces, vocoder_mistakes
from omniggml.doctor.vocoder_mirror import Choices, VocoderMirror
from omniggml.files.stored_weights import StoredWeights
from parity.files import ModelFiles


def mirror_of(path: Path, **options: bool) -> VocoderMirror:
    weights = StoredWeights(path)
    assert weights.derived is not None
    return VocoderMirror(weights, dataclasses.asdict(weights.derived.config.code2wav), **options)


def codes_for(mirror: VocoderMirror, frames: int) -> np.ndarray:
    shape = (mirror.geometry["num_quantizers"], frames)
    return np.random.default_rng(0).integers(0, mirror.geometry["codebook_size"], shape)


class LouderWeights(dict[str, np.ndarray]):
    """A file's, with one convolution a million times as strong."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = weights

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[name] * (1e6 if name == "code2wav.decoder.0.conv.weight" else 1)


@pytest.mark.parametrize("geometry", ["tiny", "mini", "odd", "grouped", "big-codebook", "long-window"])
def test_the_same_samples(model_files: ModelFiles, geometry: str) -> None:
    path, _ = model_files.gguf(geometry, "f32")
    mirror = mirror_of(path)
    codes = codes_for(mirror, 40)
    ours = omniggml.load(path, n_threads=1).code2wav(codes)
    np.testing.assert_allclose(mirror(codes), ours, rtol=0, atol=1e-5)
    assert np.abs(ours).max() > 0.1


def test_the_same_modules(model_files: ModelFiles) -> None:
    path, _ = model_files.gguf("odd", "f32")
    mirror = mirror_of(path, watch=True)
    codes = codes_for(mirror, 20)
    mirror(codes)
    assert len(mirror.seen) > 12
    with omniggml.load(path, n_threads=1).probe("**") as seen:
        omniggml.load(path, n_threads=1).code2wav(codes)
        for name, values in mirror.seen.items():
            theirs = seen[name].reshape(values.shape)
            np.testing.assert_allclose(values, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max(), err_msg=name)


def test_every_mistake_is_one(model_files: ModelFiles) -> None:
    """Each changes the samples, and no two that have different names make the same."""
    path, _ = model_files.gguf("tiny", "f32")
    mirror = mirror_of(path)
    codes = codes_for(mirror, 30)
    right = mirror(codes)
    made: list[tuple[str, np.ndarray]] = [("right", right)]
    same_eps = {"wrong-eps", "wrong-theta"}  # one of the values tried is this file's own
    for mistake in vocoder_mistakes(mirror.geometry, 30):
        samples = mistake.run(mirror, codes)
        for name, other in made:
            if mistake.choices.half or (name == "right" and mistake.name in same_eps) or name == mistake.name:
                continue
            alike = samples.shape == other.shape and np.allclose(samples, other, atol=1e-7)
            assert not alike or mistake.name in same_eps, f"{mistake.name} is {name}"
        made.append((mistake.name, samples))
    assert len({name for name, _ in made}) > 25


def test_pieces_lose_what_a_start_loses(model_files: ModelFiles) -> None:
    path, _ = model_files.gguf("tiny", "f32")
    mirror = mirror_of(path)
    codes = codes_for(mirror, 30)
    whole = mirror(codes)
    lost = 30 * 24 - len(whole)
    pieces = in_pieces(mirror, codes, 10, 4)
    assert len(whole) - len(pieces) == 2 * lost
    np.testing.assert_allclose(pieces[: 10 * 24 - lost], whole[: 10 * 24 - lost], rtol=0, atol=1e-5)


def test_float16_overflows_where_activations_are_large(model_files: ModelFiles) -> None:
    path, _ = model_files.gguf("tiny", "f32")
    mirror = mirror_of(path)
    loud = VocoderMirror(LouderWeights(mirror.weights), mirror.geometry)
    codes = codes_for(mirror, 8)
    assert np.isfinite(loud(codes)).all()
    assert not np.isfinite(loud(codes, Choices(half=True))).all()
