"""Silence about what is heard is cut off where the file asks for that, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFReader

from omniggml import Model, convert
from omniggml.media.sounding import sounding
from omniggml.spec.mmproj_file import CUT_SILENCE
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

FloatArray = npt.NDArray[np.float32]
RATE = 16_000
QUIET, LOUD = 1e-4, 0.1


def noise(seconds: float, size: float, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).normal(0, size, int(seconds * RATE)).astype(np.float32)


def open_microphone(before: float, after: float, quiet: float = QUIET) -> FloatArray:
    """Two words and a pause between them, with seconds about them."""
    said = [noise(0.5, LOUD), noise(0.8, quiet), noise(0.5, LOUD, 2)]
    return np.concatenate([noise(before, quiet, 3), *said, noise(after, quiet, 4)])


@pytest.mark.parametrize("offset", [0.0, 0.2])
@pytest.mark.parametrize("gain", [1.0, 1e-3])
@pytest.mark.parametrize("quiet", [0.0, QUIET, 1e-3])
def test_long_silence_is_cut_and_some_stays(quiet: float, gain: float, offset: float) -> None:
    whole = (open_microphone(3.0, 2.0, quiet) + np.float32(offset)) * np.float32(gain)
    kept = sounding(whole)
    start = next(at for at in range(0, len(whole), 160) if np.array_equal(whole[at : at + len(kept)], kept))
    assert abs(start / RATE - 2.6) <= 0.03
    assert abs(len(kept) / RATE - (0.4 + 1.8 + 0.4)) <= 0.06


def test_silence_that_speech_is_taught_with_stays() -> None:
    whole = open_microphone(0.9, 0.9)
    assert np.array_equal(sounding(whole), whole)
    one_side = open_microphone(0.9, 5.0)
    assert (
        np.array_equal(sounding(one_side), one_side[: len(sounding(one_side))]) and len(sounding(one_side)) < 4 * RATE
    )


@pytest.mark.parametrize(
    "samples",
    [
        noise(5, LOUD),
        noise(5, QUIET),
        np.zeros(5 * RATE, np.float32),
        noise(0.3, LOUD),
        np.full(40_000, 0.5, np.float32),
    ],
    ids=["noise", "hush", "nothing", "short", "constant"],
)
def test_where_nothing_stands_out_all_of_it_stays(samples: FloatArray) -> None:
    assert np.array_equal(sounding(samples), samples)


def test_a_file_asks_for_it(tmp_path: Path, voice: Model) -> None:
    """What is heard of the built-in voice's file is what sounds; another file's ears hear all."""
    whole = open_microphone(4.0, 4.0)
    np.testing.assert_array_equal(voice.listen(whole), voice.listen(sounding(whole)))
    assert len(voice.listen(whole)) < len(whole) / RATE * 13 / 2
    geometry = GEOMETRIES["tiny"]
    for asks in (False, True):
        ears = replace(ears_for(geometry), cut_silence=asks)
        checkpoint = write_random_checkpoint(geometry, tmp_path / f"c{asks}", audio=ears)
        (file,) = convert(checkpoint, tmp_path / f"o{asks}", type="f32", name="x", only="mmproj")
        field = GGUFReader(file).fields.get(CUT_SILENCE)
        assert (field is not None and field.contents() is True) == asks
