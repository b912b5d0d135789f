"""Conversion: what ends up in the files, and what happens to a checkpoint that isn't sound."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import gguf
import numpy as np
import pytest

from eyes_side import Eyes
from omniggml import convert
from omniggml.conversion.config_json import read_model_config
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError, InputError
from omniggml.loading import BUILT_IN
from omniggml.spec.expected_tensors import TEXT_EMBEDDING, expert_prefix, speech_tensors, thinker_tensors
from omniggml.spec.llama_names import llama_name
from omniggml.spec.policy import CONVERSION_POLICIES, read_policy
from omniggml.spec.speech_file import LONGEST_NAME, short_name
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

DOCUMENT = Path(__file__).parent.parent / "docs" / "gguf.md"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny", shard_bytes=200_000)


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """In many shards, most of which hold tensors of one file only."""
    return write_random_checkpoint("tiny", tmp_path / "scattered", shard_bytes=30_000)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture(scope="module")
def converted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    root = tmp_path_factory.mktemp("converted")
    return {name: convert(tiny, root / name, type=name) for name in CONVERSION_POLICIES}


def stored_values(checkpoint: Checkpoint, name: str) -> np.ndarray[Any, Any]:
    return np.concatenate(list(checkpoint.blocks(name))).reshape(checkpoint.tensors[name].shape)


def file_values(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a GGUF file as float32, in PyTorch's axis order."""
    return {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(map(int, reversed(tensor.shape))))
        for tensor in gguf.GGUFReader(path).tensors
    }


def values_for(checkpoint_name: str, tensors: dict[str, Any], rename: Callable[[str], str]) -> np.ndarray[Any, Any]:
    expert = expert_prefix(checkpoint_name)
    if expert is None:
        return np.asarray(tensors[rename(checkpoint_name)])
    number = int(checkpoint_name.split(".mlp.experts.")[1].split(".")[0])
    return np.asarray(tensors[rename(f"{expert[0]}{expert[1]}.weight")][number])


