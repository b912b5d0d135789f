"""Quantizing: what each policy stores, that the engine runs it, and that a name never stands for half a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGUFValueType

import omniggml
from conftest import Files
from foreign_files import write_all_in_one
from gguf_edit import GgufEdit
from omniggml import quantize
from omniggml.errors import ConversionError, InputError
from omniggml.spec.policy import policy_names, read_policy
from parity.files import ModelFiles
from sentences import one_sentence

# Normalised error of the talker's logits, teacher-forced with the same inputs.
BOUNDS = {"f32": 0.0, "f16": 1e-4, "bf16": 1e-3, "q8_0": 1e-2, "q8_0-all": 1e-2, "q6_k": 1e-2, "q4_k": 0.1}


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Files:
    return Files(*model_files.gguf("mini", "f32"))


def logits(model: omniggml.Model, prompt: omniggml.TalkerPrompt | None = None) -> tuple[Any, Any]:
    """The talker's logits for one prompt, and that prompt."""
    if prompt is None:
        conversation = model.tokenizer.encode_chat([{"role": "user", "content": "hi"}])
        prompt = model.talker_prompt(conversation, model.tokenizer.encode("hello world"))
    with model.probe("talker.codec_head") as seen:
        model.talker(prompt, max_frames=1)
    return seen["talker.codec_head"], prompt


def types(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}


def test_every_policy_has_a_bound() -> None:
    assert set(policy_names()) == set(BOUNDS)


@pytest.mark.parametrize("policy", BOUNDS)
def test_policies(mini: Files, tmp_path: Path, policy: str) -> None:
    speech = quantize(mini.speech, tmp_path / "x-speech.gguf", policy=policy)
    thinker = quantize(mini.thinker, tmp_path / "x-thinker.gguf", policy=policy)
    exact = omniggml.load(mini.speech, n_threads=1)
    model = omniggml.load(speech.path, n_threads=1)
    expected, prompt = logits(exact)
    found, _ = logits(model, prompt)
    assert ((found - expected) ** 2).sum() <= BOUNDS[policy] * (expected**2).sum()
    audio = model.speak("hello world", max_frames=4)
    assert np.isfinite(audio.samples).all() and np.abs(audio.samples).max() > 1e-3
    assert len(model.generate_text([1, 2, 3], omniggml.TextOptions(greedy=True, max_tokens=3))[0]) <= 3
    assert sum(n for n, _, _ in speech.by_type.values()) == len(types(mini.speech))
    inspected = omniggml.inspect(speech.path)
    assert inspected.problem == "" and bool(inspected.concerns) == (policy == "q8_0-all")
    assert omniggml.inspect(thinker.path).problem == ""


def test_policies_and_convert_agree(model_files: ModelFiles, tmp_path: Path) -> None:
    """F32 quantized is what the checkpoint converts to."""
    for policy in ("f16", "bf16", "q8_0"):
        for ours, source in zip(model_files.gguf("mini", policy), model_files.gguf("mini", "f32"), strict=True):
            made = quantize(source, tmp_path / f"{policy}.gguf", policy=policy)
            assert types(made.path) == types(ours), policy


def test_what_q4_k_stores(tmp_path: Path) -> None:
    policy = read_policy("q4_k")
    for name, row, type_ in (
        ("talker.model.layers.0.mlp.experts.up_proj.weight", 1024, "Q4_K"),
        ("talker.model.layers.0.mlp.experts.down_proj.weight", 384, "Q5_0"),
        ("talker.model.layers.0.mlp.experts.down_proj.weight", 36, "F16"),
        ("talker.model.layers.0.self_attn.q_proj.weight", 1024, "Q6_K"),
        ("talker.code_predictor.model.layers.0.mlp.up_proj.weight", 1024, "Q8_0"),
        ("talker.code_predictor.model.layers.0.self_attn.q_proj.weight", 1024, "Q8_0"),
        ("code2wav.pre_transformer.layers.0.self_attn.q_proj.weight", 1024, "Q8_0"),
        ("talker.code_predictor.lm_head.3.weight", 1024, "F16"),
        ("code2wav.decoder.1.block.1.conv.weight", 16, "F16"),
        ("code2wav.code_embedding.weight", 1024, "F32"),
        ("thinker.model.layers.3.mlp.gate.weight", 2048, "F32"),
    ):
        assert policy.type_of(name, (8, row)) == type_, name
    assert policy.type_of("talker.model.norm.weight", (1024,)) == "F32"


