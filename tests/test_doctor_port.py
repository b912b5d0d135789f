"""Mistakes in ports of the vocoder that nobody listed: generated from its modules and tensors, and recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import CATALOGUE
from omniggml.doctor.tensor_mistakes import tensor_mistakes
from omniggml.doctor.vocoder_grammar import full_names, port_mistakes
from omniggml.loading import BUILT_IN

UNIT = "code2wav.decoder.1.block.2"
LAYER = "code2wav.pre_transformer.layers.0"


@pytest.fixture(scope="module")
def codes(tiny_files: Files) -> Any:
    return omniggml.load(tiny_files.speech, n_threads=1).speak("hello world", seed=3, max_frames=24).codes


def swap(edit: GgufEdit, one: str, other: str) -> None:
    first, second = edit.values(one), edit.values(other)
    edit.put(one, second)
    edit.put(other, first)


def change(edit: GgufEdit, name: str, how: Callable[[Any], Any]) -> None:
    edit.put(name, np.ascontiguousarray(how(edit.values(name))))


def decoded(tiny_files: Files, codes: Any, tmp_path: Path, *edits: Callable[[GgufEdit], None]) -> Path:
    """What the engine makes of the codes with weights misread."""
    edit = GgufEdit.read(tiny_files.speech)
    for one in edits:
        one(edit)
    wrong = omniggml.load(edit.write(tmp_path / "wrong.gguf"), n_threads=1)
    return omniggml.Audio(wrong.code2wav(codes), 24000).save(tmp_path / "wrong.wav")


def reversed_kernel(edit: GgufEdit) -> None:
    name = f"{UNIT}.conv1.conv.weight"
    change(edit, name, lambda values: values.reshape(tuple(reversed(edit.tensor(name).ne)))[..., ::-1])


EDITS: dict[str, tuple[Callable[[GgufEdit], None], str, str]] = {
    "a kernel reversed": (reversed_kernel, "permuted", f"{UNIT}.conv1"),
    "queries and keys exchanged": (
        lambda e: swap(e, f"{LAYER}.self_attn.q_proj.weight", f"{LAYER}.self_attn.k_proj.weight"),
        "swapped",
        f"{LAYER}.self_attn.q_proj",
    ),
    "a bias left out": (lambda e: change(e, f"{UNIT}.conv2.conv.bias", lambda v: 0 * v), "missing", f"{UNIT}.conv2"),
    "a gamma twice as large": (
        lambda e: change(e, "code2wav.upsample.0.1.gamma", lambda v: 2 * v),
        "scaled",
        "code2wav.upsample.0.1",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_weight_misread(tiny_files: Files, codes: Any, tmp_path: Path, case: str) -> None:
    edit, kind, where = EDITS[case]
    wav = decoded(tiny_files, codes, tmp_path, edit)
    words: list[str] = []
    found = omniggml.diagnose(tiny_files.speech, codes=codes, audio=wav, n_threads=1, announce=words.append)
    cause = found.causes[0].as_dict()["cause"]
    assert cause == [{"kind": kind, "where": where}], found.verdict
    assert found.causes[0].id == f"vocoder.{kind}" and where in found.verdict
    assert any("changes of the vocoder" in word for word in words)


def test_two_things(tiny_files: Files, codes: Any, tmp_path: Path) -> None:
    edits = (reversed_kernel, EDITS["queries and keys exchanged"][0])
    wav = decoded(tiny_files, codes, tmp_path, *edits)
    found = omniggml.diagnose(tiny_files.speech, codes=codes, audio=wav, n_threads=1)
    causes = found.causes[0].as_dict()["cause"]
    assert {cause["kind"] for cause in causes} == {"permuted", "swapped"}, found.verdict
    assert "two things are wrong" in found.verdict


def test_every_module_has_mistakes(tiny_files: Files) -> None:
    """Of its own, without a line that names it; each is known to the catalogue."""
    mirror = Case(tiny_files.speech).mirror
    assert mirror is not None
    mistakes = list(port_mistakes(mirror))
    assert {f"vocoder.{mistake.kind}" for mistake in mistakes} <= set(CATALOGUE)
    touched = {name for mistake in mistakes for misread in mistake.weights for name in misread.changes}
    assert touched == set(full_names(mirror))
    assert len({(m.kind, m.where, m.clause) for m in mistakes}) == len(mistakes)
    by_shape = tensor_mistakes({"new.module.weight": (4, 6, 3)}, {})
    assert len({mistake.clause for mistake in by_shape}) > 15


def test_a_mistake_in_a_weight_changes_it_and_keeps_its_shape(tiny_files: Files) -> None:
    mirror = Case(tiny_files.speech).mirror
    assert mirror is not None
    changed = 0
    for mistake in port_mistakes(mirror):
        for misread in mistake.weights:
            for name, values in misread.applied(mirror.weight).items():
                assert values.shape == mirror.weight(name).shape and values.dtype == np.float32
                changed += 1
    assert changed > 1000


@pytest.mark.parametrize(
    ("setting", "value", "clause"),
    [
        ("token.tts_pad", 391, "tts_pad is tts_eos"),
        ("token.tts_bos", 377, "tts_bos is im_start"),
    ],
)
def test_a_talker_with_another_id(setting: str, value: int, clause: str) -> None:
    """Of the built-in voice, whose text's marks begin at 389."""
    wrong = omniggml.load(BUILT_IN, n_threads=1, overrides={setting: value})
    codes = wrong.speak("hello world, how are you", seed=3, max_frames=24).codes
    found = omniggml.diagnose(BUILT_IN, codes=codes, text="hello world, how are you", n_threads=1)
    assert clause in found.causes[0].sentence, found.verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "value", "kind", "where"),
    [
        ("talker.rope_theta", 1e6, "constant", "talker.model.layers.*.self_attn"),
        ("code_predictor.rope_theta", 1e2, "constant", "talker.code_predictor.model.layers.*.self_attn"),
    ],
)
def test_a_talker_with_another_setting(setting: str, value: float, kind: str, where: str) -> None:
    """Of the built-in voice, spoken by the engine with the setting overridden."""
    wrong = omniggml.load(BUILT_IN, n_threads=1, overrides={setting: value})
    codes = wrong.speak("hello world, how are you", seed=3, max_frames=24).codes
    found = omniggml.diagnose(BUILT_IN, codes=codes, text="hello world, how are you", n_threads=1)
    assert found.causes[0].id == f"talker.{kind}", found.verdict
    assert found.causes[0].as_dict()["cause"] == [{"kind": kind, "where": where}], found.verdict