@pytest.mark.parametrize("name", [name for name in GEOMETRIES if name != "eos-first"])
def test_f32_holds_every_value(name: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint(write_random_checkpoint(name, tmp_path / name))
    speech, thinker = map(file_values, convert(tmp_path / name, tmp_path, type="f32"))
    for tensor in checkpoint.tensors:
        stored = stored_values(checkpoint, tensor)
        if not tensor.startswith("thinker.") or tensor == TEXT_EMBEDDING:
            np.testing.assert_array_equal(values_for(tensor, speech, short_name), stored, err_msg=tensor)
        if tensor.startswith("thinker."):
            np.testing.assert_array_equal(values_for(tensor, thinker, llama_name), stored, err_msg=tensor)


@pytest.mark.parametrize(("type_", "limit"), [("f16", 1e-7), ("bf16", 0.0), ("q8_0", 1e-4)])
def test_smaller_types_stay_close(tiny: Path, converted: dict[str, list[Path]], type_: str, limit: float) -> None:
    """BF16 is what the checkpoint holds, so it loses nothing."""
    exact, small = (file_values(converted[name][0]) for name in ("f32", type_))
    for name, expected in exact.items():
        error = float(((small[name] - expected) ** 2).sum() / (expected**2).sum())
        assert error <= limit, name


def test_types_of_the_tensors(converted: dict[str, list[Path]]) -> None:
    types = {
        precision: {tensor.name: tensor.tensor_type.name for file in files for tensor in gguf.GGUFReader(file).tensors}
        for precision, files in converted.items()
    }
    assert set(types["f32"].values()) == {"F32"}
    assert set(types["f16"].values()) == {"F16", "F32"}
    assert set(types["bf16"].values()) == {"BF16", "F32"}
    assert set(types["q8_0"].values()) == {"Q8_0", "F16", "F32"}
    for names in (types["f16"], types["q8_0"]):
        for kept in (
            "code2wav.code_embedding.weight",
            "code2wav.upsample.0.1.dwconv.conv.weight",
            "code2wav.decoder.0.conv.bias",
            "talker.model.layers.0.mlp.gate.weight",
            "talker.model.layers.1.mlp.shared_expert_gate.weight",
            "code2wav.pre_transformer.layers.0.mlp_layer_scale.scale",
            "code2wav.decoder.1.block.2.act1.alpha",
            "talker.code_predictor.model.layers.1.post_attention_layernorm",
            "blk.0.ffn_gate_inp.weight",
            "blk.1.attn_q_norm.weight",
        ):
            assert names[kept] == "F32", kept
    assert types["q8_0"]["talker.code_predictor.lm_head.0.weight"] == "F16"
    assert types["q8_0"]["code2wav.decoder.1.block.1.conv.weight"] == "F16"
    assert types["q8_0"]["code2wav.upsample.0.1.pwconv1.weight"] == "Q8_0"
    assert types["q8_0"]["talker.model.layers.0.mlp.experts.gate_proj.weight"] == "Q8_0"
    assert types["q8_0"]["blk.0.ffn_down_exps.weight"] == "Q8_0"


def test_rows_that_are_no_multiple_of_32_fall_back() -> None:
    precision = read_policy("q8_0")
    assert precision.type_of("talker.codec_head.weight", (100, 64)) == "Q8_0"
    assert precision.type_of("talker.codec_head.weight", (100, 36)) == "F16"


def test_files_are_the_same_every_time(tiny: Path, converted: dict[str, list[Path]], tmp_path: Path) -> None:
    for first, second in zip(converted["q8_0"], convert(tiny, tmp_path, type="q8_0"), strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_names_and_choices_of_files(tiny: Path, tmp_path: Path) -> None:
    assert [path.name for path in convert(tiny, tmp_path / "a")] == ["tiny-speech.gguf", "tiny-thinker.gguf"]
    assert convert(tiny, tmp_path / "b", name="x", only="speech") == [tmp_path / "b" / "x-speech.gguf"]
    assert convert(tiny, tmp_path / "b", name="x", only="thinker") == [tmp_path / "b" / "x-thinker.gguf"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["x-speech.gguf", "x-thinker.gguf"]
    assert gguf.GGUFReader(tmp_path / "b" / "x-speech.gguf").fields["general.name"].contents() == "x"


def test_progress(tiny: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    convert(tiny, tmp_path, progress=lambda *step: seen.append(step))
    names, done, total = zip(*seen, strict=True)
    assert names[0] == TEXT_EMBEDDING and "output.weight" in names
    assert done[0] == 0 and list(done) == sorted(done) and done[-1] < total[0]
    assert len(set(total)) == 1


def test_other_stored_types_and_a_single_file(tiny: Path, tmp_path: Path) -> None:
    """F32 and F16 weights in one file without an index give what the BF16 shards give."""
    safetensors = pytest.importorskip("safetensors.numpy")
    plain = tmp_path / "tiny"
    shutil.copytree(tiny, plain, ignore=shutil.ignore_patterns("*.safetensors*"))
    checkpoint = Checkpoint(tiny)
    values = {name: stored_values(checkpoint, name) for name in checkpoint.tensors}
    values["talker.codec_head.weight"] = values["talker.codec_head.weight"].astype(np.float16)
    safetensors.save_file(values, plain / "model.safetensors")
    exact = stored_values(checkpoint, "talker.codec_head.weight")
    speech = file_values(convert(plain, tmp_path / "out", type="f32", only="speech")[0])
    np.testing.assert_array_equal(speech["talker.codec_head.weight"], exact.astype(np.float16).astype(np.float32))
    original = file_values(convert(tiny, tmp_path / "out2", type="f32", only="speech")[0])
    np.testing.assert_array_equal(speech["talker.model.norm.weight"], original["talker.model.norm.weight"])


def test_one_file_needs_only_its_own_tensors(copy: Path, tmp_path: Path) -> None:
    remove_tensors(copy, lambda name: name.startswith("thinker.") and name != TEXT_EMBEDDING)
    assert convert(copy, tmp_path / "out", only="speech")
    with pytest.raises(ConversionError, match=r"tensor thinker\.model\.layers\.0"):
        convert(copy, tmp_path / "out")


def test_only_the_shards_that_are_needed(scattered: Path, tmp_path: Path) -> None:
    """Shards without a tensor of the file asked for need not be there."""
    for only, parts in (("speech", ("talker.", "code2wav.")), ("thinker", ("thinker.",))):
        directory = Path(shutil.copytree(scattered, tmp_path / only))
        needed = {
            tensor.path.name
            for name, tensor in Checkpoint(directory).tensors.items()
            if name.startswith(parts) or name == TEXT_EMBEDDING
        }
        unneeded = [path for path in shards(directory) if path.name not in needed]
        assert unneeded
        for path in unneeded:
            path.unlink()
        assert convert(directory, tmp_path / "out", name="x", only=only)  # type: ignore[arg-type]
        with pytest.raises(ConversionError, match="the download is incomplete"):
            convert(directory, tmp_path / "out", name="x")


class Hub(ModuleType):
    """Stands in for huggingface_hub: hands out files of a directory, and remembers which."""

    def __init__(self, directory: Path, cache: Path) -> None:
        super().__init__("huggingface_hub")
        self.directory, self.cache = directory, cache
        self.cache.mkdir()

    def snapshot_download(self, repository: str, allow_patterns: list[str]) -> str:
        if repository != "Qwen/Tiny-Omni":
            raise OSError(f"404 for\n{repository}")
        for path in self.directory.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, self.cache)
        return str(self.cache)


def test_from_the_hub(scattered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The speech file takes fewer shards than there are, and is named after the repository."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(scattered, tmp_path / "cache"))
    (speech,) = convert("Qwen/Tiny-Omni", tmp_path / "out", type="q8_0", only="speech")
    (local,) = convert(scattered, tmp_path / "local", type="q8_0", only="speech", name="Tiny-Omni")
    assert speech.name == "Tiny-Omni-speech.gguf" and speech.read_bytes() == local.read_bytes()
    assert 0 < len(shards(tmp_path / "cache")) < len(shards(scattered))
    assert "can't be taken from the Hugging Face hub: 404 for Qwen/Other" in complaint(
        Path("Qwen/Other"), tmp_path / "none"
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "install huggingface_hub" in complaint(Path("Qwen/Tiny-Omni"), tmp_path / "none")


def test_a_tensor_of_no_part(copy: Path, tmp_path: Path) -> None:
    add_tensor(shards(copy)[0], "thinker.other.weight")
    with pytest.raises(ConversionError, match=r"thinker\.other\.weight of shape \[2\] belongs to no part"):
        convert(copy, tmp_path / "out")


@pytest.mark.parametrize(
    ("there", "missing"),
    [("audio_tower.proj1.bias", "audio_tower.conv2d1.weight"), ("visual.pos_embed.weight", "visual.patch_embed.proj")],
)
def test_a_part_of_an_encoder_is_none(copy: Path, tmp_path: Path, there: str, missing: str) -> None:
    add_tensor(shards(copy)[0], f"thinker.{there}")
    with pytest.raises(ConversionError, match=rf"thinker\.{re.escape(missing)}.* is missing"):
        convert(copy, tmp_path / "out")
    assert len(convert(copy, tmp_path / "out", only="speech")) == 1


# ---------------------------------------------------------------- damaged checkpoints


def shards(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.safetensors"))


def edit_shard(path: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite the header of a shard; the values stay where they are."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps(edit(json.loads(content[8 : 8 + length]))).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])


def shard_of(directory: Path, name: str) -> Path:
    return Checkpoint(directory).tensors[name].path


def edit_entry(directory: Path, name: str, **changes: Any) -> None:
    edit_shard(shard_of(directory, name), lambda header: header | {name: header[name] | changes})


def rename_tensor(directory: Path, old: str, new: str) -> None:
    edit_shard(shard_of(directory, old), lambda header: {new if key == old else key: at for key, at in header.items()})


def remove_tensors(directory: Path, unwanted: Callable[[str], bool]) -> None:
    """With their values: the format has no byte that is no tensor's."""
    for path in shards(directory):
        content = path.read_bytes()
        start = 8 + struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:start])
        kept, values = {}, b""
        for name, entry in header.items():
            if name != "__metadata__" and not unwanted(name):
                begin, end = entry["data_offsets"]
                kept[name] = entry | {"data_offsets": [len(values), len(values) + end - begin]}
                values += content[start + begin : start + end]
        path.write_bytes(content[:start] + values)
        edit_shard(path, lambda _, kept=kept: kept)  # type: ignore[misc]


def add_tensor(path: Path, name: str) -> None:
    """Two values behind all others."""
    behind = path.stat().st_size - 8 - int.from_bytes(path.read_bytes()[:8], "little")
    entry = {"dtype": "BF16", "shape": [2], "data_offsets": [behind, behind + 4]}
    path.write_bytes(path.read_bytes() + bytes(4))
    edit_shard(path, lambda header: header | {name: entry})


def named_twice(path: Path) -> bytes:
    """The shard with its first tensor again at its end, under the same name."""
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    text = content[8:start].rstrip()
    name, entry = next(item for item in json.loads(text).items() if item[0] != "__metadata__")
    begin, end = entry["data_offsets"]
    behind = len(content) - start
    again = entry | {"data_offsets": [behind, behind + end - begin]}
    text = text[:-1] + f", {json.dumps(name)}: {json.dumps(again)}}}".encode()
    return struct.pack("<Q", len(text)) + text + content[start:] + content[start + begin : start + end]


def hide_tensor(path: Path, again: bool = False) -> None:
    """The first tensor of a shard is in its values and not in its header; or twice in that, by two names."""

    def edit(header: dict[str, Any]) -> dict[str, Any]:
        first = next(name for name in header if name != "__metadata__")
        return {**header, "talker.more": header[first]} if again else {k: v for k, v in header.items() if k != first}

    edit_shard(path, edit)


def overwrite_value(directory: Path, name: str, bits: int) -> None:
    """Put one bfloat16 bit pattern at the beginning of a tensor."""
    tensor = Checkpoint(directory).tensors[name]
    with tensor.path.open("r+b") as file:
        file.seek(tensor.offset)
        file.write(struct.pack("<H", bits))


def edit_config(directory: Path, path: str, value: Any, file: str = "config.json") -> None:
    content = json.loads((directory / file).read_text())
    *parents, key = path.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    if value is ...:
        del section[key]
    else:
        section[key] = value
    (directory / file).write_text(json.dumps(content))


def complaint(source: Path, out: Path, **arguments: Any) -> str:
    """The sentence that a conversion fails with; nothing may be left in the output directory."""
    with pytest.raises((ConversionError, InputError)) as caught:
        convert(source, out, **arguments)
    assert not out.exists() or list(out.iterdir()) == []
    sentence = str(caught.value)
    assert sentence and "\n" not in sentence
    return sentence


HEAD = "talker.codec_head.weight"

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda at: (at / "config.json").unlink(), "no config.json: copy it"),
    "config is a list": (lambda at: (at / "config.json").write_text("[]"), "holds list, expected a JSON object"),
    "config cut short": (lambda at: (at / "config.json").write_text('{"a":'), "can't be read as JSON"),
    "config nested deeply": (lambda at: (at / "config.json").write_text("[" * 200_000), "can't be read as JSON"),
    "config in Latin-1": (lambda at: (at / "config.json").write_bytes(b'"\xe9"'), "can't be read as JSON"),
    "no weights": (lambda at: [path.unlink() for path in at.glob("*safetensors*")], "it has no weights"),
    "shard missing": (lambda at: shards(at)[1].unlink(), "the download is incomplete"),
    "shard empty": (lambda at: shards(at)[1].write_bytes(b""), "has only 0 bytes"),
    "shard cut in its header": (lambda at: shards(at)[1].write_bytes(shards(at)[1].read_bytes()[:100]), "is cut short"),
    "shard cut in its values": (
        lambda at: shards(at)[1].write_bytes(shards(at)[1].read_bytes()[:-1]),
        "is cut short: tensor",
    ),
    "shard of zeros": (lambda at: shards(at)[0].write_bytes(bytes(1000)), "header is not JSON"),
    "header length absurd": (lambda at: shards(at)[0].write_bytes(b"\xff" * 1000), "is cut short"),
    "header is a list": (lambda at: edit_shard(shards(at)[0], lambda header: [1]), "not a JSON object"),  # type: ignore[arg-type, return-value]
    "entry damaged": (lambda at: edit_entry(at, HEAD, shape="x"), f"entry for tensor {HEAD} is damaged"),
    "entry with one offset": (lambda at: edit_entry(at, HEAD, data_offsets=[0]), f"tensor {HEAD} is damaged"),
    "entry of negative shape": (lambda at: edit_entry(at, HEAD, shape=[-1, 2]), f"tensor {HEAD} is damaged"),
    "shape and bytes disagree": (lambda at: edit_entry(at, HEAD, shape=[1, 1]), "bytes, expected 2 for shape [1, 1]"),
    "shape transposed": (
        lambda at: edit_entry(at, HEAD, shape=[32, 1088]),
        f"tensor {HEAD} has shape [32, 1088], expected [1088, 32]",
    ),
    "type unknown": (lambda at: edit_entry(at, HEAD, dtype="C64"), f"tensor {HEAD} is of type C64"),
    "tensor missing": (
        lambda at: remove_tensors(at, lambda name: name == HEAD),
        f"tensor {HEAD} is missing, config.json asks for it in shape [1088, 32]",
    ),
    "expert missing": (
        lambda at: remove_tensors(at, lambda name: ".experts.3.up_proj" in name),
        "mlp.experts.3.up_proj.weight is missing",
    ),
    "tensor renamed": (lambda at: rename_tensor(at, HEAD, "talker.lm_head.weight"), f"tensor {HEAD} is missing"),
    "tensor twice": (
        lambda at: edit_shard(shards(at)[-1], lambda header: header | {TEXT_EMBEDDING: next(iter(header.values()))}),
        "which the format doesn't know",
    ),
    "tensor twice in a header": (
        lambda at: shards(at)[0].write_bytes(named_twice(shards(at)[0])),
        "stands in it twice",
    ),
    "foreign key": (lambda at: edit_entry(at, HEAD, more=1), "has the key 'more', which the format doesn't know"),
    "bytes behind": (
        lambda at: shards(at)[0].write_bytes(shards(at)[0].read_bytes() + b"ab"),
        "2 bytes behind its last",
    ),
    "bytes between": (lambda at: hide_tensor(shards(at)[0]), "belong to no tensor"),
    "bytes of two": (lambda at: hide_tensor(shards(at)[0], again=True), "belong to the one before, too"),
    "key twice": (
        lambda at: (at / "config.json").write_text('{"model_type": "a", "model_type": "qwen3_omni_moe"}'),
        "'model_type' stands in it twice",
    ),
    "index without map": (
        lambda at: (at / "model.safetensors.index.json").write_text("{}"),
        "has no weight_map",
    ),
    "index points outside": (
        lambda at: edit_config(at, "weight_map", {"a": "../../x.safetensors"}, "model.safetensors.index.json"),
        "expected a file in the same directory",
    ),
    "value is NaN": (lambda at: overwrite_value(at, HEAD, 0x7FC0), f"tensor {HEAD} holds NaN or infinite values"),
    "value is infinite": (lambda at: overwrite_value(at, HEAD, 0xFF80), f"tensor {HEAD} holds NaN or infinite values"),
    "value too large for F16": (
        lambda at: overwrite_value(at, HEAD, 0x4780),
        f"tensor {HEAD} holds 65536, F16 ends at 65504: choose --type f32 or bf16",
    ),
    "no tokenizer": (lambda at: (at / "vocab.json").unlink(), "it has no tokenizer"),
    "no merges": (lambda at: (at / "merges.txt").unlink(), "vocab.json without merges.txt: copy it"),
    "empty merges": (lambda at: (at / "merges.txt").write_text("#version: 0.2\n"), "holds no merges"),
    "merge of three": (lambda at: (at / "merges.txt").write_text("a b c\n"), "is not two tokens"),
    "token id too large": (lambda at: edit_config(at, "zzz", 400, "vocab.json"), "token 'zzz' has id 400"),
    "token id not a number": (lambda at: edit_config(at, "zzz", "1", "vocab.json"), "id is not a whole number"),
    "token id shared": (lambda at: edit_config(at, "zzz", 5, "vocab.json"), "share the id 5"),
    "another tokenizer": (
        lambda at: edit_config(at, "tokenizer_class", "LlamaTokenizer", "tokenizer_config.json"),
        "tokenizer_class is 'LlamaTokenizer'",
    ),
    "added tokens damaged": (
        lambda at: edit_config(at, "added_tokens_decoder", {"x": {}}, "tokenizer_config.json"),
        "added_tokens_decoder is damaged",
    ),
    "temperature is text": (
        lambda at: edit_config(at, "talker_temperature", "hot", "generation_config.json"),
        "talker_temperature is 'hot'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint(copy: Path, tmp_path: Path, damage: str) -> None:
    spoil, expected = DAMAGES[damage]
    spoil(copy)
    assert expected in complaint(copy, tmp_path / "out")


CONFIG_CHANGES: list[tuple[str, Any, str]] = [
    ("model_type", "qwen2_5_omni", "model_type is 'qwen2_5_omni', expected 'qwen3_omni_moe'"),
    ("thinker_config", ..., "thinker_config is missing"),
    ("thinker_config.text_config", 3, "thinker_config.text_config is 3, expected an object"),
    ("talker_config.text_config.shared_expert_intermediate_size", ..., "shared_expert_intermediate_size is missing"),
    ("talker_config.codec_bos_id", ..., "codec_bos_id is missing, for which transformers takes 4197, expected"),
    ("talker_config.text_config.hidden_size", "32", "hidden_size is '32', expected a whole number"),
    ("talker_config.text_config.hidden_size", True, "hidden_size is True, expected a whole number"),
    ("talker_config.text_config.hidden_size", -1, "hidden_size is -1, expected a whole number from 1"),
    ("talker_config.text_config.hidden_size", 10**12, "hidden_size is 1000000000000, expected"),
    ("talker_config.text_config.hidden_size", 64, "code_predictor_config.hidden_size is 32, expected 64"),
    ("talker_config.text_config.rms_norm_eps", 1e999, "rms_norm_eps is inf, expected a finite number"),
    ("talker_config.text_config.rope_theta", 0, "rope_theta is 0, expected a finite number of at least 1"),
    ("talker_config.text_config.rope_scaling.mrope_section", [6, 5, 4], "three numbers that add up to 16"),
    ("talker_config.text_config.rope_scaling.rope_type", "yarn", "rope_type is 'yarn', expected 'default'"),
    ("talker_config.text_config.rope_scaling.interleaved", False, "interleaved is False, expected True"),
    ("talker_config.text_config.attention_bias", True, "attention_bias is True, expected False"),
    ("talker_config.text_config.hidden_act", "gelu", "hidden_act is 'gelu', expected 'silu'"),
    ("talker_config.text_config.mlp_only_layers", [0], "mlp_only_layers is [0]"),
    ("talker_config.text_config.decoder_sparse_step", 2, "decoder_sparse_step is 2"),
    ("talker_config.text_config.norm_topk_prob", "yes", "norm_topk_prob is 'yes', expected true or false"),
    (
        "talker_config.text_config.num_experts_per_tok",
        5,
        "num_experts_per_tok is 5, expected a whole number",
    ),
    ("talker_config.text_config.num_key_value_heads", 3, "num_attention_heads is 2, expected a multiple of the 3"),
    ("talker_config.text_config.head_dim", 31, "head_dim is 31, expected an even number"),
    ("talker_config.text_config.vocab_size", 1024, "vocab_size is 1024, expected a whole number from 1025"),
    ("talker_config.text_config.vocab_size", 4096, "codebook_size is 64, expected room for the "),
    ("talker_config.text_config.num_hidden_layers", 10**9, "num_hidden_layers is 1000000000"),
    (
        "talker_config.text_config.num_hidden_layers",
        3,
        "talker.model.layers.2.self_attn.q_proj.weight is missing",
    ),
    ("talker_config.text_config.num_hidden_layers", 1, "belongs to no part that config.json describes"),
    ("talker_config.speaker_id", {}, "speaker_id is empty"),
    ("talker_config.speaker_id", {"x": 99999}, "speaker_id.x is 99999"),
    ("talker_config.codec_eos_token_id", 1088, "codec_eos_token_id is 1088, expected a whole number from 0 to 1087"),
    ("talker_config.accept_hidden_layer", 3, "accept_hidden_layer is 3, expected at most 2"),
    ("talker_config.num_code_groups", 5, "num_code_groups is 5, expected 4 as elsewhere"),
    ("talker_config.code_predictor_config.layer_types", ["sliding_attention"] * 2, "'full_attention' in every layer"),
    ("talker_config.code_predictor_config.attention_bias", True, "attention_bias is True"),
    ("thinker_config.text_config.norm_topk_prob", False, "norm_topk_prob is False, expected True"),
    ("thinker_config.text_config.tie_word_embeddings", True, "tie_word_embeddings is True, expected False"),
    ("code2wav_config.upsample_rates", [], "upsample_rates is [], expected a list"),
    ("code2wav_config.upsample_rates", [4, 0], "upsample_rates is [4, 0], expected whole numbers from 1 to 64"),
    ("code2wav_config.upsample_rates", "43", "expected a list of 1 to 16 whole numbers"),
    ("code2wav_config.decoder_dim", 30, "decoder_dim is 30, expected a multiple of 4"),
    ("code2wav_config.num_quantizers", 5, "num_quantizers is 5, expected 4 as elsewhere"),
    ("code2wav_config.codebook_size", 32, "codebook_size is 32, expected room for the "),
    ("im_end_token_id", 400, "im_end_token_id is 400, expected a whole number from 0 to 399"),
    ("im_end_token_id", 399, "config.json gives 399 for im_end, the tokenizer has no such token"),
    ("tts_pad_token_id", ..., "tts_pad_token_id is missing"),
]


@pytest.mark.parametrize(("key", "value", "expected"), CONFIG_CHANGES)
def test_config_that_cannot_be(copy: Path, tmp_path: Path, key: str, value: Any, expected: str) -> None:
    edit_config(copy, key, value)
    assert expected in complaint(copy, tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("talker_top_p", 2, "talker.generation.top_p = 2.000000, outside of"),
        ("talker_max_new_tokens", 0, "talker.generation.max_new_tokens = 0, outside of 1"),
        ("talker_temperature", 1e9, "talker.generation.temperature"),
        ("top_p", 0, "generation.top_p = 0.000000, outside of"),
        ("repetition_penalty", 1e9, "generation.repetition_penalty"),
    ],
)
def test_what_only_loading_refuses_costs_no_time(
    copy: Path, tmp_path: Path, key: str, value: float, expected: str
) -> None:
    """It is refused before a value is written, and nothing stays."""
    path = copy / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    written: list[object] = []
    with pytest.raises(ConversionError) as error:
        convert(copy, tmp_path / "out", progress=lambda *place: written.append(place))
    one_sentence(str(error.value), f"what is made of {copy} can't be loaded", expected)
    assert written == [] and list((tmp_path / "out").iterdir()) == []


def keys_of(section: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")


@pytest.mark.parametrize(
    "value", [None, -1, 0, 1, 10**30, 1.5, float("nan"), "x", [], [None], [[1]], {}, {"a": None}, True]
)
def test_any_value_in_any_place_of_the_configuration(copy: Path, value: Any) -> None:
    """It is read, or refused in one sentence; nothing else."""
    original = (copy / "config.json").read_text()
    for key in keys_of(json.loads(original)):
        edit_config(copy, key, value)
        try:
            read_model_config(copy)
        except ConversionError as error:
            assert "\n" not in str(error)
        (copy / "config.json").write_text(original)


def test_sources_that_are_no_checkpoint(tmp_path: Path) -> None:
    assert "is not a directory" in complaint(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "is not a Hugging Face checkpoint" in complaint(tmp_path / "empty", tmp_path / "out")


def test_bad_arguments(tiny: Path, tmp_path: Path) -> None:
    assert "no type 'q2_k': choose one of bf16, f16, f32, q8_0" in complaint(tiny, tmp_path / "out", type="q2_k")
    assert "only is 'talker'" in complaint(tiny, tmp_path / "out", only="talker")
    for name in ("", "a/b", "..", ".hidden"):
        assert "can't be the beginning of a file name" in complaint(tiny, tmp_path / "out", name=name)


def test_output_that_cannot_be_written(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ConversionError, match="can't be written to"):
        convert(tiny, tmp_path / "taken")
    (tmp_path / "out" / "tiny-thinker.gguf").mkdir(parents=True)
    with pytest.raises(ConversionError, match=r"tiny-thinker\.gguf is a directory; name a file to write"):
        convert(tiny, tmp_path / "out")
    assert not any(path.name.endswith(".part") for path in (tmp_path / "out").iterdir())


def test_interruption_leaves_the_old_file(tiny: Path, tmp_path: Path) -> None:
    (old,) = convert(tiny, tmp_path, type="f16", only="speech")
    before = old.read_bytes()

    def interrupt(name: str, done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tiny, tmp_path, type="f32", only="speech", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [old.name]
    assert old.read_bytes() == before
    seen: list[int] = []
    convert(tiny, tmp_path, type="f32", only="speech", progress=lambda _, done, __: seen.append(done))
    assert seen[0] > 0, "it goes on where it was interrupted"
    whole = convert(tiny, tmp_path / "whole", type="f32", only="speech", name="tiny")[0]
    assert old.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [old.name]


def test_names_fit_into_ggml() -> None:
    """Also with as many layers as a configuration may have."""
    geometry = GEOMETRIES["tiny"]
    for name, _ in (*speech_tensors(geometry.model_config()), *thinker_tensors(geometry.thinker)):
        many_layers = re.sub(r"\.layers\.\d+\.", ".layers.999.", name)
        assert len(short_name(many_layers).encode()) <= LONGEST_NAME


# ---------------------------------------------------------------- the document


def documented(pattern: str) -> list[str]:
    """First cells of the document's tables that are code and match, with their braces expanded."""
    cells = re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [name for cell in cells for name in expand(cell) if re.match(pattern, name)]


def expand(text: str) -> Iterator[str]:
    parts = re.split(r"\{([^}]*)\}", text)
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    return map("".join, product(*choices))


def numberless(name: str) -> str:
    """A tensor's name with every number, and every letter that stands for one, as N."""
    return ".".join("N" if re.fullmatch(r"\d+|[A-Z]", part) else part for part in name.split("."))


def test_the_document_lists_the_keys(converted: dict[str, list[Path]], copy: Path, tmp_path: Path) -> None:
    path = copy / "generation_config.json"
    path.write_text(
        json.dumps(
            json.loads(path.read_text())
            | {"text_normalization": "spoken_english", "default_speaker": "aiden", "longest_span": 32}
        )
    )
    optional = convert(copy, tmp_path / "optional")
    edit_config(copy, "enable_audio_output", False)
    optional += convert(copy, tmp_path / "voiceless", only="thinker")
    optional += Eyes(tmp_path).files()
    optional.append(BUILT_IN.with_name("voice-mmproj.gguf"))  # asks for what no other ear does
    written = {
        key
        for path in converted["q8_0"] + optional
        for key in gguf.GGUFReader(path).fields
        if not key.startswith("GGUF.")
    }
    keys = documented(r"(general|qwen3omni-speech|qwen3omni|qwen3vlmoe|clip|tokenizer)\.")
    assert sorted(keys) == sorted(written)


def test_the_document_lists_the_tensors(converted: dict[str, list[Path]], tmp_path: Path) -> None:
    files = [*converted["f32"], Eyes(tmp_path).files()[2]]
    written = {numberless(tensor.name) for path in files for tensor in gguf.GGUFReader(path).tensors}
    names = documented(r"(thinker|talker|code2wav|blk|token_embd|output|output_norm|mm\.(a|\d)|v|a(?!\.gen))\.")
    assert {numberless(name) for name in names} == written


def test_metadata_matches_the_geometry(converted: dict[str, list[Path]]) -> None:
    fields = gguf.GGUFReader(converted["f32"][0]).fields
    talker = GEOMETRIES["tiny"].talker
    assert fields["qwen3omni-speech.talker.speaker_names"].contents() == [name for name, _ in talker.speakers]
    assert fields["qwen3omni-speech.talker.speaker_ids"].contents() == [index for _, index in talker.speakers]
    assert fields["qwen3omni-speech.talker.speaker_ids"].types[-1] == gguf.GGUFValueType.UINT32
    assert fields["qwen3omni-speech.code2wav.upsample_rates"].contents() == [4, 3]
    assert math.isclose(fields["qwen3omni-speech.talker.generation.temperature"].contents(), 0.9, rel_tol=1e-6)
    assert len(fields["tokenizer.ggml.tokens"].contents()) == GEOMETRIES["tiny"].thinker.vocab_size
