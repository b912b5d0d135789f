"""`compare` names the one tensor that is wrong, and nothing where nothing is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import Files
from foreign_files import write_code2wav
from gguf_edit import GgufEdit
from omniggml import InputError
from omniggml.comparison.comparing import compare
from omniggml.comparison.computation_order import order_of
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from parity.files import ModelFiles

TENSORS = [
    "talker.text_projection.linear_fc1.weight",
    "talker.text_projection.linear_fc2.bias",
    "talker.model.layers.0.input_layernorm.weight",
    "talker.model.layers.0.self_attn.q_proj.weight",
    "talker.model.layers.1.self_attn.v_proj.weight",
    "talker.model.layers.1.self_attn.k_norm.weight",
    "talker.model.layers.0.self_attn.o_proj.weight",
    "talker.model.layers.1.post_attention_layernorm.weight",
    "talker.model.layers.1.mlp.gate.weight",
    "talker.model.layers.0.mlp.experts.up_proj.weight",
    "talker.model.layers.1.mlp.shared_expert.down_proj.weight",
    "talker.model.norm.weight",
    "talker.codec_head.weight",
    "talker.code_predictor.model.layers.0.self_attn.k_proj.weight",
    "talker.code_predictor.model.layers.1.mlp.down_proj.weight",
    "talker.code_predictor.lm_head.1.weight",
    "code2wav.code_embedding.weight",
    "code2wav.pre_transformer.layers.0.self_attn.q_proj.weight",
    "code2wav.pre_transformer.layers.1.mlp_layer_scale.scale",
    "code2wav.pre_transformer.norm.weight",
    "code2wav.upsample.0.0.conv.weight",
    "code2wav.upsample.0.1.dwconv.conv.bias",
    "code2wav.upsample.0.1.pwconv2.weight",
    "code2wav.upsample.0.1.gamma",
    "code2wav.decoder.0.conv.weight",
    "code2wav.decoder.1.block.0.alpha",
    "code2wav.decoder.1.block.1.conv.weight",
    "code2wav.decoder.2.block.3.act2.beta",
    "code2wav.decoder.2.block.4.conv1.conv.weight",
    "code2wav.decoder.3.alpha",
    "code2wav.decoder.4.conv.bias",
]


def module_of(tensor: str) -> str:
    """The module that computes with it; of transposed convolutions the trimmed output is known."""
    module = re.sub(r"\.(weight|bias|alpha|beta|gamma|scale)$", "", tensor)
    module = re.sub(r"\.experts\..*", ".experts", module)
    return re.sub(r"(upsample\.\d+\.0|block\.1)\.conv$", r"\1", module)


@pytest.mark.parametrize("tensor", TENSORS)
def test_the_planted_tensor_is_named(tiny_files: Files, tmp_path: Path, tensor: str) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    values = edit.values(tensor)
    noise = 0.05 * np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)
    wrong = edit.put(tensor, values + noise * np.abs(values).max()).write(tmp_path / "x.gguf")
    found = compare(wrong, tiny_files.speech, n_threads=1)
    assert found.first == module_of(tensor)


def test_a_model_is_itself(tiny_files: Files) -> None:
    found = compare(tiny_files.speech, tiny_files.speech, n_threads=1)
    assert found.first == "" and len(found.rows) > 100
    assert all(row.accumulated.nmse == 0 for row in found.rows)


@pytest.mark.parametrize("type_", ["f16", "q8_0"])
def test_other_types_are_inside_of_their_gates(model_files: ModelFiles, type_: str) -> None:
    found = compare(model_files.gguf("tiny", type_)[0], model_files.gguf("tiny", "f32")[0], n_threads=1)
    assert found.first == ""
    assert max(row.local.nmse for row in found.rows) > 1e-9


def test_against_the_checkpoint(model_files: ModelFiles) -> None:
    found = compare(model_files.gguf("tiny", "f32")[0], model_files.checkpoint("tiny"), n_threads=1)
    assert found.first == "" and found.rows[0].module.startswith("talker.text_projection")


def test_models_of_different_shapes(model_files: ModelFiles) -> None:
    with pytest.raises(InputError, match="different geometry"):
        compare(model_files.gguf("tiny", "f32")[0], model_files.gguf("odd", "f32")[0], n_threads=1)


def test_the_command(tiny_files: Files, tmp_path: Path) -> None:
    name = "code2wav.decoder.0.conv.weight"
    edit = GgufEdit.read(tiny_files.speech)
    wrong = edit.put(name, -edit.values(name)).write(tmp_path / "x.gguf")
    command = [sys.executable, "-m", "omniggml", "compare", "--threads", "1"]
    for options in ([], ["--json"]):
        result = subprocess.run(
            [*command, str(wrong), str(tiny_files.speech), *options], capture_output=True, text=True, check=False
        )
        assert result.returncode == 2 and result.stderr == ""
        if options:
            assert json.loads(result.stdout)["first"] == "code2wav.decoder.0.conv"
        else:
            assert "is code2wav.decoder.0.conv (" in result.stdout.splitlines()[0]


def test_what_a_module_consists_of_comes_before_it() -> None:
    paths = ["a.layers.1", "a.layers.1.mlp", "a.layers.1.self_attn", "a.layers.1.self_attn.q_proj", "a.layers.10.mlp"]
    assert sorted(paths, key=order_of) == [paths[3], paths[2], paths[1], paths[0], paths[4]]


@pytest.mark.reference
def test_transformers_is_the_other_side(tiny_files: Files, tmp_path: Path) -> None:
    """The checkpoint as transformers computes it: everything inside, nearly every module compared, a fault named."""
    pytest.importorskip("transformers")
    checkpoint = write_random_checkpoint("tiny", tmp_path / "checkpoint")
    found = compare(tiny_files.speech, checkpoint, n_threads=1, through_transformers=True)
    by_conversion = compare(tiny_files.speech, checkpoint, n_threads=1)
    assert found.first == ""
    assert {row.module for row in by_conversion.rows} - {row.module for row in found.rows} == set()
    tensor = "talker.model.layers.1.self_attn.v_proj.weight"
    edit = GgufEdit.read(tiny_files.speech)
    wrong = edit.put(tensor, -edit.values(tensor)).write(tmp_path / "x.gguf")
    assert compare(wrong, checkpoint, n_threads=1, through_transformers=True).first == module_of(tensor)


def test_only_checkpoints_go_through_transformers(tiny_files: Files) -> None:
    with pytest.raises(InputError, match="no directory"):
        compare(tiny_files.speech, tiny_files.speech, n_threads=1, through_transformers=True)


def test_what_can_not_speak_is_not_compared(tiny_files: Files, tmp_path: Path) -> None:
    alone = write_code2wav(tmp_path / "code2wav.gguf", tiny_files.speech)
    for pair in ((alone, tiny_files.speech), (tiny_files.speech, alone)):
        with pytest.raises(InputError, match="has no talker"):
            compare(*pair, n_threads=1)