def test_values_and_metadata_survive(mini: Files, tmp_path: Path) -> None:
    made = quantize(mini.speech, tmp_path / "x.gguf", policy="f32")
    before, after = GgufEdit.read(mini.speech), GgufEdit.read(made.path)
    assert [tensor.data for tensor in before.tensors] == [tensor.data for tensor in after.tensors]
    entries = dict(after.metadata)
    assert entries.pop("omniggml.quantize.policy").value == "f32"
    assert entries == dict(before.metadata)


def test_another_alignment(mini: Files, tmp_path: Path) -> None:
    """What is written has GGUF's usual alignment, whatever the source says of its own."""
    edit = GgufEdit.read(mini.speech).append("general.alignment", 8, GGUFValueType.UINT32)
    edit.append("padding", "", GGUFValueType.STRING)
    edit.set("padding", "x" * (-len(edit.header()) % 32))
    source = edit.write(tmp_path / "x.gguf")
    made = quantize(source, tmp_path / "y.gguf", policy="f32")
    assert "general.alignment" not in dict(GgufEdit.read(made.path).metadata)
    assert [t.data for t in GgufEdit.read(made.path).tensors] == [t.data for t in GgufEdit.read(mini.speech).tensors]
    assert omniggml.inspect(made.path).problem == ""


def test_an_empty_list(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.speech).append("general.tags", [], GGUFValueType.ARRAY, GGUFValueType.STRING)
    made = quantize(edit.write(tmp_path / "x.gguf"), tmp_path / "y.gguf", policy="q8_0")
    assert "general.tags" not in dict(GgufEdit.read(made.path).metadata)
    assert omniggml.inspect(made.path).problem == ""


def test_the_same_bytes_every_time(mini: Files, tmp_path: Path) -> None:
    paths = [quantize(mini.speech, tmp_path / f"{i}.gguf", policy="q4_k").path for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_ggmls_own_quantizer(mini: Files, tmp_path: Path) -> None:
    """Q8_0 as the gguf package makes it, which follows ggml bit for bit."""
    made = quantize(mini.speech, tmp_path / "x.gguf", policy="q8_0-all")
    name = "talker.model.layers.0.self_attn.q_proj.weight"
    source = next(tensor for tensor in gguf.GGUFReader(mini.speech).tensors if tensor.name == name)
    stored = next(tensor for tensor in gguf.GGUFReader(made.path).tensors if tensor.name == name)
    expected = gguf.quants.quantize(np.array(source.data), gguf.GGMLQuantizationType.Q8_0)
    np.testing.assert_array_equal(np.array(stored.data), expected)


def test_requantizing_asks_first(mini: Files, tmp_path: Path) -> None:
    small = quantize(mini.speech, tmp_path / "q8.gguf", policy="q8_0").path
    with pytest.raises(InputError) as error:
        quantize(small, tmp_path / "q4.gguf", policy="q4_k")
    one_sentence(str(error.value), "q8.gguf", "Q8_0", "--requantize")
    made = quantize(small, tmp_path / "q4.gguf", policy="q4_k", requantize=True)
    assert made.twice and max(change.error for change in made.twice) > 1e-3
    assert quantize(small, tmp_path / "same.gguf", policy="q8_0").twice == ()
    assert omniggml.inspect(made.path).problem == ""


def test_foreign_files_keep_their_names(mini: Files, tmp_path: Path) -> None:
    source = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True)
    made = quantize(source, tmp_path / "y.gguf", policy="q8_0")
    assert list(types(made.path)) == list(types(source))
    assert omniggml.inspect(made.path).family == "all-in-one"


# --- a user's own policy ----------------------------------------------------------------------------------------------


