"""Files in several parts: read from any of them, written as llama.cpp's tool writes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml.errors import InputError, ModelFileError
from omniggml.gguf.header import read_header
from sentences import one_sentence
from test_llama_cpp_compat import llama_server, post


def split(source: Path, directory: Path, n: int, *, empty_first: bool = False) -> list[Path]:
    """As llama.cpp's tool: all metadata in the first file, `empty_first` with no tensors there."""
    whole = GgufEdit.read(source)
    cuts = np.linspace(0, len(whole.tensors), n + 1 - empty_first).astype(int)
    groups = [whole.tensors[a:b] for a, b in pairwise(cuts)]
    groups = [[], *groups] if empty_first else groups
    paths = []
    for number, tensors in enumerate(groups):
        edit = GgufEdit(list(whole.metadata) if number == 0 else [])
        edit.set("split.no", number, V.UINT16).set("split.count", n, V.UINT16)
        edit.set("split.tensors.count", len(whole.tensors), V.INT32)
        edit.tensors = list(tensors)
        paths.append(edit.write(directory / f"{source.stem}-{number + 1:05d}-of-{n:05d}.gguf"))
    return paths


def spoken(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    model = omniggml.load(path, n_threads=1, **options)
    return model.speak("hello", seed=3, max_frames=4).samples


@pytest.mark.parametrize("empty_first", [False, True])
def test_loaded_from_any_member(tiny_files: Files, tmp_path: Path, empty_first: bool) -> None:
    expected = spoken(tiny_files.speech, thinker=False)
    paths = split(tiny_files.speech, tmp_path, 3, empty_first=empty_first)
    for path in paths:
        np.testing.assert_array_equal(spoken(path), expected)
    found = omniggml.inspect(paths[1])
    whole = omniggml.inspect(tiny_files.speech)
    assert found.problem == "" and (found.shares, found.geometry) == (whole.shares, whole.geometry)
    assert found.size == sum(path.stat().st_size for path in paths)


def test_a_thinker_in_parts(tiny_files: Files, tmp_path: Path) -> None:
    paths = split(tiny_files.thinker, tmp_path, 2)
    greedy = omniggml.TextOptions(greedy=True, max_tokens=5)
    answers = [
        omniggml.load(tiny_files.speech, thinker=path, n_threads=1).generate_text([1, 2, 3], greedy)
        for path in (tiny_files.thinker, *paths)
    ]
    assert answers[0] == answers[1] == answers[2]


def test_values_of_parts(tiny_files: Files, tmp_path: Path) -> None:
    paths = split(tiny_files.speech, tmp_path, 4)
    whole, parts = read_header(tiny_files.speech), read_header(paths[2])
    assert whole.tensors.keys() == parts.tensors.keys() and len(parts.members) == 4
    for name, stored in whole.tensors.items():
        assert whole.read(stored) == parts.read(parts.tensors[name])


def test_missing_members_are_named(tiny_files: Files, tmp_path: Path) -> None:
    paths = split(tiny_files.speech, tmp_path, 3)
    paths[1].unlink()
    with pytest.raises(ModelFileError) as error:
        omniggml.load(paths[2])
    one_sentence(str(error.value), paths[1].name, "download")
    assert omniggml.inspect(paths[0]).problem


def test_members_that_do_not_belong_together(tiny_files: Files, tmp_path: Path) -> None:
    paths = split(tiny_files.speech, tmp_path, 3)
    shutil.copy(paths[0], paths[1])
    with pytest.raises(ModelFileError) as error:
        omniggml.load(paths[2])
    one_sentence(str(error.value), "part 0 of 3", paths[1].name)
    paths = split(tiny_files.speech, tmp_path, 3)
    edit = GgufEdit.read(paths[1])
    edit.tensors.append(GgufEdit.read(paths[0]).tensors[0])
    edit.write(paths[1])
    with pytest.raises(ModelFileError, match="another part has too"):
        omniggml.load(paths[0])
    edit.tensors = edit.tensors[:-2]
    edit.write(paths[1])
    with pytest.raises(ModelFileError, match="expected"):
        omniggml.load(paths[0])


@pytest.mark.parametrize("value", [0, 5, 65535])
def test_counts_that_do_not_fit_the_name(tiny_files: Files, tmp_path: Path, value: int) -> None:
    path = split(tiny_files.speech, tmp_path, 2)[0]
    GgufEdit.read(path).set("split.count", value, V.UINT16).write(path)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(path)
    one_sentence(str(error.value), str(path))


def test_a_member_under_another_name(tiny_files: Files, tmp_path: Path) -> None:
    path = split(tiny_files.speech, tmp_path, 2)[0].rename(tmp_path / "model.gguf")
    with pytest.raises(ModelFileError) as error:
        omniggml.load(path)
    one_sentence(str(error.value), "-00001-of-00002.gguf")


@pytest.mark.parametrize("name", ["model.gguf.part1of3", "model.gguf.part2of3"])
def test_pieces_are_named(tiny_files: Files, tmp_path: Path, name: str) -> None:
    content = tiny_files.speech.read_bytes()
    (tmp_path / name).write_bytes(content[:10000] if "part1" in name else content[10000:20000])
    with pytest.raises(ModelFileError) as error:
        omniggml.load(tmp_path / name)
    one_sentence(str(error.value), "of 3", "cat ")


# --- written ----------------------------------------------------------------------------------------------------------


def test_written_in_parts(tiny_files: Files, tmp_path: Path) -> None:
    whole = omniggml.quantize(tiny_files.speech, tmp_path / "whole.gguf", policy="q8_0-all")
    made = omniggml.quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q8_0-all", split_max_size=100_000)
    paths = sorted(tmp_path.glob("x-*.gguf"))
    assert made.path == paths[0] and len(paths) > 2 and not (tmp_path / "x.gguf").exists()
    assert made.changes == whole.changes
    for path in paths:
        tensors = GGUFReader(path).tensors
        assert sum(int(tensor.n_bytes) for tensor in tensors) <= 100_000 or len(tensors) == 1
    np.testing.assert_array_equal(spoken(paths[-1]), spoken(whole.path))
    again = omniggml.quantize(paths[1], tmp_path / "again.gguf", policy="q8_0-all", requantize=True)
    assert again.path.read_bytes() == whole.path.read_bytes()


def test_a_tensor_larger_than_the_parts_is_said(tiny_files: Files, tmp_path: Path) -> None:
    """It is in a file of its own, which is larger than was asked for."""
    with pytest.warns(UserWarning) as said:
        omniggml.quantize(tiny_files.thinker, tmp_path / "x.gguf", policy="f16", split_max_size=20_000)
    sizes = {tensor.name: int(tensor.n_bytes) for path in tmp_path.iterdir() for tensor in GGUFReader(path).tensors}
    beyond = {name: size for name, size in sizes.items() if size > 20_000}
    assert len(said) == 1 and len(beyond) > 1
    largest = max(beyond, key=lambda name: beyond[name])
    one_sentence(str(said[0].message), f"{len(beyond)} files", "20000 bytes", largest, str(beyond[largest]))


def test_llama_cpp_reads_what_is_written(tiny_files: Files, tmp_path: Path) -> None:
    """The same answer as of the file in one piece."""
    omniggml.quantize(tiny_files.thinker, tmp_path / "x.gguf", policy="f16", split_max_size=60_000)
    omniggml.quantize(tiny_files.thinker, tmp_path / "whole.gguf", policy="f16")
    paths = sorted(tmp_path.glob("x-*.gguf"))
    assert len(paths) > 1
    asked = {"prompt": [1, 2, 3], "n_predict": 8, "temperature": 0, "return_tokens": True, "cache_prompt": False}
    answers = []
    for path in (paths[0], tmp_path / "whole.gguf"):
        with llama_server(path) as address:
            answers.append(post(address, "/completion", asked)["tokens"])
    assert answers[0] == answers[1] and answers[0]


def test_the_command_line(tiny_files: Files, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "omniggml", "quantize", str(tiny_files.speech), str(tmp_path / "x.gguf")]
    subprocess.run([*command, "--split-max-size", "1M"], check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]
    wrong = subprocess.run([*command, "--split-max-size", "1T"], check=False, capture_output=True, text=True)
    assert wrong.returncode == 1
    one_sentence(wrong.stderr.strip(), "--split-max-size")
    with pytest.raises(InputError):
        omniggml.quantize(tiny_files.speech, tmp_path / "y.gguf", split_max_size=0)
