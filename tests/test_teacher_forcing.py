"""Talker and predictor made to say given codes: what they said by themselves is what they expect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import omniggml
from conftest import Files
from omniggml import InputError, Model, TalkerPrompt

GREEDY: dict[str, Any] = {"greedy": True, "repetition_penalty": 1.0, "max_frames": 12}


@pytest.fixture(scope="module")
def model(tiny_files: Files) -> Model:
    return omniggml.load(tiny_files.speech, n_threads=1)


@pytest.fixture(scope="module")
def prompt(model: Model) -> TalkerPrompt:
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    return model.talker_prompt(conversation, model.tokenizer.encode("hello world"))


def test_greedy_codes_are_the_most_probable(model: Model, prompt: TalkerPrompt) -> None:
    codes = model.talker(prompt, **GREEDY)
    states = model.talker_states(prompt, codes)
    assert states.logits.shape == (12, 1088) and states.hidden.shape == (12, 32)
    np.testing.assert_array_equal(states.logits[:, :64].argmax(axis=1), codes[0])
    rest = model.predictor_logits(states.hidden, codes)
    assert rest.shape == (12, 3, 64)
    np.testing.assert_array_equal(rest.argmax(axis=2).T, codes[1:])


def test_some_groups_tell_the_next(model: Model, prompt: TalkerPrompt) -> None:
    codes = model.talker(prompt, **GREEDY)
    hidden = model.talker_states(prompt, codes).hidden
    whole = model.predictor_logits(hidden, codes)
    for n in (1, 2, 3):
        np.testing.assert_array_equal(model.predictor_logits(hidden, codes[:n]), whole[:, :n])


def test_what_does_not_fit_is_refused(model: Model, prompt: TalkerPrompt) -> None:
    codes = np.zeros((4, 3), np.int32)
    hidden = model.talker_states(prompt, codes).hidden
    for wrong in (codes[:, :2], codes[0], np.zeros((5, 3), np.int32), codes[:0]):
        with pytest.raises(InputError, match="codes have the shape"):
            model.predictor_logits(hidden, wrong)
    for bad in (np.full((4, 3), 64), np.full((4, 3), -1)):
        with pytest.raises(InputError):
            model.talker_states(prompt, bad)
        with pytest.raises(InputError):
            model.predictor_logits(hidden, bad)


def test_a_long_speech_is_forced_in_runs(tiny_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any length, and in runs of any length the same."""
    model = omniggml.load(tiny_files.speech, n_threads=1)
    frames = 1100
    rng = np.random.default_rng(0)
    size, groups = model.geometry["code2wav"]["codebook_size"], model.geometry["code2wav"]["num_quantizers"]
    codes = rng.integers(0, size, (groups, frames))
    hidden = rng.normal(size=(frames, model.geometry["talker"]["hidden_size"])).astype(np.float32)
    whole = model.predictor_logits(hidden, codes)
    assert whole.shape[:2] == (frames, groups - 1)
    monkeypatch.setattr("omniggml.model._FRAMES_AT_ONCE", 7)
    np.testing.assert_allclose(model.predictor_logits(hidden[:20], codes[:, :20]), whole[:20], rtol=1e-5, atol=1e-5)
