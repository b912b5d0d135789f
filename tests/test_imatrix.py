"""Importance matrices: what is gathered is what goes into each product, and quantizing uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml import quantize
from omniggml.errors import InputError
from omniggml.quantization.imatrix import Statistics, gather, read_imatrix, write_imatrix
from sentences import one_sentence

TEXT = "hello world"
LAYER = "talker.model.layers.1"


@pytest.fixture(scope="module")
def model(tiny_files: Files) -> omniggml.Model:
    return omniggml.load(tiny_files.speech, thinker=tiny_files.thinker, n_threads=1)


@pytest.fixture(scope="module")
def gathered(model: omniggml.Model) -> dict[str, Statistics]:
    return gather(model, [TEXT], 4)


@pytest.fixture(scope="module")
def seen(model: omniggml.Model) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    with model.probe(f"{LAYER}.**", f"{LAYER}.**.input") as reading:
        model.speak(TEXT, greedy=True, max_frames=4)
    return dict(reading)


def test_only_who_asks_for_inputs_sees_them(model: omniggml.Model) -> None:
    with model.probe("**") as everything:
        model.speak(TEXT, max_frames=1)
    assert not [name for name in everything if name.endswith(".input")]


def test_every_product_is_there(gathered: dict[str, Statistics], tiny_files: Files) -> None:
    """All matrices that are multiplied; not those that are looked up, nor the vocoder's convolutions."""
    expected = set()
    for path in tiny_files:
        for tensor in gguf.GGUFReader(path).tensors:
            looked_up = ("embed", "token_embd", ".conv.weight", "code_embedding", "hidden_projection")
            if len(tensor.shape) > 1 and not any(part in tensor.name for part in looked_up):
                expected.add(tensor.name)
    assert set(gathered) == expected
    for path in tiny_files:
        for tensor in gguf.GGUFReader(path).tensors:
            if tensor.name in gathered:
                matrices = int(tensor.shape[2]) if len(tensor.shape) == 3 else 1
                assert gathered[tensor.name].sums.shape == (matrices, int(tensor.shape[0])), tensor.name


