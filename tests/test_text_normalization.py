"""A file says how its text is to be written; the model does so, for what it speaks and for what it is asked."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

import omniggml
from omniggml import InputError, ModelFileError, convert
from omniggml.errors import ConversionError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

FRAMES = 3


def checkpoint_with(directory: Path, name: object) -> Path:
    checkpoint = write_random_checkpoint("tiny", directory)
    path = checkpoint / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_normalization": name}))
    return checkpoint


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> omniggml.Model:
    """A model that wants words."""
    root = tmp_path_factory.mktemp("written")
    files = convert(checkpoint_with(root / "checkpoint", "spoken_english"), root, type="f32", name="written")
    return omniggml.load(files[0], device="cpu")


def test_figures_are_spoken_as_words(written: omniggml.Model) -> None:
    """Whole or streamed."""
    said = written.speak("two plus three", max_frames=FRAMES).codes
    assert np.array_equal(written.speak("2 + 3", max_frames=FRAMES).codes, said)
    pieces = list(written.stream("2 + 3", max_frames=FRAMES, chunk_frames=1))
    assert np.array_equal(np.concatenate([piece.codes for piece in pieces], axis=1), said)


def test_questions_are_asked_in_words(written: omniggml.Model) -> None:
    asked = [{"role": "user", "content": "What is 2 + 3?"}]
    plain = [{"role": "user", "content": "what is two plus three?"}]
    assert written._conversation(asked) == written.tokenizer.encode_chat(plain)


def test_a_file_that_asks_for_nothing_gets_the_text_as_it_is(tiny_files: tuple[Path, Path]) -> None:
    model = omniggml.load(tiny_files[0], device="cpu")
    words, figures = (model.speak(text, max_frames=FRAMES).codes for text in ("two plus three", "2 + 3"))
    assert not np.array_equal(words, figures)


def test_text_without_a_word_is_refused(written: omniggml.Model) -> None:
    with pytest.raises(InputError, match="no text to speak in '你好'"):
        written.speak("你好")


def test_an_unknown_way_is_refused(tmp_path: Path) -> None:
    """By the conversion, and by the engine for a file from elsewhere."""
    with pytest.raises(ConversionError, match="text_normalization is 'klingon'"):
        convert(checkpoint_with(tmp_path / "checkpoint", "klingon"), tmp_path)
    checkpoint = checkpoint_with(tmp_path / "known", "spoken_english")
    speech = convert(checkpoint, tmp_path, type="f32", name="known")[0]
    assert "qwen3omni-speech.text_normalization" in gguf.GGUFReader(speech).fields
    speech.write_bytes(speech.read_bytes().replace(b"spoken_english", b"spoken_klingon"))
    with pytest.raises(ModelFileError, match=r"spoken_klingon.*spoken_english"):
        omniggml.load(speech, device="cpu")
