"""A random speech file without a checkpoint is the file that the checkpoint converts to."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniggml
from omniggml import convert
from omniggml.errors import InputError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.synthetic.random_speech import write_random_speech


@pytest.mark.parametrize("type_", ["f32", "q8_0"])
def test_it_is_what_the_checkpoint_converts_to(tmp_path: Path, type_: str) -> None:
    checkpoint = write_random_checkpoint("tiny", tmp_path / "checkpoint", seed=3)
    (converted,) = convert(checkpoint, tmp_path / "a", type=type_, name="x", only="speech")
    written = write_random_speech(tmp_path / "b" / "x-speech.gguf", "tiny", type_, seed=3)
    assert written.read_bytes() == converted.read_bytes()


def test_any_policy(tmp_path: Path) -> None:
    path = write_random_speech(tmp_path / "x-speech.gguf", "mini", "q4_k")
    types = {share.type for share in omniggml.inspect(path).shares}
    assert {"Q5_0", "Q6_K", "Q8_0", "F16", "F32"} <= types
    assert omniggml.load(path).speak("hello", max_frames=2).codes.shape[1] == 2


def test_seeds_differ(tmp_path: Path) -> None:
    first, second = (write_random_speech(tmp_path / f"{n}.gguf", "tiny", "f16", seed=n) for n in (1, 2))
    assert first.read_bytes() != second.read_bytes()


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no geometry 'huge'"):
        write_random_speech(tmp_path / "x.gguf", "huge")
    with pytest.raises(InputError, match="no policy 'q9'"):
        write_random_speech(tmp_path / "x.gguf", "tiny", "q9")
    assert list(tmp_path.iterdir()) == []
