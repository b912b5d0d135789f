"""Checkpoint directories as downloads and other programs leave them: read, or named, with the next step."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

import omniggml
from eyes_side import Eyes
from omniggml import convert
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError, InputError, ModelFileError
from omniggml.loading import BUILT_IN
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence
from test_resaved import Tensors, renamed, same, save

safetensors = pytest.importorskip("safetensors.numpy")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 7100000000\n"
PAGE = b"<!DOCTYPE html><html><title>404</title></html>" * 20


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def complaint(directory: Path, *parts: str) -> None:
    with pytest.raises(ConversionError) as error:
        convert(directory, directory.with_name("out"), type="bf16")
    one_sentence(str(error.value), *parts)
    assert not directory.with_name("out").exists()


def one_file(directory: Path, name: str) -> None:
    save(directory, lambda tensors: tensors)
    (directory / "model.safetensors").rename(directory / name)


@pytest.mark.skipif(sys.platform == "win32", reason="links")
@pytest.mark.parametrize("to", ["nowhere", ""])
@pytest.mark.parametrize("name", ["config.json", "merges.txt", "generation_config.json", "model.safetensors"])
def test_a_link_that_leads_nowhere(copy: Path, name: str, to: str) -> None:
    """Nor to itself: what has that name isn't missing, and is in nobody's place."""
    if name == "model.safetensors":
        one_file(copy, name)
    (copy / name).unlink()
    (copy / name).symlink_to(to or name)
    complaint(copy, name, "a link that leads to no file")


@pytest.mark.skipif(sys.platform == "win32", reason="looks a name up otherwise")
def test_a_name_longer_than_any(copy: Path) -> None:
    """Of a shard in the index, and of what is given to the doctor."""
    index = copy / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"][next(iter(content["weight_map"]))] = "x" * 300 + ".safetensors"
    index.write_text(json.dumps(content))
    complaint(copy, "x.safetensors can't be read", "File name too long")
    long = copy / ("x" * 300)
    with pytest.raises(ConversionError, match="File name too long"):
        Checkpoint(long)
    with pytest.raises(ModelFileError, match="File name too long"):
        omniggml.diagnose(long)
    for option in ("tokenizer", "reference"):
        with pytest.raises(InputError, match="File name too long"):
            omniggml.diagnose(BUILT_IN, **{option: long})


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "generation_config.json", "model.safetensors"])
@pytest.mark.parametrize(("content", "parts"), [(POINTER, ("Git LFS pointer", "git lfs pull")), (PAGE, ("web page",))])
def test_what_lies_in_a_files_place(copy: Path, name: str, content: bytes, parts: tuple[str, ...]) -> None:
    if name == "model.safetensors":
        one_file(copy, name)
    (copy / name).write_bytes(content)
    complaint(copy, name, *parts)


def pickled(directory: Path) -> None:
    one_file(directory, "x")
    (directory / "x").rename(directory / "pytorch_model.bin")


def half(directory: Path) -> None:
    one_file(directory, "model-00001-of-00002.safetensors")


def gguf_there(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    (directory / "x-speech.gguf").write_bytes(b"GGUF")


ELSEWHERE: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "PyTorch": (pickled, ("pytorch_model.bin", "save_pretrained")),
    "half": (half, ("1 of the 2 shards", "incomplete")),
    "consolidated": (lambda at: one_file(at, "consolidated.safetensors"), ("consolidated.safetensors", "rename")),
    "variant": (lambda at: one_file(at, "model.fp16.safetensors"), ("model.fp16.safetensors", "rename")),
    "GGUF": (gguf_there, ("x-speech.gguf", "GGUF already", "quantize")),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_weights_that_are_elsewhere(copy: Path, kind: str) -> None:
    change, parts = ELSEWHERE[kind]
    change(copy)
    complaint(copy, *parts)


def test_a_whole_set_of_shards_needs_no_index(tiny: Path, copy: Path, tmp_path: Path) -> None:
    save(copy, lambda tensors: tensors)
    tensors = safetensors.load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    for number in (0, 1):
        part = dict(list(tensors.items())[number::2])
        safetensors.save_file(part, copy / f"model-{number + 1:05d}-of-00002.safetensors")
    same(tiny, copy, tmp_path)


def test_weights_that_nobody_lists(copy: Path, tmp_path: Path) -> None:
    """A second file of the same tensors, as an interrupted conversion leaves it; an adapter is none."""
    shard = sorted(copy.glob("*.safetensors"))[0]
    shutil.copy(shard, copy / "model-00009-of-00009.safetensors")
    shutil.copy(shard, copy / "adapter_model.safetensors")
    with pytest.warns(UserWarning, match="not read.*: model-00009-of-00009.safetensors; remove"):
        convert(copy, tmp_path / "out")
    (copy / "model-00009-of-00009.safetensors").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(copy, tmp_path / "out2")


def test_one_tensor_by_two_names(copy: Path) -> None:
    """Its own, and one that stands for the same."""
    save(copy, lambda tensors: {**tensors, "module.talker.codec_head.weight": tensors["talker.codec_head.weight"]})
    complaint(copy, "talker.codec_head.weight twice, as", "module.talker")


def test_experts_without_number(copy: Path) -> None:
    """A billion of them, of no values, are not counted one by one."""
    none = np.zeros((10**9, 2, 0), np.float32)
    save(copy, lambda tensors: {**tensors, "talker.model.layers.0.mlp.experts.gate_up_proj": none})
    complaint(copy, "gate_up_proj of shape [1000000000, 2, 0]")


def test_twice_the_precision(tiny: Path, copy: Path, tmp_path: Path) -> None:
    save(copy, lambda tensors: {name: values.astype(np.float64) for name, values in tensors.items()})
    same(tiny, copy, tmp_path)


def test_a_number_that_is_too_large_for_half_of_it(copy: Path) -> None:
    def changed(tensors: Tensors) -> Tensors:
        wide = {name: values.astype(np.float64) for name, values in tensors.items()}
        wide["talker.codec_head.weight"][0, 0] = 1e300
        return wide

    save(copy, changed)
    with pytest.raises(ConversionError, match=r"codec_head\.weight holds NaN or infinite"):
        convert(copy, copy.with_name("out"), type="bf16")


def test_quantized_and_not_said(copy: Path) -> None:
    name = "thinker.model.layers.0.self_attn.q_proj"
    save(copy, renamed(f"{name}.weight", f"{name}.qweight"))
    complaint(copy, name, "AWQ or GPTQ", "unquantized")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_configurations_of_another_encoding(tiny: Path, copy: Path, tmp_path: Path, encoding: str) -> None:
    for name in ("config.json", "generation_config.json"):
        (copy / name).write_text((copy / name).read_text(), encoding=encoding)
    same(tiny, copy, tmp_path)


def edited(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_temperature_of_zero_is_greedy(copy: Path, tmp_path: Path) -> None:
    edited(copy / "generation_config.json", talker_temperature=0.0, talker_do_sample=True)
    speech = convert(copy, tmp_path / "out", only="speech")[0]
    field = GGUFReader(speech).fields["qwen3omni-speech.talker.generation.do_sample"]
    assert not field.contents()
    assert omniggml.load(speech, n_threads=1).speak("hi", max_frames=2).samples.size


def test_a_part_that_was_saved_alone(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    for part in ("talker_config", "code2wav_config"):
        (copy / "config.json").write_text(json.dumps(config[part]))
        complaint(copy, "config.json", "saved by itself", "whole model")


def test_a_voice_that_is_switched_off(copy: Path, tmp_path: Path) -> None:
    edited(copy / "config.json", enable_audio_output=False)
    with pytest.warns(UserWarning, match="enable_audio_output is false"):
        assert [path.name for path in convert(copy, tmp_path / "out")] == ["copy-thinker.gguf"]


@pytest.mark.parametrize(
    ("start", "part"), [(b"RIFF\0\0\0\0WAVE", "WAV audio"), (bytes(257) + b"ustar", "tar archive"), (b"fLaC", "FLAC")]
)
def test_what_was_taken_for_a_model(tmp_path: Path, start: bytes, part: str) -> None:
    (tmp_path / "x.gguf").write_bytes(start + bytes(100))
    with pytest.raises(omniggml.ModelFileError) as error:
        omniggml.load(tmp_path / "x.gguf")
    one_sentence(str(error.value), part)


# --- files that people forget beside the weights ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacking", "parts"),
    [
        (["config.json"], ("holds weights and no config.json", "copy it")),
        (["vocab.json", "merges.txt"], ("has no tokenizer", "vocab.json, merges.txt and tokenizer_config.json")),
        (["merges.txt"], ("vocab.json without merges.txt", "copy it")),
        (["tokenizer_config.json"], ("tts_pad", "there is no tokenizer_config.json", "copy it")),
    ],
    ids=["configuration", "tokenizer", "merges", "added tokens"],
)
def test_what_nothing_can_be_made_without(copy: Path, lacking: list[str], parts: tuple[str, ...]) -> None:
    for name in lacking:
        (copy / name).unlink()
    complaint(copy, str(copy), *parts)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("generation_config.json", ("has no generation_config.json", "greedy", "copy it from the model")),
        ("chat_template.json", ("has no chat template", "can't chat", "copy it from the model")),
        ("preprocessor_config.json", ("has no preprocessor_config.json", "published model's", "copy it")),
    ],
)
def test_what_is_made_otherwise_without(tmp_path: Path, name: str, parts: tuple[str, ...]) -> None:
    """It converts, and one warning says what is missing and where to take it."""
    checkpoint = Eyes(tmp_path).checkpoint
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(checkpoint, tmp_path / "whole", name="x")
    (checkpoint / name).unlink()
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text())
    if name == "chat_template.json":  # which stands here, too
        del tokenizer["chat_template"]
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    with pytest.warns(UserWarning) as said:
        convert(checkpoint, tmp_path / "out", name="x")
    assert len(said) == 1
    one_sentence(str(said[0].message), str(checkpoint), *parts)
    with warnings.catch_warnings():  # of no concern to the vocoder
        warnings.simplefilter("error")
        convert(checkpoint, tmp_path / "gen", name="x", layout="mtmd-gen")


def test_image_settings_of_either_file(tmp_path: Path) -> None:
    """Transformers 5 saves them within `processor_config.json`, which counts where both are there."""
    checkpoint = Eyes(tmp_path).checkpoint
    nested = {
        "image_processor": {
            "image_mean": [0.1, 0.2, 0.3],
            "image_std": [0.4, 0.5, 0.6],
            "size": {"longest_edge": 500_000, "shortest_edge": 5_000},
        },
        "processor_class": "Qwen3OmniMoeProcessor",
    }
    (checkpoint / "processor_config.json").write_text(json.dumps(nested))
    for name in ("both", "alone"):
        (mmproj,) = convert(checkpoint, tmp_path / name, name="x", only="mmproj")
        fields = GGUFReader(mmproj).fields
        assert fields["clip.vision.image_mean"].contents() == pytest.approx([0.1, 0.2, 0.3])
        assert fields["clip.vision.image_std"].contents() == pytest.approx([0.4, 0.5, 0.6])
        assert fields["qwen3omni.vision.min_pixels"].contents() == 5_000
        assert fields["qwen3omni.vision.max_pixels"].contents() == 500_000
        (checkpoint / "preprocessor_config.json").unlink(missing_ok=True)
    nested["image_processor"] = 5  # type: ignore[assignment]
    (checkpoint / "processor_config.json").write_text(json.dumps(nested))
    with pytest.raises(ConversionError) as error:
        convert(checkpoint, tmp_path / "odd", name="x", only="mmproj")
    one_sentence(str(error.value), "processor_config.json", "image_processor is 5")