def test_own_policy(mini: Files, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('use = ["sensitive"]\notherwise = "F16"\nrules = [["talker.*.experts.*", "Q5_0"]]\n')
    made = quantize(mini.speech, tmp_path / "x.gguf", policy=str(path))
    stored = types(made.path)
    assert stored["talker.model.layers.0.mlp.experts.up_proj.weight"] == "Q5_0"
    assert stored["code2wav.code_embedding.weight"] == "F32"
    assert stored["code2wav.decoder.0.conv.weight"] == "F16"


BAD_POLICIES = [
    ("x = [", "TOML"),
    ('otherwise = "Q9"', "Q9"),
    ('rules = [["*", "Q9"]]', "Q9"),
    ('rules = [["*"]]', "pattern"),
    ("rules = 5", "rules"),
    ('use = ["other"]', "other"),
    ('something = "else"', "something"),
    ("otherwise = 5", "5"),
    ("use = 5", "use"),
    ("", "says nothing"),
    ("rules = []", "says nothing"),
    ("rules = [" + '["a", "F16"],' * 10_001 + "]", "10000 rules"),
    (f'rules = [["{"a" * 257}", "F16"]]', "257 characters"),
    ("use = [" + '"sensitive",' * 20_000 + "]", "10000 rules"),
]


@pytest.mark.parametrize(("content", "part"), BAD_POLICIES)
def test_bad_policies(mini: Files, tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        quantize(mini.speech, tmp_path / "x.gguf", policy=str(path))
    one_sentence(str(error.value), "mine.toml", part)


def test_as_many_rules_as_there_can_be(mini: Files, tmp_path: Path) -> None:
    """Take time in proportion; and the first that fits decides, whether it is a name or a pattern."""
    rules = [[f"talker.*x{n}.*", "Q8_0"] for n in range(9_997)]
    name = "talker.codec_head.weight"
    path = tmp_path / "mine.toml"
    for last, type_ in (
        ([["talker.c*", "F16"], [name, "Q8_0"]], "F16"),
        ([[name, "Q8_0"], ["talker.c*", "F16"]], "Q8_0"),
    ):
        path.write_text(f"rules = {json.dumps([*rules, *last, [name, 'F32']])}")
        begun = time.monotonic()
        with pytest.warns(UserWarning, match="fit no tensor"):
            made = quantize(mini.speech, tmp_path / "x.gguf", policy=path)
        assert time.monotonic() - begun < 20
        assert types(made.path)[name] == type_


def test_patterns_that_fit_nothing_are_named(mini: Files, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'use = ["sensitive"]\nrules = [["talker.model.layer.*", "F16"], ["thinker.*.mlp.experts.*", "F16"]]'
    )
    with pytest.warns(UserWarning, match=r"mine.toml has patterns .*: talker\.model\.layer\.\*$"):
        quantize(mini.speech, tmp_path / "x.gguf", policy=path)


@pytest.mark.parametrize("policy", ["", "q5", "none.toml", "/"])
def test_unknown_policies(mini: Files, tmp_path: Path, policy: str) -> None:
    with pytest.raises(InputError) as error:
        quantize(mini.speech, tmp_path / "x.gguf", policy=policy)
    one_sentence(str(error.value), policy)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_onto_itself(mini: Files) -> None:
    with pytest.raises(InputError) as error:
        quantize(mini.speech, mini.speech)
    one_sentence(str(error.value), mini.speech.name)


def test_values_beyond_f16(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.speech)
    values = edit.values("talker.codec_head.weight")
    values[5] = 1e6
    edit.put("talker.codec_head.weight", values)
    with pytest.raises(ConversionError) as error:
        quantize(edit.write(tmp_path / "x.gguf"), tmp_path / "y.gguf", policy="f16")
    one_sentence(str(error.value), "talker.codec_head.weight", "65504")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.gguf"]


def test_nan(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.speech)
    values = edit.values("talker.codec_head.weight")
    values[5] = np.nan
    edit.put("talker.codec_head.weight", values)
    with pytest.raises(omniggml.ModelFileError, match=r"talker\.codec_head\.weight"):
        quantize(edit.write(tmp_path / "x.gguf"), tmp_path / "y.gguf", policy="q8_0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.gguf"]


def test_killed_at_any_moment(mini: Files, tmp_path: Path) -> None:
    """Under the final name there is the whole file or none."""
    target = tmp_path / "x.gguf"
    code = """
import os, sys
from omniggml import quantize
steps = int(sys.argv[3])
def progress(*_):
    global steps
    steps -= 1
    if steps < 0:
        os._exit(9)
quantize(sys.argv[1], sys.argv[2], policy="q4_k", progress=progress)
"""
    for steps in (0, 1, 20, 100):
        command = [sys.executable, "-c", code, str(mini.speech), str(target), str(steps)]
        assert subprocess.run(command, env=os.environ).returncode == 9
        assert not target.exists()
    quantize(mini.speech, target, policy="q4_k")
    assert omniggml.inspect(target).problem == ""


def test_command(mini: Files, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "omniggml", "quantize", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(mini.speech, tmp_path / "q8.gguf", "--policy", "q8_0")
    assert done.returncode == 0 and done.stderr == "" and "Q8_0" in done.stdout
    refused = run(tmp_path / "q8.gguf", tmp_path / "q4.gguf", "--policy", "q4_k")
    assert refused.returncode == 1 and "--requantize" in refused.stderr
    again = run(tmp_path / "q8.gguf", tmp_path / "q4.gguf", "--policy", "q4_k", "--requantize")
    assert again.returncode == 0 and "quantized before" in again.stdout