def test_squares_of_what_goes_in(gathered: dict[str, Statistics], seen: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    normed = seen[f"{LAYER}.input_layernorm"][0]
    for part in "qkv":
        found = gathered[f"{LAYER}.self_attn.{part}_proj.weight"]
        np.testing.assert_allclose(found.sums[0], np.square(normed, dtype=np.float64).sum(axis=0), rtol=1e-5)
        assert found.counts.tolist() == [len(normed)]


def test_an_attentions_output_is_the_product_of_its_input(model: omniggml.Model, seen: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    reader = gguf.GGUFReader(model.path)
    name = f"{LAYER}.self_attn.o_proj.weight"
    weight = next(np.array(t.data).reshape(t.data.shape) for t in reader.tensors if t.name == name)
    computed = seen[f"{name}.input"][0] @ weight.T
    np.testing.assert_allclose(computed, seen[f"{LAYER}.self_attn.o_proj"][0], rtol=1e-3, atol=1e-4)


def test_each_expert_has_what_it_was_given(
    model: omniggml.Model,
    gathered: dict[str, Statistics],
    seen: dict[str, np.ndarray],  # type: ignore[type-arg]
) -> None:
    weights = {t.name: np.array(t.data) for t in gguf.GGUFReader(model.path).tensors}
    rows = seen[f"{LAYER}.post_attention_layernorm"][0].astype(np.float64)
    chosen = np.argsort(-seen[f"{LAYER}.mlp.gate"], axis=1)[:, :2]
    gate, up = (weights[f"{LAYER}.mlp.experts.{part}_proj.weight"] for part in ("gate", "up"))
    for expert in range(4):
        own = rows[(chosen == expert).any(axis=1)]
        for part in ("gate", "up"):
            found = gathered[f"{LAYER}.mlp.experts.{part}_proj.weight"]
            assert found.counts[expert] == len(own)
            np.testing.assert_allclose(found.sums[expert], np.square(own).sum(axis=0), rtol=1e-5)
        opened = own @ gate[expert].T
        inner = opened / (1 + np.exp(-opened)) * (own @ up[expert].T)
        down = gathered[f"{LAYER}.mlp.experts.down_proj.weight"]
        np.testing.assert_allclose(down.sums[expert], np.square(inner).sum(axis=0), rtol=1e-3, atol=1e-6)
    assert down.counts.sum() == 2 * len(rows)


def test_texts_add_up(model: omniggml.Model, gathered: dict[str, Statistics]) -> None:
    twice = gather(model, [TEXT, TEXT], 4)
    for name, statistics in gathered.items():
        np.testing.assert_allclose(twice[name].sums, 2 * statistics.sums, rtol=1e-9)
        np.testing.assert_array_equal(twice[name].counts, 2 * statistics.counts)


def test_the_file(gathered: dict[str, Statistics], tmp_path: Path) -> None:
    """Names, shapes and keys of llama.cpp's format; read back it is the same."""
    path = write_imatrix(tmp_path / "x.gguf", gathered, ["a book"])
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.datasets"].contents() == ["a book"]
    assert {"imatrix.chunk_count", "imatrix.chunk_size"} <= set(reader.fields)
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert shapes["blk.0.ffn_down_exps.weight.in_sum2"] == [32, 4]
    assert shapes["blk.0.ffn_down_exps.weight.counts"] == [1, 4]
    assert shapes["blk.0.attn_q.weight.in_sum2"] == [64, 1]
    for name, statistics in read_imatrix(path).items():
        np.testing.assert_allclose(statistics.sums, gathered[name].sums, rtol=1e-6)
        np.testing.assert_array_equal(statistics.counts, gathered[name].counts)


def test_quantizing_cares_for_what_matters(tiny_files: Files, tmp_path: Path) -> None:
    """One input that is a hundred times as large: its column loses less than without the file; the others' may."""
    name = f"{LAYER}.mlp.shared_expert.up_proj.weight"
    sums = np.ones((1, 32))
    sums[0, 7] = 1e4
    experts = f"{LAYER}.mlp.experts.up_proj.weight"
    per_expert = np.ones((4, 32))
    per_expert[2, 9] = 1e4
    known = {
        name: Statistics(sums, np.ones(1)),
        experts: Statistics(per_expert, np.array([1.0, 1.0, 1.0, 0.0])),
    }
    imatrix = write_imatrix(tmp_path / "x.imatrix.gguf", known, ["made up"])
    plain = quantize(tiny_files.speech, tmp_path / "plain.gguf", policy="q4_k")
    careful = quantize(tiny_files.speech, tmp_path / "careful.gguf", policy="q4_k", imatrix=imatrix)
    exact, rough, fine = (
        {t.name: t for t in gguf.GGUFReader(p).tensors} for p in (tiny_files.speech, plain.path, careful.path)
    )

    def lost(tensors: dict[str, gguf.ReaderTensor], key: str) -> np.ndarray:  # type: ignore[type-arg]
        values = gguf.dequantize(tensors[key].data, tensors[key].tensor_type)
        return np.square(values - np.array(exact[key].data)).reshape(*exact[key].data.shape)

    assert lost(fine, name)[:, 7].sum() < 0.7 * lost(rough, name)[:, 7].sum()
    assert lost(fine, experts)[2][:, 9].sum() < 0.7 * lost(rough, experts)[2][:, 9].sum()
    np.testing.assert_array_equal(lost(fine, experts)[3], lost(rough, experts)[3], "nothing went into this one")
    fields = gguf.GGUFReader(careful.path).fields
    assert fields["quantize.imatrix.file"].contents() == "x.imatrix.gguf"
    assert omniggml.inspect(careful.path).problem == ""


def test_files_that_are_no_imatrix(tiny_files: Files, gathered: dict[str, Statistics], tmp_path: Path) -> None:
    good = write_imatrix(tmp_path / "good.gguf", gathered, ["a"])
    name = f"{LAYER}.self_attn.q_proj.weight"

    def refusal(path: Path) -> str:
        with pytest.raises(InputError) as error:
            quantize(tiny_files.speech, tmp_path / "out.gguf", policy="q4_k", imatrix=path)
        assert not (tmp_path / "out.gguf").exists()
        return str(error.value)

    one_sentence(refusal(tiny_files.thinker), "holds no importance matrix")
    negative = GgufEdit.read(good).put(f"{name}.in_sum2", np.full(32, -1, np.float32)).write(tmp_path / "negative.gguf")
    one_sentence(refusal(negative), "no sums of squares", name)
    edit = GgufEdit.read(good)
    edit.tensors = [tensor for tensor in edit.tensors if tensor.name != f"{name}.counts"]
    one_sentence(refusal(edit.write(tmp_path / "half.gguf")), "and no", name)
    wide = {name: Statistics(np.ones((1, 64)), np.ones(1))}
    one_sentence(refusal(write_imatrix(tmp_path / "wide.gguf", wide, ["x"])), "of another model", "[1, 64]", "[1, 32]")
    other = {"x.weight": Statistics(np.ones((1, 64)), np.ones(1))}
    one_sentence(refusal(write_imatrix(tmp_path / "other.gguf", other, ["x"])), "none of this file's tensors")


def test_command(tiny_files: Files, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "omniggml", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    (tmp_path / "text").write_text("hello\n\ngood morning\n")
    matrix = tmp_path / "x.gguf"
    done = run("imatrix", "-m", tiny_files.speech, "-o", matrix, "--text", tmp_path / "text", "--frames", 2)
    assert done.returncode == 0 and "tensors" in done.stdout, done.stderr
    done = run("quantize", tiny_files.speech, tmp_path / "q4.gguf", "--policy", "q4_k", "--imatrix", matrix)
    assert done.returncode == 0, done.stderr
