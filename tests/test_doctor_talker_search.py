"""What a talker with a mistake is called, and that nothing is named which doesn't explain what it said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml.doctor.finding import Diagnosis

TEXT, TALKER, PREDICTOR = "what is the opposite of big", "talker.model", "talker.code_predictor.model"
OF_SPANS = "the captain told the crew to lower the sails before the storm"
Array = npt.NDArray[Any]


def said(tmp_path: Path, pattern: str, change: Callable[[Array], Array], text: str = TEXT, **options: Any) -> Diagnosis:
    """What the doctor says of codes by the built-in voice with changed tensors, as another program may have read it."""
    sound, wrong = omniggml.load(n_threads=1), tmp_path / "wrong.gguf"
    shutil.copyfile(sound.path, wrong)
    reader = gguf.GGUFReader(wrong, "r+")
    changed = [tensor for tensor in reader.tensors if re.fullmatch(pattern, tensor.name)]
    assert changed
    for tensor in changed:
        tensor.data[:] = change(np.array(tensor.data)).astype(tensor.data.dtype)
    reader.data.flush()
    codes = omniggml.load(wrong, n_threads=1).speak(text, seed=1, max_frames=200, **options).codes
    return omniggml.diagnose(sound.path, codes=codes, text=text, n_threads=1)


@pytest.mark.parametrize(
    ("pattern", "change", "words", "wheres"),
    [
        (
            r"talker\..*\.q_norm.*",
            np.ones_like,
            r"q_norm, and likewise in the code predictor",
            (f"{TALKER}.layers.*.self_attn.q_norm", f"{PREDICTOR}.layers.*.self_attn.q_norm"),
        ),
        (
            r"talker\..*norm.*",
            lambda v: v + 1,
            r"all norms of talker.model have one added to them, and likewise in the code predictor",
            (TALKER, PREDICTOR),
        ),
        (
            r"talker\.model\..*norm.*",
            lambda v: v + 1,
            r"all norms of talker.model have one added to them \(",
            (TALKER,),
        ),
    ],
    ids=["q_norm left out", "norms of both stacks plus one", "the talker's norms plus one"],
)
def test_layers_that_a_program_writes_once(
    tmp_path: Path, pattern: str, change: Callable[[Array], Array], words: str, wheres: tuple[str, ...]
) -> None:
    found = said(tmp_path, pattern, change)
    assert found.exit_code == 2 and re.search(words, found.findings[0].sentence), found.findings
    assert tuple(cause["where"] for cause in found.as_dict()["findings"][0]["cause"]) == wheres


def test_a_text_of_several_spans_tells_as_much(tmp_path: Path) -> None:
    """Where one span ends and the next begins is as the mistaken talker has it; the first words are as for any."""
    assert len(omniggml.load(n_threads=1).spans(OF_SPANS)) > 1
    found = said(tmp_path, r"talker\..*\.q_norm.*", np.ones_like, OF_SPANS)
    assert found.exit_code == 2 and "q_norm, and likewise" in found.findings[0].sentence, found.verdict


def test_what_flattens_a_predictor_is_no_cause_of_noise(tmp_path: Path) -> None:
    """A predictor that is less sure finds everything likelier that something else did to its codes."""

    def noisy(table: Array) -> Array:
        draw = np.random.default_rng(5).standard_normal(table.shape)
        return np.asarray(table + 0.3 * table.astype(np.float32).std() * draw)

    found = said(tmp_path, r"talker\.code_predictor\.model\.codec_embedding\..*", noisy, temperature=0.6)
    assert not any(finding.id == "talker.scaled" for finding in found.findings), found.findings


def test_behind_words_that_fit_only_what_begins_late_is_tried() -> None:
    model, words = omniggml.load(n_threads=1), list[str]()
    codes = model.speak("the dog runs in the garden", seed=4).codes
    found = omniggml.diagnose(
        model.path, codes=codes, text="the dog ran in the garden", n_threads=1, announce=words.append
    )
    assert [finding.id for finding in found.findings] == ["codes.other-text"] and found.exit_code == 0
    tried = [int(n) for word in words for n in re.findall(r"trying (\d+) changes of the talker", word)]
    assert tried and tried[0] < 1200 and not any("of the predictor" in word for word in words), words
