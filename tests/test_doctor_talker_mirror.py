"""The doctor's NumPy talker and predictor are the engine's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import omniggml
from omniggml.doctor.case import Case
from omniggml.doctor.checks.talker import mirror_of
from omniggml.doctor.likelihood import prompt_for
from omniggml.doctor.talker_mirror import TalkerMirror
from omniggml.doctor.talker_prompt import replanned
from omniggml.files.stored_weights import StoredWeights
from parity.files import ModelFiles


@pytest.mark.parametrize("geometry", ["tiny", "odd", "grouped", "mini"])
def test_the_same_logits(model_files: ModelFiles, geometry: str) -> None:
    path, _ = model_files.gguf(geometry, "f32")
    model, weights = omniggml.load(path, n_threads=1), StoredWeights(path)
    assert weights.derived is not None
    config = weights.derived.config
    mirror = TalkerMirror(weights, dataclasses.asdict(config.talker), dataclasses.asdict(config.code_predictor))
    codes = model.speak("hello world", seed=3, max_frames=20).codes
    prompt = prompt_for(model, "hello world")
    states = model.talker_states(prompt, codes)
    logits, hidden = mirror.states(prompt, codes)
    n = len(logits)
    np.testing.assert_allclose(hidden, states.hidden[:n], rtol=0, atol=2e-3 * np.abs(states.hidden).max())
    np.testing.assert_allclose(logits, states.logits[:n], rtol=0, atol=2e-3 * np.abs(states.logits).max())
    theirs = model.predictor_logits(states.hidden, codes)
    ours = mirror.predicted(states.hidden, codes)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("geometry", ["tiny", "grouped"])
def test_the_same_prompt(model_files: ModelFiles, geometry: str) -> None:
    path, _ = model_files.gguf(geometry, "f32")
    model, mirror = omniggml.load(path, n_threads=1), planned(path, "hello world")
    assert mirror.plan is not None
    made, right = mirror.with_mistake({}, {}, mirror.plan).prompt, prompt_for(model, "hello world")
    assert made is not None
    for ours, theirs in ((made.inputs, right.inputs), (made.trailing, right.trailing), (made.pad, right.pad)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def test_every_mistake_in_a_prompt_changes_it(model_files: ModelFiles) -> None:
    """And none is made twice."""
    path, _ = model_files.gguf("tiny", "f32")
    mirror = planned(path, "hello world")
    assert mirror.plan is not None
    mistakes = list(replanned(mirror.plan))
    assert len({mistake.plan for mistake in mistakes} | {mirror.plan}) == len(mistakes) + 1 > 120
    assert len({mistake.clause for mistake in mistakes}) == len(mistakes)
    for mistake in mistakes:
        made = mirror.with_mistake({}, {}, mistake.plan).prompt
        assert made is not None and np.isfinite(made.inputs).all() and made.inputs.shape[1] == made.trailing.shape[1]


def planned(path: Path, text: str) -> TalkerMirror:
    """The mirror of a file's talker, with what it is given for a text."""
    case = Case(path, text=text)
    assert case.model is not None and case.model.default_speaker is not None
    mirror = mirror_of(case, case.model, case.model.default_speaker)
    assert mirror is not None
    return mirror
