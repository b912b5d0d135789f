"""Fine-tunes by adapter: what is converted is what peft merges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFReader

from omniggml import convert
from omniggml.errors import ConversionError
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence
from test_resaved import renamed, save

safetensors = pytest.importorskip("safetensors.numpy")

Array = npt.NDArray[np.float32]

RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny")


def values(paths: list[Path]) -> dict[str, Array]:
    found = {}
    for path in paths:
        for tensor in GGUFReader(path).tensors:
            shape = tuple(int(extent) for extent in reversed(tensor.shape))
            found[tensor.name] = np.array(tensor.data, np.float32).reshape(shape)
    return found


ADAPTED = {
    "thinker.model.layers.0.self_attn.q_proj": 4,
    "thinker.model.layers.1.mlp.experts.2.down_proj": 2,
    "talker.model.layers.0.self_attn.v_proj": 4,
    "talker.text_projection.linear_fc1": 4,
}
"""Module -> rank."""

PLACES = {
    "thinker.model.layers.0.self_attn.q_proj": ("blk.0.attn_q.weight", ...),
    "thinker.model.layers.1.mlp.experts.2.down_proj": ("blk.1.ffn_down_exps.weight", 2),
    "talker.model.layers.0.self_attn.v_proj": ("talker.model.layers.0.self_attn.v_proj.weight", ...),
    "talker.text_projection.linear_fc1": ("talker.text_projection.linear_fc1.weight", ...),
}


def write_adapter(directory: Path, plain: dict[str, Array], **config: Any) -> dict[str, tuple[Array, Array]]:
    """An adapter of `ADAPTED`; returns the pairs [rank, in], [out, rank]."""
    directory.mkdir()
    pairs, tensors = {}, {}
    for module, rank in ADAPTED.items():
        name, place = PLACES[module]
        rows, columns = plain[name][place].shape
        down = RANDOM.standard_normal((rank, columns)).astype(np.float32)
        up = RANDOM.standard_normal((rows, rank)).astype(np.float32)
        pairs[module] = down, up
        tensors[f"base_model.model.{module}.lora_A.weight"] = down
        tensors[f"base_model.model.{module}.lora_B.weight"] = up
    whole = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "rank_pattern": {"experts.2.down_proj": 2}, **config}
    (directory / "adapter_config.json").write_text(json.dumps(whole))
    safetensors.save_file(tensors, directory / "adapter_model.safetensors")
    return pairs


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "plain": ({}, {"q_proj": 1.5, "down_proj": 3, "v_proj": 1.5, "linear_fc1": 1.5}),
    "alphas": (
        {"alpha_pattern": {r"layers\.\d+\.self_attn\.[qv]_proj": 2, "down_proj": 1}},
        {"q_proj": 0.5, "down_proj": 0.5, "v_proj": 0.5, "linear_fc1": 1.5},
    ),
    "stabilised": ({"use_rslora": True}, {"q_proj": 3, "down_proj": 6 / 2**0.5, "v_proj": 3, "linear_fc1": 3}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_merged_tensor_by_tensor(tiny: Path, tmp_path: Path, name: str) -> None:
    plain = values(convert(tiny, tmp_path / "a", type="f32", name="x"))
    config, scales = SETTINGS[name]
    pairs = write_adapter(tmp_path / "adapter", plain, **config)
    merged = values(convert(tiny, tmp_path / "b", type="f32", name="x", lora=tmp_path / "adapter"))
    for module, (down, up) in pairs.items():
        tensor, place = PLACES[module]
        plain[tensor][place] += np.float32(scales[module.rpartition(".")[2]]) * (up @ down)
    for tensor, expected in plain.items():
        np.testing.assert_allclose(merged[tensor], expected, rtol=1e-5, atol=1e-5, err_msg=tensor)


def test_embeddings_and_parts_trained_whole(tiny: Path, tmp_path: Path) -> None:
    plain = values(convert(tiny, tmp_path / "a", type="f32", name="x"))
    table = plain["token_embd.weight"]
    down = RANDOM.standard_normal((4, len(table))).astype(np.float32)
    up = RANDOM.standard_normal((table.shape[1], 4)).astype(np.float32)
    head = RANDOM.standard_normal(plain["talker.codec_head.weight"].shape).astype(np.float32)
    write_adapter(tmp_path / "adapter", plain)
    prefix = "base_model.model.thinker.model.language_model.embed_tokens.lora_embedding_"
    tensors = {f"{prefix}A": down, f"{prefix}B": up, "base_model.model.talker.codec_head.weight": head}
    safetensors.save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    merged = values(convert(tiny, tmp_path / "b", type="f32", name="x", lora=tmp_path / "adapter"))
    for name in ("token_embd.weight", "thinker.model.embed_tokens.weight"):
        np.testing.assert_allclose(merged[name], table + 1.5 * (up @ down).T, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(merged["talker.codec_head.weight"], head)


def complaint(source: Path, out: Path, **options: Any) -> str:
    with pytest.raises(ConversionError) as error:
        convert(source, out, type="f32", **options)
    assert not out.exists()
    return str(error.value)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "DoRA": ({"use_dora": True}, "DoRA"),
    "another method": ({"peft_type": "IA3"}, "IA3"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "pissa"),
    "fused experts": ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
    "layers repeated": ({"layer_replication": [[0, 4], [2, 5]]}, "layer_replication"),
    "rank": ({"r": 3}, "rank"),
    "alpha": ({"lora_alpha": "x"}, "lora_alpha"),
    "pattern": ({"alpha_pattern": {"(": 3}}, "alpha_pattern"),
    "after some tokens only": ({"alora_invocation_tokens": [3, 4]}, "alora_invocation_tokens"),
    "what a later peft may add": ({"use_something_new": True}, "use_something_new"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_adapters_that_are_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    config, part = REFUSED[name]
    write_adapter(tmp_path / "adapter", values(convert(tiny, tmp_path / "a", type="f32", name="x")), **config)
    one_sentence(complaint(tiny, tmp_path / "b", lora=tmp_path / "adapter"), part)


def test_adapters_of_other_models(tiny: Path, tmp_path: Path) -> None:
    mini = write_random_checkpoint("mini", tmp_path / "mini")
    write_adapter(tmp_path / "adapter", values(convert(tiny, tmp_path / "a", type="f32", name="x")))
    one_sentence(complaint(mini, tmp_path / "b", lora=tmp_path / "adapter"), "belongs to another model", "self_attn")
    one_sentence(complaint(tiny, tmp_path / "b", lora=tiny), "adapter_config.json")
    tensors = {"base_model.model.thinker.lm_head.lora_A.weight": np.ones((4, 64), np.float32)}
    safetensors.save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    one_sentence(complaint(tiny, tmp_path / "b", lora=tmp_path / "adapter"), "lm_head", "pair")


def test_an_adapter_that_changes_nothing_of_what_is_asked_for(tiny: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", values(convert(tiny, tmp_path / "a", type="f32", name="x")))
    name = "base_model.model.thinker.lm_head.lora_{}.weight"
    pair = {name.format("A"): np.ones((4, 64), np.float32), name.format("B"): np.ones((400, 4), np.float32)}
    safetensors.save_file(pair, tmp_path / "adapter" / "adapter_model.safetensors")
    one_sentence(complaint(tiny, tmp_path / "b", lora=tmp_path / "adapter", only="speech"), "nothing")


TALKER = "talker.model.layers.0.self_attn.q_proj"


def part_adapter(directory: Path, name: str, shape: tuple[int, int], **config: Any) -> Path:
    directory.mkdir()
    pair = {
        f"base_model.model.{name}.lora_A.weight": np.ones((4, shape[1]), np.float32),
        f"base_model.model.{name}.lora_B.weight": np.ones((shape[0], 4), np.float32),
    }
    safetensors.save_file(pair, directory / "adapter_model.safetensors")
    whole = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, **config}
    (directory / "adapter_config.json").write_text(json.dumps(whole))
    return directory


def test_which_part_was_trained(tiny: Path, tmp_path: Path) -> None:
    """By names and shapes; where they fit twice, by the class that peft noted; else it is asked."""
    plain = values(convert(tiny, tmp_path / "a", type="f32", name="x"))
    shape = plain[f"{TALKER}.weight"].shape
    adapter = part_adapter(tmp_path / "one", "code_predictor.model.layers.0.self_attn.q_proj", shape)
    changed = values(convert(tiny, tmp_path / "b", type="f32", name="x", lora=adapter))
    name = "talker.code_predictor.model.layers.0.self_attn.q_proj.weight"
    np.testing.assert_allclose(changed[name], plain[name] + 4, rtol=1e-5)
    # Within a decoder, names and shapes of this geometry are alike.
    adapter = part_adapter(tmp_path / "two", "layers.0.self_attn.q_proj", shape)
    one_sentence(complaint(tiny, tmp_path / "c", lora=adapter), "talker.model", "code_predictor.model", "alike")
    noted = {"auto_mapping": {"base_model_class": "Qwen3OmniMoeTalkerModel"}}
    adapter = part_adapter(tmp_path / "three", "layers.0.self_attn.q_proj", shape, **noted)
    changed = values(convert(tiny, tmp_path / "d", type="f32", name="x", lora=adapter))
    np.testing.assert_allclose(changed[f"{TALKER}.weight"], plain[f"{TALKER}.weight"] + 4, rtol=1e-5)


def test_an_adapter_of_no_numbers(tiny: Path, tmp_path: Path) -> None:
    plain = values(convert(tiny, tmp_path / "a", type="f32", name="x"))
    adapter = part_adapter(tmp_path / "adapter", TALKER, plain[f"{TALKER}.weight"].shape, lora_alpha=1e300)
    with pytest.raises(ConversionError) as error:
        convert(tiny, tmp_path / "b", type="f32", lora=adapter)
    one_sentence(str(error.value), TALKER, "NaN or infinite")
    assert not [*(tmp_path / "b").iterdir()]


def test_changes_to_an_encoder_that_is_not_converted(tiny: Path, tmp_path: Path) -> None:
    plain = values(convert(tiny, tmp_path / "a", type="f32", name="x"))
    adapter = part_adapter(tmp_path / "adapter", TALKER, plain[f"{TALKER}.weight"].shape)
    file = adapter / "adapter_model.safetensors"
    name = "thinker.visual.blocks.0.attn.proj"
    safetensors.save_file(
        {**safetensors.load_file(file), f"base_model.model.{name}.base_layer.bias": np.ones(4, np.float32)}, file
    )
    with pytest.warns(UserWarning, match=f"left out: {name}.bias"):
        convert(tiny, tmp_path / "b", type="f32", name="x", lora=adapter)


def test_an_adapter_given_as_the_checkpoint(tiny: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "adapter", values(convert(tiny, tmp_path / "a", type="f32", name="x")))
    one_sentence(complaint(tmp_path / "adapter", tmp_path / "b"), "is an adapter", "--lora")


@pytest.mark.parametrize("change", [".base_layer.weight", ".lora_A.default.weight"])
def test_a_checkpoint_saved_unmerged(tiny: Path, tmp_path: Path, change: str) -> None:
    directory = Path(shutil.copytree(tiny, tmp_path / "copy"))
    name = "thinker.model.layers.0.self_attn.q_proj"
    save(directory, renamed(f"{name}.weight", f"{name}{change}"))
    one_sentence(complaint(directory, tmp_path / "out"), "LoRA", "--lora")


# --- peft itself ------------------------------------------------------------------------------------------------------

TARGETS = r"(thinker|talker)\.(model|hidden_projection)\..*(q_proj|o_proj|linear_fc2)|talker\.codec_head"


WHOLE: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": TARGETS},
    "stabilised": {"target_modules": TARGETS, "use_rslora": True},
    "patterns": {"target_modules": TARGETS, "rank_pattern": {"q_proj": 3}, "alpha_pattern": {"o_proj": 5}},
    "biases of what is adapted": {"target_modules": ["q_proj", "linear_fc1"], "bias": "lora_only"},
    "all biases": {"target_modules": ["q_proj"], "bias": "all"},
    "trained whole": {"target_modules": ["q_proj"], "modules_to_save": ["codec_head", "linear_fc1", "conv1"]},
}
"""Ways to train an adapter of the whole model."""

ALONE = ("thinker", "talker", "code2wav", "thinker.model.language_model", "talker.code_predictor")
"""Modules that are trained by themselves."""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with ears, whose layers have biases."""
    directory = tmp_path_factory.mktemp("heard") / "tiny"
    return write_random_checkpoint("tiny", directory, audio=ears_for(GEOMETRIES["tiny"]))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("way", [*WHOLE, *ALONE])
