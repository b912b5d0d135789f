"""A comparison is worth what it notices: one wrong constant or tensor puts some row outside of its gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_edit import GgufEdit
from parity import golden
from parity.cases import FloatArray
from parity.engine_side import Engine
from parity.files import ModelFiles
from parity.golden import Golden
from parity.metrics import GATES, agreement

GOLDENS = Path(__file__).parent / "goldens"
SPEECH = "qwen3omni-speech."


def outside(recorded: Golden, speech: Path, thinker: Path) -> set[str]:
    """Modules that no longer agree in F32."""
    captured = Engine(speech, thinker).capture(recorded.case, recorded.recording)
    outputs = recorded.recording.outputs.items()
    return {name for name, want in outputs if not agreement(captured[name], want).inside(GATES["f32"])}


def less_one(value: Any) -> Any:
    return value - 1


def half_more(value: Any) -> Any:
    return value * 1.5


def flipped(value: Any) -> Any:
    return not value


WRONG_CONSTANTS = [
    ("talker.rope_theta", half_more, "talker.model.layers.0.self_attn"),
    ("talker.num_experts_per_tok", less_one, "talker.model.layers.0.mlp"),
    ("talker.norm_topk_prob", flipped, "talker.model.layers.0.mlp"),
    ("code_predictor.rope_theta", half_more, "talker.code_predictor.model.layers.0.self_attn"),
    ("code2wav.rope_theta", half_more, "code2wav.pre_transformer.layers.0"),
    ("code2wav.sliding_window", less_one, "code2wav.pre_transformer.layers.0"),
]


@pytest.mark.parametrize(("key", "change", "module"), WRONG_CONSTANTS)
def test_a_wrong_constant_of_the_speech_file(
    model_files: ModelFiles, tmp_path: Path, key: str, change: Callable[[Any], Any], module: str
) -> None:
    speech, thinker = model_files.gguf("odd", "f32")
    edit = GgufEdit.read(speech)
    edit.set(SPEECH + key, change(edit.entry(SPEECH + key).value)).write(tmp_path / "wrong.gguf")
    recorded = golden.load(GOLDENS / "odd.npz")
    assert outside(recorded, speech, thinker) == set()
    assert module in outside(recorded, tmp_path / "wrong.gguf", thinker)


@pytest.mark.parametrize(
    ("key", "change", "module"),
    [("rope.freq_base", half_more, "self_attn"), ("expert_used_count", less_one, "mlp")],
)
def test_a_wrong_constant_of_the_thinker_file(
    model_files: ModelFiles, tmp_path: Path, key: str, change: Callable[[Any], Any], module: str
) -> None:
    speech, thinker = model_files.gguf("odd", "f32")
    edit = GgufEdit.read(thinker)
    edit.set("qwen3vlmoe." + key, change(edit.entry("qwen3vlmoe." + key).value)).write(tmp_path / "wrong.gguf")
    found = outside(golden.load(GOLDENS / "odd.npz"), speech, tmp_path / "wrong.gguf")
    assert f"thinker.model.layers.1.{module}" in found


def a_thousandth_more(values: FloatArray) -> FloatArray:
    return values * np.float32(1.001)


def first_two_swapped(values: FloatArray) -> FloatArray:
    return np.concatenate([values[1:2], values[:1], values[2:]])


def taps_reversed(values: FloatArray) -> FloatArray:
    return values[..., ::-1].copy()


WRONG_TENSORS = [
    ("talker.model.layers.0.mlp.experts.up_proj.weight", first_two_swapped, "talker.model.layers.0.mlp"),
    ("talker.model.layers.0.mlp.gate.weight", first_two_swapped, "talker.model.layers.0.mlp"),
    ("talker.model.layers.0.self_attn.q_norm.weight", first_two_swapped, "talker.model.layers.0.self_attn"),
    ("talker.hidden_projection.linear_fc2.bias", first_two_swapped, "talker.hidden_projection"),
    ("talker.codec_head.weight", a_thousandth_more, "talker.codec_head"),
    ("talker.code_predictor.lm_head.2.weight", first_two_swapped, "talker.code_predictor.lm_head.2"),
    ("code2wav.pre_transformer.layers.0.mlp_layer_scale.scale", a_thousandth_more, "code2wav.pre_transformer.layers.0"),
    ("code2wav.upsample.0.1.gamma", a_thousandth_more, "code2wav"),
    ("code2wav.upsample.0.1.dwconv.conv.weight", taps_reversed, "code2wav"),
    ("code2wav.decoder.1.block.0.alpha", np.exp, "code2wav"),
    ("code2wav.decoder.1.block.1.conv.weight", taps_reversed, "code2wav"),
    ("code2wav.decoder.2.block.3.conv1.conv.bias", first_two_swapped, "code2wav"),
]


@pytest.mark.parametrize(("name", "change", "module"), WRONG_TENSORS)
def test_a_wrong_tensor(
    model_files: ModelFiles, tmp_path: Path, name: str, change: Callable[[FloatArray], FloatArray], module: str
) -> None:
    speech, thinker = model_files.gguf("odd", "f32")
    edit = GgufEdit.read(speech)
    shape = edit.tensor(name).ne[::-1]
    edit.put(name, change(edit.values(name).reshape(shape))).write(tmp_path / "wrong.gguf")
    assert module in outside(golden.load(GOLDENS / "odd.npz"), tmp_path / "wrong.gguf", thinker)


def test_an_error_stays_in_its_block(model_files: ModelFiles, tmp_path: Path) -> None:
    """What follows is given the reference's output, so the table points at the place."""
    speech, thinker = model_files.gguf("grouped", "f32")
    layer = "talker.code_predictor.model.layers.1"
    edit = GgufEdit.read(speech)
    name = f"{layer}.mlp.down_proj.weight"
    edit.put(name, a_thousandth_more(edit.values(name))).write(tmp_path / "wrong.gguf")
    found = outside(golden.load(GOLDENS / "grouped.npz"), tmp_path / "wrong.gguf", thinker)
    assert found == {layer, f"{layer}.mlp"}
