"""What a file is, whatever it is: `load`, `inspect` and the command line say the same, and what to do next."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import write_all_in_one, write_bundled, write_code2wav, write_mtp_talker
from gguf_edit import GgufEdit, Tensor
from omniggml.errors import InputError, ModelFileError
from parity.files import ModelFiles
from sentences import one_sentence


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Files:
    return Files(*model_files.gguf("mini", "f32"))


def refused(path: Path, *parts: str) -> None:
    """By `load` and by `inspect`, in the same sentence."""
    with pytest.raises(ModelFileError) as error:
        omniggml.load(path)
    one_sentence(str(error.value), str(path), *parts)
    found = omniggml.inspect(path)
    assert found.problem == str(error.value) and not found.problem.endswith(".")


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "omniggml", *map(str, arguments)], capture_output=True, text=True, check=False
    )


# --- by their bytes ---------------------------------------------------------------------------------------------------


def big_endian(path: Path, source: Path) -> None:
    content = source.read_bytes()
    path.write_bytes(content[:4] + content[4:8][::-1] + content[8:])


def first_version(path: Path, source: Path) -> None:
    content = source.read_bytes()
    path.write_bytes(content[:4] + (1).to_bytes(4, "little") + content[8:])


def safetensors(path: Path, _: Path) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def archive(path: Path, source: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.write(source, "model.gguf")


def pytorch(path: Path, _: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"x")


def bytes_of(content: bytes) -> Callable[[Path, Path], object]:
    return lambda path, _: path.write_bytes(content)


def cut(path: Path, source: Path) -> None:
    path.write_bytes(source.read_bytes()[:-100_000])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 7100000000\n"

BYTES: dict[str, tuple[Callable[[Path, Path], object], tuple[str, ...]]] = {
    "big-endian": (big_endian, ("big-endian", "gguf_convert_endian.py")),
    "version 1": (first_version, ("version 1",)),
    "cut": (cut, ("truncated", "download it again")),
    "pointer": (bytes_of(POINTER), ("Git LFS pointer", "7100000000", "git lfs pull")),
    "page": (bytes_of(b"\n<!DOCTYPE html><html><title>404</title>"), ("web page", "download")),
    "json": (bytes_of(b'{"error": "Repository not found"}'), ("JSON", "download")),
    "safetensors": (safetensors, ("safetensors", "omniggml convert")),
    "zip": (archive, ("zip archive", "unpack")),
    "gzip": (bytes_of(b"\x1f\x8b\x08" + bytes(50)), ("gzip archive", "unpack")),
    "pytorch": (pytorch, ("PyTorch", "convert")),
    "empty": (bytes_of(b""), ("0 bytes", "download")),
    "zeros": (bytes_of(bytes(100_000)), ("zeros", "download")),
    "before GGUF": (bytes_of(b"tjgg" + bytes(100)), ("before GGUF",)),
    "picture": (bytes_of(b"\x89PNG\r\n" + bytes(range(100))), ("not a GGUF file",)),
}


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_that_are_no_gguf(tiny_files: Files, tmp_path: Path, kind: str) -> None:
    write, parts = BYTES[kind]
    write(tmp_path / "x.gguf", tiny_files.speech)
    refused(tmp_path / "x.gguf", *parts)


def test_version_2_opens(tiny_files: Files, tmp_path: Path) -> None:
    content = tiny_files.speech.read_bytes()
    (tmp_path / "x.gguf").write_bytes(content[:4] + (2).to_bytes(4, "little") + content[8:])
    assert omniggml.inspect(tmp_path / "x.gguf").problem == ""


def test_directories(tiny_files: Files, model_files: ModelFiles, tmp_path: Path) -> None:
    refused(model_files.checkpoint("mini"), "checkpoint", "omniggml convert")
    (tmp_path / "a-speech.gguf").symlink_to(tiny_files.speech)
    refused(tmp_path, "directory", "a-speech.gguf")


# --- by what they hold ------------------------------------------------------------------------------------------------


def test_a_thinker_given_as_the_model(mini: Files, tmp_path: Path) -> None:
    lone = tmp_path / "thinker.gguf"
    lone.symlink_to(mini.thinker)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(lone)
    one_sentence(str(error.value), "is a thinker", "--only speech", "thinker=FILE")
    edit = GgufEdit.read(mini.thinker).set("qwen3omni.enable_audio_output", False, V.BOOL)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(edit.write(tmp_path / "thinking.gguf"))
    one_sentence(str(error.value), "has no voice", "take Qwen3-Omni-30B-A3B-Instruct")


def test_a_thinker_stands_for_the_speech_file_beside_it(tiny_files: Files) -> None:
    model = omniggml.load(tiny_files.thinker)
    assert model.path == tiny_files.speech and model.has_thinker


STRANGERS = {"clip": ("mmproj", "has no voice"), "qwen3tts": ("Qwen3-TTS",), "llama": ('"llama"', "no family")}


@pytest.mark.parametrize("architecture", STRANGERS)
def test_other_models(tmp_path: Path, architecture: str) -> None:
    edit = GgufEdit().set("general.architecture", architecture, V.STRING).set("clip.has_audio_encoder", True, V.BOOL)
    edit.tensors.append(Tensor("a.weight", [4], 0, bytes(16)))
    refused(edit.write(tmp_path / "x.gguf"), *STRANGERS[architecture], "omniggml convert")


def test_parts_that_load_beside_others(mini: Files, tmp_path: Path) -> None:
    """Their geometry is shown, and nothing is said to be missing."""
    files = {
        ("thinker",): write_bundled(tmp_path / "bundled.gguf", mini.speech),
        ("thinker", "code2wav"): write_mtp_talker(tmp_path / "mtp.gguf", mini.speech),
    }
    for needs, path in files.items():
        refused(path, *(f"{name}=" for name in needs))
        found = omniggml.inspect(path)
        assert (found.needs, found.missing, found.loads) == (needs, (), True)
        assert "talker" in found.geometry
        assert ("code2wav" in found.geometry) == (needs != ("thinker", "code2wav"))


def test_code2wav_alone_loads(mini: Files, tmp_path: Path) -> None:
    """It decodes; asked to speak, it says what is missing."""
    path = write_code2wav(tmp_path / "code2wav.gguf", mini.speech)
    found = omniggml.inspect(path)
    assert (found.problem, found.needs, found.missing, found.loads) == ("", (), (), True)
    assert [*found.geometry] == ["code2wav"]


def test_parts_that_lack_something(mini: Files, tmp_path: Path) -> None:
    """A fork's converter leaves out a projection's biases."""
    edit = GgufEdit.read(write_bundled(tmp_path / "bundled.gguf", mini.speech))
    edit.drop("talker.hidden_projection.fc1.bias")
    found = omniggml.inspect(edit.write(tmp_path / "x.gguf"))
    assert not found.loads and found.missing == ("talker.hidden_projection.linear_fc1.bias",)
    one_sentence(found.problem, "talker.hidden_projection.linear_fc1.bias")


@pytest.mark.parametrize("architecture", ["qwen3omnimoe", "qwen3omni"])
def test_thinkers_by_other_names_can_be_loaded(mini: Files, tmp_path: Path, architecture: str) -> None:
    edit = GgufEdit.read(mini.thinker).set("general.architecture", architecture)
    edit.metadata = [(str(key).replace("qwen3vlmoe.", f"{architecture}."), entry) for key, entry in edit.metadata]
    found = omniggml.inspect(edit.write(tmp_path / "x.gguf"))
    assert (found.problem, found.family) == ("", "thinker")


# --- a thinker alone --------------------------------------------------------------------------------------------------


def test_a_thinker_alone_chats_in_text(mini: Files) -> None:
    both = omniggml.load(mini.speech, thinker=mini.thinker, n_threads=1)
    alone = omniggml.load(thinker=mini.thinker, n_threads=1)
    options = omniggml.TextOptions(greedy=True, max_tokens=5)
    reply = alone.chat("hello", text_options=options)
    assert reply.tokens == both.chat("hello", text_options=options, max_frames=1).tokens and reply.text
    assert not alone.has_voice and alone.has_thinker and set(alone.geometry) == {"thinker"}
    assert reply.audio.samples.size == 0
    np.testing.assert_array_equal(alone.thinker([1, 2]).logits, both.thinker([1, 2]).logits)
    with pytest.raises(InputError) as error:
        alone.speak("hello")
    one_sentence(str(error.value), "no voice", "speech file")


def test_no_thinker_on_request(tiny_files: Files) -> None:
    assert omniggml.load(tiny_files.speech).has_thinker
    assert not omniggml.load(tiny_files.speech, thinker=False).has_thinker


def test_the_command_line_chats_in_text(mini: Files, tmp_path: Path) -> None:
    done = command("chat", "hello", "--thinker", mini.thinker, "--max-tokens", 3, "--greedy")
    assert done.returncode == 3 and done.stdout.strip()
    one_sentence(done.stderr.strip(), "the answer was cut: token limit")
    spoken = command("chat", "hello", "--thinker", mini.thinker, "-o", tmp_path / "x.wav")
    assert spoken.returncode == 1
    one_sentence(spoken.stderr.strip(), "no voice")


# --- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect_several_files(mini: Files, tmp_path: Path) -> None:
    sound = command("inspect", mini.speech, mini.thinker)
    assert sound.returncode == 0 and sound.stdout.count("can be loaded") == 2
    for part in (
        "speakers: ",
        "ethan",
        "has a chat template",
        "sampling of the talker: do_sample True, temperature 0.9",
    ):
        assert part in sound.stdout
    (tmp_path / "x.gguf").write_bytes(POINTER)
    broken = command("inspect", mini.speech, tmp_path / "x.gguf", "--json")
    shown = json.loads(broken.stdout)
    assert broken.returncode == 1 and [one["loads"] for one in shown] == [True, False]


def test_inspect_shows_languages_and_llama_cpps_sampling(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.thinker).set("general.languages", ["en", "zh"], V.ARRAY, V.STRING)
    edit.set("general.sampling.top_k", 7, V.INT32)
    found = omniggml.inspect(edit.write(tmp_path / "x.gguf"))
    assert found.languages == ("en", "zh") and found.sampling["thinker"]["top_k"] == 7


def test_all_in_one(mini: Files, tmp_path: Path) -> None:
    found = omniggml.inspect(write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True))
    assert (found.problem, found.missing) == ("", ()) and "thinker" not in found.geometry
    assert found.speakers == ("chelsie", "ethan", "aiden")


def test_our_own_file_of_code2wav_alone(mini: Files, tmp_path: Path) -> None:
    """`load`, `inspect` and the doctor agree: it decodes, and lacks nothing for that."""
    edit = GgufEdit.read(mini.speech)
    edit.tensors = [tensor for tensor in edit.tensors if tensor.name.startswith("code2wav.")]
    path = edit.write(tmp_path / "x-speech.gguf")
    found = omniggml.inspect(path)
    assert found.loads and not found.missing and [*found.geometry] == ["code2wav"]
    assert omniggml.diagnose(path, n_threads=1).exit_code == omniggml.Exit.HEALTHY
    groups = found.geometry["code2wav"]["num_quantizers"]
    assert len(omniggml.load(path, n_threads=1).code2wav(np.zeros((groups, 3), np.int32)))
