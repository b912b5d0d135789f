"""Checkpoints that other programs have saved again: the files made of them are the same to the byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omniggml import convert
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.eyes import eyes_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

Tensors = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoint") / "mini"
    geometry = GEOMETRIES["mini"]
    return write_random_checkpoint("mini", directory, audio=ears_for(geometry), vision=eyes_for(geometry))


@pytest.fixture
def copy(mini: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mini, tmp_path / "copy"))


def same(ours: Path, theirs: Path, tmp_path: Path) -> None:
    files = [convert(source, tmp_path / where, type="bf16", name="x") for source, where in ((ours, "a"), (theirs, "b"))]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def save(directory: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Change a checkpoint's tensors, and write them as one file in float32."""
    safetensors = pytest.importorskip("safetensors.numpy")
    checkpoint = Checkpoint(directory)
    tensors = {
        name: np.concatenate(list(checkpoint.blocks(name))).reshape(stored.shape)
        for name, stored in checkpoint.tensors.items()
    }
    for path in directory.glob("model*safetensors*"):
        path.unlink()
    safetensors.save_file(change(tensors), directory / "model.safetensors")


def fused(tensors: Tensors) -> Tensors:
    """Experts as transformers 5 holds them."""
    out = {name: values for name, values in tensors.items() if ".mlp.experts." not in name}
    prefixes = {name.partition(".experts.")[0] + ".experts." for name in tensors if ".mlp.experts." in name}
    for prefix in prefixes:
        n = sum(name.startswith(prefix) and name.endswith("up_proj.weight") for name in tensors)
        gate, up, down = (
            np.stack([tensors[f"{prefix}{i}.{part}_proj.weight"] for i in range(n)]) for part in ("gate", "up", "down")
        )
        out |= {f"{prefix}gate_up_proj": np.concatenate([gate, up], axis=1), f"{prefix}down_proj": down}
    return out


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {
        new + name.removeprefix(old) if name.startswith(old) else name: values for name, values in tensors.items()
    }


CHANGES = {
    "fused experts": fused,
    "a model within another": renamed("", "model."),
    "compiled": renamed("", "_orig_mod."),
    "language model one deeper": renamed("thinker.model.", "thinker.model.language_model."),
}


@pytest.mark.parametrize("change", CHANGES)
def test_names_of_other_programs(mini: Path, copy: Path, tmp_path: Path, change: str) -> None:
    save(copy, CHANGES[change])
    same(mini, copy, tmp_path)


def test_only_the_fused_shards_that_are_needed(copy: Path, tmp_path: Path) -> None:
    """Names in the index are read as the published ones too."""
    save(copy, lambda tensors: fused(renamed("thinker.model.", "thinker.model.language_model.")(tensors)))
    names = list(Checkpoint(copy).tensors)
    assert "thinker.model.layers.0.mlp.experts.1.up_proj.weight" in names
    index = {"weight_map": {"thinker.model.language_model.norm.weight": "gone.safetensors"}}
    index["weight_map"] |= {name: "model.safetensors" for name in names if not name.startswith("thinker.")}
    index["weight_map"]["thinker.model.language_model.embed_tokens.weight"] = "model.safetensors"
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert convert(copy, tmp_path / "out", only="speech")
    with pytest.raises(ConversionError, match="incomplete"):
        convert(copy, tmp_path / "out")


def odd_gate_up(tensors: Tensors) -> Tensors:
    name = "talker.model.layers.0.mlp.experts.gate_up_proj"
    return fused(tensors) | {name: fused(tensors)[name][:, 1:]}


def test_fused_experts_of_another_shape(copy: Path, tmp_path: Path) -> None:
    save(copy, odd_gate_up)
    with pytest.raises(ConversionError) as error:
        convert(copy, tmp_path / "out")
    one_sentence(str(error.value), "talker.model.layers.0.mlp.experts")


# --- configuration ----------------------------------------------------------------------------------------------------


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def respell(config: dict[str, Any]) -> None:
    """As transformers 5.7 and later, everywhere."""
    for text in (config["talker_config"]["text_config"], config["thinker_config"]["text_config"]):
        text["num_local_experts"] = text.pop("num_experts")
        text["rope_parameters"] = {**text.pop("rope_scaling"), "rope_theta": text.pop("rope_theta")}
    config["torch_dtype"] = config.pop("dtype")


def test_other_spellings_of_the_configuration(mini: Path, copy: Path, tmp_path: Path) -> None:
    edit(copy / "config.json", respell)
    same(mini, copy, tmp_path)


def test_two_spellings_that_disagree(copy: Path, tmp_path: Path) -> None:
    edit(copy / "config.json", lambda config: config["talker_config"]["text_config"].update(num_local_experts=3))
    with pytest.raises(ConversionError) as error:
        convert(copy, tmp_path / "out")
    one_sentence(str(error.value), "num_experts")


# --- tokenizer --------------------------------------------------------------------------------------------------------


def whole_tokenizer(directory: Path) -> dict[str, Any]:
    """`tokenizer.json` of a checkpoint's other files."""
    config = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    merges = (directory / "merges.txt").read_text(encoding="utf-8").split("\n")[1:-1]
    added = [{"id": int(index), **entry} for index, entry in config["added_tokens_decoder"].items()]
    return {
        "added_tokens": added,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"}},
        "model": {
            "type": "BPE",
            "vocab": json.loads((directory / "vocab.json").read_text(encoding="utf-8")),
            "merges": [merge.split(" ") for merge in merges],
        },
    }


@pytest.mark.parametrize("beside", [False, True])
def test_tokenizer_json(mini: Path, copy: Path, tmp_path: Path, beside: bool) -> None:
    """Alone, or beside the older files, whose settings then no longer list the special tokens."""
    (copy / "tokenizer.json").write_text(json.dumps(whole_tokenizer(copy)), encoding="utf-8")
    edit(copy / "tokenizer_config.json", lambda config: config.pop("added_tokens_decoder"))
    if not beside:
        (copy / "vocab.json").unlink()
        (copy / "merges.txt").unlink()
    same(mini, copy, tmp_path)


def test_added_tokens_in_a_file_of_their_own(mini: Path, copy: Path, tmp_path: Path) -> None:
    added = {entry["content"]: entry["id"] for entry in whole_tokenizer(copy)["added_tokens"]}
    (copy / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
    same(mini, copy, tmp_path)


def test_templates_by_name(mini: Path, copy: Path, tmp_path: Path) -> None:
    (copy / "chat_template.json").unlink()
    edit(
        copy / "tokenizer_config.json",
        lambda config: config.update(
            chat_template=[{"name": "tools", "template": "x"}, {"name": "default", "template": config["chat_template"]}]
        ),
    )
    same(mini, copy, tmp_path)


# --- transformers itself ----------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_saved_again_by_transformers(mini: Path, tmp_path: Path, fused: bool) -> None:
    """By the installed version; `tests/resave.py` does it for another one's Python."""
    pytest.importorskip("transformers")
    from resave import resave

    resave(mini, tmp_path / "again", fused=fused)
    same(mini, tmp_path / "again", tmp_path)
