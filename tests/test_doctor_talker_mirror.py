"""The doctor's NumPy talker and predictor are the engine's, and with a mistake they are a port's that makes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.doctor.unseen.mistake import Mistake
from benchmarks.doctor.unseen.port_talker import Request, TalkerPort

import omniggml
from omniggml.doctor.case import Case
from omniggml.doctor.checks.talker import mirror_of
from omniggml.doctor.likelihood import of_codes, prompt_for
from omniggml.doctor.talker_grammar import speaker_mistakes
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


T, P = "talker", "talker.code_predictor"
STATE, MODEL, TABLES = "the talker's state that the predictor starts from", f"{T}.model", f"{P}.model.codec_embedding"
MIXTURE, TEXTS = f"{T}.model.layers.*.mlp", "thinker.model.embed_tokens.weight"
CHOSEN = {
    f"{STATE} is a frame old from the second frame on": (f"{P}:state", "a frame old"),
    "the talker's cache keeps nothing": (f"{MODEL}:cache", "none"),
    "the talker's cache keeps 8 positions": (f"{MODEL}:cache", "last 8"),
    "the predictor's cache keeps nothing": (f"{P}:cache", "begun again"),
    "the talker's positions are counted from 0 whenever something is read": (f"{MODEL}:positions", "begin anew"),
    "the talker's positions are counted backwards in what is read at once": (f"{MODEL}:position", "backwards"),
    "the talker's positions are counted from 0 after each 8": (f"{MODEL}:position", "every 8 anew"),
    "the predictor's positions are counted by halves": (f"{P}.model:position", "half"),
    f"the RMS norm is replaced by over time in all of {MODEL}.layers.*.input_layernorm": (
        f"{MODEL}.layers.*.input_layernorm:form",
        "over time",
    ),
    f"the RMS norm is replaced by over time in {P}.model.layers.0.self_attn.q_norm": (
        f"{P}.model.layers.0.self_attn.q_norm:form",
        "over time",
    ),
    f"the shared expert has a gate without sigmoid in all of {MIXTURE}": (f"{MIXTURE}:shared gate", "linear"),
    "only the code of group 3 is fed back": (f"{T}:feedback", "last code alone"),
    "the talker's own code is fed back twice": (f"{T}:feedback", "code 0 twice"),
    "the sum of the codes' embeddings is divided by the root of their number": (f"{T}:feedback", "divided by sqrt n"),
    "tables are 1 on": (f"{P}:tables", 1),
    "tables are 1 back": (f"{P}:tables", -1),
    "heads are 1 back": (f"{P}:heads", "the one before"),
}
"""Clauses of the grammar, and the choice with which a port that knows nothing of it makes the mistake."""
EDITED = {
    f"{TEXTS} is multiplied by 2": ("scale", TEXTS, 2.0),
    f"{TEXTS} has its axis 0 reversed": ("reverse", TEXTS, 0),
    f"{TEXTS} has its axis 1 reversed": ("reverse", TEXTS, 1),
}
MISTAKES = {clause: Mistake("", "", "", (), choices=dict([chosen])) for clause, chosen in CHOSEN.items()}
MISTAKES |= {clause: Mistake("", "", "", (), (edit,)) for clause, edit in EDITED.items()}


@pytest.mark.parametrize("clause", MISTAKES)
def test_a_mistake_is_what_a_port_makes_of_it(model_files: ModelFiles, clause: str) -> None:
    """Codes are as likely with it, and less or more so without."""
    path, _ = model_files.gguf("tiny", "f32")
    model, mirror, port = omniggml.load(path, n_threads=1), planned(path, "hello world"), TalkerPort.read(path)
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    assert model.default_speaker is not None
    request = Request(conversation, model.tokenizer.encode("hello world"), model.default_speaker)
    codes = port.speak(request, 3, 20)
    found = [mistake for mistake in speaker_mistakes(mirror) if mistake.clause == clause]
    assert len(found) == 1
    made = found[0].made(mirror)
    assert made is not None
    prompt = prompt_for(model, "hello world")
    theirs = port._loop(MISTAKES[clause]).likelihood(request, codes)
    assert mean_nats(made, prompt, codes) == pytest.approx(theirs, abs=2e-4)
    assert abs(mean_nats(mirror, prompt, codes) - theirs) > 2e-3


def mean_nats(mirror: TalkerMirror, prompt: omniggml.model.TalkerPrompt, codes: Any) -> float:
    """What a code gets, of those that are no control."""
    logits, states = mirror.states(prompt, codes)
    rest = mirror.predicted(states, codes)
    size = rest.shape[-1]
    every = [logits[:, :size], *(rest[:, group] for group in range(rest.shape[1]))]
    return float(np.mean([of_codes(one, row) for one, row in zip(every, codes, strict=True)]))


def planned(path: Path, text: str) -> TalkerMirror:
    """The mirror of a file's talker, with what it is given for a text."""
    case = Case(path, text=text)
    assert case.model is not None and case.model.default_speaker is not None
    mirror = mirror_of(case, case.model, case.model.default_speaker)
    assert mirror is not None
    return mirror
