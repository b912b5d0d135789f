"""The doctor's NumPy talker and predictor are the engine's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import omniggml
from omniggml.doctor.likelihood import prompt_for
from omniggml.doctor.talker_mirror import TalkerMirror
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