def test_equal_to_pefts_own_merge(heard: Path, tmp_path: Path, way: str) -> None:
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(heard, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(heard)
    model.save_pretrained(tmp_path / "base")
    torch.manual_seed(1)
    alone = ["q_proj", "o_proj", *(["embed_tokens"] if way.endswith("language_model") else [])]
    settings = WHOLE.get(way, {"target_modules": alone})
    part = model.get_submodule(way) if way in ALONE else model
    config = peft.LoraConfig(r=5, lora_alpha=7, init_lora_weights=False, **settings)
    adapted = peft.get_peft_model(part, config)
    for name, values_ in adapted.named_parameters():
        if values_.requires_grad and "lora_" not in name:
            torch.nn.init.normal_(values_)
    adapted.save_pretrained(tmp_path / "adapter")
    merged_part = adapted.merge_and_unload()
    if way in ALONE:
        model.set_submodule(way, merged_part)
    model.save_pretrained(tmp_path / "merged")
    for directory in ("merged", "base"):
        tokenizer.save_pretrained(tmp_path / directory)
    expected = values(convert(tmp_path / "merged", tmp_path / "a", type="f32", name="x"))
    merged = values(convert(tmp_path / "base", tmp_path / "b", type="f32", name="x", lora=tmp_path / "adapter"))
    plain = values(convert(tmp_path / "base", tmp_path / "c", type="f32", name="x"))
    changed = [name for name in plain if not np.array_equal(plain[name], expected[name])]
    assert len(changed) >= 2, changed
    assert "bias" not in settings or any(name.endswith(".bias") for name in changed), changed
    for name, values_ in expected.items():
        np.testing.assert_allclose(merged[name], values_, rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_is_no_adapter(tmp_path: Path) -> None:
    """It is named as one that isn't, not as a checkpoint."""
    checkpoint = write_random_checkpoint("tiny", tmp_path / "tiny")
    for directory in (tmp_path / "nowhere", checkpoint):
        with pytest.raises(ConversionError) as error:
            convert(checkpoint, tmp_path / "out", lora=directory)
        one_sentence(str(error.value), f"{directory} is no adapter of PEFT's", "adapter_config.json")


def test_a_change_by_two_names(tiny: Path, tmp_path: Path) -> None:
    """Of the layer that was wrapped, and of the layer in it."""
    write_adapter(tmp_path / "adapter", values(convert(tiny, tmp_path / "a", type="f32", name="x")))
    name = "base_model.model.code2wav.decoder.0.conv"
    tensors = {f"{name}.{inner}bias": np.ones(4, np.float32) for inner in ("", "base_layer.")}
    safetensors.save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    one_sentence(complaint(tiny, tmp_path / "b", lora=tmp_path / "adapter"), "conv.bias twice, as", "base_layer.bias")
