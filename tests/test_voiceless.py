"""Models without a talker: -Thinking, -Captioner, and a thinker saved by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from omniggml import convert
from omniggml.errors import ConversionError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence
from test_resaved import edit, renamed, save


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny")


def thinker_only(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in tensors.items() if name.startswith("thinker.")}


@pytest.fixture
def voiceless(tiny: Path, tmp_path: Path) -> Path:
    """As -Thinking is published."""
    directory = Path(shutil.copytree(tiny, tmp_path / "thinking"))
    save(directory, thinker_only)

    def silence(config: dict[str, Any]) -> None:
        del config["talker_config"], config["code2wav_config"]
        config["enable_audio_output"] = False

    edit(directory / "config.json", silence)
    return directory


def tensors_of(path: Path) -> dict[str, bytes]:
    return {tensor.name: tensor.data.tobytes() for tensor in GGUFReader(path).tensors}


def metadata_of(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in GGUFReader(path).fields.items() if not name.startswith("GGUF.")}


def test_only_the_thinker_is_written(tiny: Path, voiceless: Path, tmp_path: Path) -> None:
    """Whatever is asked for but speech; the same as Instruct's but for what belongs to a talker."""
    (ours,) = convert(tiny, tmp_path / "a", type="bf16", name="x", only="thinker")
    with pytest.warns(UserWarning, match="no voice"):
        (theirs,) = convert(voiceless, tmp_path / "b", type="bf16", name="x")
    assert theirs.name == "x-thinker.gguf" and tensors_of(ours) == tensors_of(theirs)
    first, second = metadata_of(ours), metadata_of(theirs)
    assert {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)} == {
        "qwen3omni.accept_hidden_layer",
        "qwen3omni.enable_audio_output",
    }
    assert second["qwen3omni.enable_audio_output"] is False
    (again,) = convert(voiceless, tmp_path / "c", type="bf16", name="x", only="thinker")
    assert again.read_bytes() == theirs.read_bytes()


def test_no_speech_file(voiceless: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        convert(voiceless, tmp_path / "out", only="speech")
    one_sentence(str(error.value), "no voice", "Instruct")
    assert not (tmp_path / "out").exists()


def keep_configuration(config: dict[str, Any]) -> None:
    """Saved again by transformers, which fills in what is missing."""
    config["enable_audio_output"] = False


def drop_talker(config: dict[str, Any]) -> None:
    del config["talker_config"]


@pytest.mark.parametrize("change", [keep_configuration, drop_talker])
def test_either_sign_is_enough(tiny: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    directory = Path(shutil.copytree(tiny, tmp_path / "thinking"))
    save(directory, thinker_only)
    edit(directory / "config.json", change)
    assert convert(directory, tmp_path / "out", only="thinker")


def test_a_thinker_saved_by_itself(tiny: Path, voiceless: Path, tmp_path: Path) -> None:
    """Its names begin within it, its configuration is the thinker's, and ids come from the tokenizer."""
    (expected,) = convert(voiceless, tmp_path / "a", type="bf16", name="x", only="thinker")
    save(voiceless, renamed("thinker.", ""))
    config = json.loads((voiceless / "config.json").read_text())["thinker_config"]
    (voiceless / "config.json").write_text(json.dumps(config))
    (got,) = convert(voiceless, tmp_path / "b", type="bf16", name="x", only="thinker")
    assert got.read_bytes() == expected.read_bytes()


@pytest.mark.reference
@pytest.mark.slow
def test_a_thinker_saved_by_transformers(tiny: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    (expected,) = convert(tiny, tmp_path / "a", type="bf16", name="x", only="thinker")
    model = transformers.Qwen3OmniMoeThinkerForConditionalGeneration.from_pretrained(tiny, dtype="bfloat16")
    for fused in (False, True):
        directory = tmp_path / f"thinker-{fused}"
        model.save_pretrained(directory, save_original_format=not fused)
        transformers.AutoTokenizer.from_pretrained(tiny).save_pretrained(directory)
        (got,) = convert(directory, tmp_path / f"out-{fused}", type="bf16", name="x", only="thinker")
        assert tensors_of(got) == tensors_of(expected)


def test_command_line(voiceless: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "omniggml", "convert", str(voiceless), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "out" / "thinking-thinker.gguf")] and "no voice" in done.stderr
    failed = subprocess.run([*command, "--only", "speech"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    one_sentence(failed.stderr.strip(), "no voice", "Instruct")
