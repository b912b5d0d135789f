"""What llama.cpp's own files ask for: applied as there, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import arrays, merged, tokenizer_of, write, write_all_in_one, write_code2wav, write_mtp_talker
from gguf_edit import GgufEdit, Tensor
from omniggml.errors import ModelFileError
from parity.files import ModelFiles
from sentences import one_sentence
from test_families import load, same


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Files:
    return Files(*model_files.gguf("mini", "f32"))


def answer(speech: Path, thinker: Path) -> tuple[list[int], str]:
    greedy = omniggml.TextOptions(greedy=True, max_tokens=8)
    return omniggml.load(speech, thinker=thinker, n_threads=1).generate_text([1, 2, 3], greedy)


def test_merged_experts_of_a_thinker(mini: Files, tmp_path: Path) -> None:
    path = merged(mini.thinker, tmp_path / "thinker.gguf")
    assert omniggml.inspect(path).problem == ""
    assert answer(mini.speech, path) == answer(mini.speech, mini.thinker)


def test_merged_experts_of_a_talker(mini: Files, tmp_path: Path) -> None:
    talker = merged(write_mtp_talker(tmp_path / "apart.gguf", mini.speech), tmp_path / "talker.gguf")
    theirs = load(talker, "mini", thinker=mini.thinker, code2wav=write_code2wav(tmp_path / "c.gguf", mini.speech))
    same(omniggml.load(mini.speech, n_threads=1), theirs)


def test_experts_fused_under_hugging_face_names(mini: Files, tmp_path: Path) -> None:
    tensors: dict[str, Any] = {}
    for name, values in arrays(mini.speech).items():
        if name.endswith("experts.gate_proj.weight"):
            up = arrays(mini.speech)[name.replace("gate_proj", "up_proj")]
            tensors[name.replace("gate_proj", "gate_up_proj")] = np.concatenate([values, up], axis=1)
        elif not name.endswith("experts.up_proj.weight"):
            tensors[name] = values
    metadata = GgufEdit().set("general.architecture", "x", V.STRING).metadata
    path = write(
        tmp_path / "x.gguf", tensors, {str(k): e for k, e in metadata} | tokenizer_of(mini.speech), lambda _: False
    )
    same(omniggml.load(mini.speech, n_threads=1), load(path, "mini"))


def test_encoders_of_five_axes_are_passed_over(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True))
    edit.tensors.append(Tensor("thinker.visual.patch_embed.proj.weight", [2, 2, 2, 3, 4], 0, bytes(96 * 4)))
    same(omniggml.load(mini.speech, n_threads=1), load(edit.write(tmp_path / "y.gguf"), "mini"))


SCALED: list[dict[str, tuple[Any, int]]] = [
    {"scaling.type": ("yarn", V.STRING), "scaling.factor": (4.0, V.FLOAT32)},
    {"scaling.type": ("linear", V.STRING), "scaling.factor": (2.0, V.FLOAT32)},
]


@pytest.mark.parametrize("keys", SCALED)
def test_scaled_positions_are_refused(mini: Files, tmp_path: Path, keys: dict[str, tuple[Any, int]]) -> None:
    edit = GgufEdit.read(mini.thinker)
    for key, (value, type_) in keys.items():
        edit.set(f"qwen3vlmoe.rope.{key}", value, type_)
    path = edit.write(tmp_path / "thinker.gguf")
    with pytest.raises(ModelFileError) as error:
        omniggml.load(mini.speech, thinker=path)
    one_sentence(str(error.value), "thinker.gguf", str(keys["scaling.type"][0]), "scaling")
    assert omniggml.inspect(path).problem == str(error.value)


def test_positions_that_are_not_scaled(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.thinker).set("qwen3vlmoe.rope.scaling.type", "none", V.STRING)
    assert omniggml.load(mini.speech, thinker=edit.write(tmp_path / "x.gguf")).has_thinker


def sampled(mini: Files, path: Path, **settings: float) -> omniggml.Model:
    edit = GgufEdit.read(mini.thinker)
    for key, _ in list(edit.metadata):
        if str(key).startswith("qwen3omni.generation."):
            edit.remove(str(key))
    for name, value in settings.items():
        edit.set(f"general.sampling.{name}", value, V.FLOAT32 if isinstance(value, float) else V.INT32)
    return omniggml.load(mini.speech, thinker=edit.write(path), n_threads=1)


def test_sampling_defaults_of_llama_cpp(mini: Files, tmp_path: Path) -> None:
    """As if the options had been given; greedy where the temperature is zero."""
    told = sampled(mini, tmp_path / "a.gguf", temp=0.8, top_k=3)
    plain = omniggml.load(mini.speech, thinker=mini.thinker, n_threads=1)
    unlimited = {"top_p": 1.0, "repetition_penalty": 1.0}
    given = omniggml.TextOptions(seed=5, max_tokens=12, temperature=0.8, top_k=3, **unlimited)
    assert told.generate_text([1, 2], omniggml.TextOptions(seed=5, max_tokens=12, **unlimited)) == (
        plain.generate_text([1, 2], given)
    )
    greedy = omniggml.TextOptions(seed=5, greedy=True, max_tokens=12)
    cold = sampled(mini, tmp_path / "b.gguf", temp=0.0)
    assert cold.generate_text([1, 2], omniggml.TextOptions(seed=5, max_tokens=12)) == plain.generate_text(
        [1, 2], greedy
    )


def test_samplers_that_are_not_here_are_said(mini: Files, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="min_p"):
        sampled(mini, tmp_path / "a.gguf", temp=0.8, min_p=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampled(mini, tmp_path / "b.gguf", temp=0.8, min_p=0.0)
