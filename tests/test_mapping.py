"""Weights that stay in the file's pages: the same values as copied ones, and no trouble where they can't stay."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFValueType

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml import _native
from omniggml.cli.exit_codes import CUT
from omniggml.synthetic.random_speech import write_random_speech
from parity.files import ModelFiles
from sentences import one_sentence

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files are copied there")


def spoken(path: Path, mmap: bool) -> tuple[list[list[int]], bytes]:
    audio = omniggml.load(path, n_threads=1, mmap=mmap).speak("hello world", max_frames=6, seed=2)
    assert audio.codes is not None
    return audio.codes.tolist(), audio.samples.tobytes()


def mapped(path: Path, mmap: bool = True) -> tuple[int, int]:
    """Bytes of weights that stay in the file, and all of them."""
    precision = _native.VocoderPrecision.__members__["auto"]
    model = _native.SpeechModel(os.fsencode(path), "CPU", vocoder_precision=precision, mmap=mmap)
    return model.mapped_nbytes, model.nbytes


@pytest.fixture(scope="module")
def q8_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_speech(tmp_path_factory.mktemp("q8_0") / "mini-speech.gguf", "mini", "q8_0")


def test_mapped_and_copied_speak_alike(q8_0: Path) -> None:
    assert spoken(q8_0, mmap=True) == spoken(q8_0, mmap=False)


def test_what_stays_in_the_file(q8_0: Path) -> None:
    """Every tensor but those laid out anew, which are convolutions and Snake's parameters."""
    tensors = _native.GgufFile(os.fsencode(q8_0)).tensors()
    laid_out = (".conv.weight", ".alpha", ".beta")
    expected = sum(tensor["nbytes"] for tensor in tensors if not tensor["name"].endswith(laid_out))
    stays, total = mapped(q8_0)
    assert stays == expected < total
    assert mapped(q8_0, mmap=False)[0] == 0


def test_misaligned_tensors_are_copied(model_files: ModelFiles, tmp_path: Path) -> None:
    """A file may align its tensors to fewer bytes than ggml computes with: those that lie badly are copied."""
    original = model_files.gguf("odd", "f32")[0]
    edit = GgufEdit.read(original)
    edit.alignment = 8
    edit.set("general.alignment", 8, GGUFValueType.UINT32)
    speech = edit.write(tmp_path / "misaligned-speech.gguf")
    tensors = _native.GgufFile(os.fsencode(speech)).tensors()
    well = sum(tensor["nbytes"] for tensor in tensors if tensor["offset"] % 32 == 0)
    assert mapped(speech)[0] < min(well + 1, mapped(original)[0])
    assert spoken(speech, mmap=True) == spoken(original, mmap=True)


def test_a_file_cut_after_it_was_opened(q8_0: Path, tmp_path: Path) -> None:
    """Its header was read, its values are gone: the size is looked at again before they are."""
    copy = tmp_path / "cut-speech.gguf"
    copy.write_bytes(q8_0.read_bytes())
    opened = _native.GgufFile(os.fsencode(copy))
    os.truncate(copy, copy.stat().st_size // 2)
    with pytest.raises(omniggml.ModelFileError) as caught:
        _native.SpeechModel(opened, "CPU")
    one_sentence(str(caught.value), "cut-speech.gguf", "cut while in use")


def test_a_file_replaced_while_in_use(q8_0: Path, tmp_path: Path) -> None:
    copy = tmp_path / "used-speech.gguf"
    copy.write_bytes(q8_0.read_bytes())
    model = omniggml.load(copy, n_threads=1)
    (tmp_path / "new").write_bytes(b"something else")
    (tmp_path / "new").replace(copy)
    codes = np.zeros((model.geometry["code2wav"]["num_quantizers"], 3), np.int32)
    assert (model.code2wav(codes) == omniggml.load(q8_0, n_threads=1).code2wav(codes)).all()


@pytest.mark.parametrize("mmap", [True, False])
def test_the_same_damage_is_told_each_time(tiny_files: Files, tmp_path: Path, mmap: bool) -> None:
    """Threads share the reading; what they tell must not depend on which is faster."""
    edit = GgufEdit.read(tiny_files.speech)
    names = [
        str(tensor.name)
        for tensor in edit.tensors
        if str(tensor.name).endswith(("q_proj.weight", "decoder.0.conv.weight"))
    ]
    for name in names:
        values = edit.values(name)
        values[-1] = np.nan
        edit.put(name, values)
    speech = edit.write(tmp_path / "damaged-speech.gguf")
    told = set()
    for _ in range(8):
        with pytest.raises(omniggml.ModelFileError) as caught:
            omniggml.load(speech, mmap=mmap)
        told.add(str(caught.value))
    assert len(names) > 3 and len(told) == 1, told
    one_sentence(told.pop(), "NaN")


def test_the_command_line_can_copy(tiny_files: Files, tmp_path: Path) -> None:
    from omniggml.cli import main

    target = tmp_path / "hello.wav"
    options = ["-m", str(tiny_files.speech), "--threads", "1", "--max-frames", "3"]
    assert main(["speak", "hello", "-o", str(target), *options, "--no-mmap"]) == CUT
    copied = target.read_bytes()
    assert main(["speak", "hello", "-o", str(target), *options]) == CUT
    assert target.read_bytes() == copied
