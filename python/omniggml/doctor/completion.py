"""Frames of which some groups are missing: how likely the given ones are, whatever the missing ones may be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.doctor.likelihood import Likelihood, chance, of_codes
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_CANDIDATES = 256  # codes of the first group that are tried for each frame
_FRAMES = 8


def completed(model: Model, prompt: TalkerPrompt, rows: IntArray, first: int) -> Likelihood:
    """How likely `rows` [n, frames] are as the model's groups `first`, `first` + 1, ... (`first` is 0 or 1).

    A missing talker's code is summed over; for the frames that follow, it and the missing last groups are filled in
    by the likeliest. The same number of codes is judged for both values of `first`, so that these can be compared.
    """
    groups = model.geometry["code_predictor"]["num_code_groups"]
    size = model.geometry["code2wav"]["codebook_size"]
    codes = np.zeros((groups, min(_FRAMES, rows.shape[1])), np.int32)
    found = np.zeros((len(rows), codes.shape[1]), np.float32)
    for frame in range(codes.shape[1]):
        states = model.talker_states(prompt, codes[:, : frame + 1])
        given, logits = rows[:, frame], states.logits[-1, :size]
        starts = given[:1] if first == 0 else np.argsort(-logits)[:_CANDIDATES].astype(np.int32)
        value, codes[:, frame] = _judged(model, states.hidden[-1], _prior(logits)[starts], starts, given[1 - first :])
        found[:, frame] = value / len(rows)
    return Likelihood(found, chance(model))


def _prior(logits: FloatArray) -> FloatArray:
    """Logarithmic probabilities of the talker's codes: half its own, half even, since its text may not be known."""
    own = np.exp(of_codes(np.repeat(logits[None], len(logits), axis=0), np.arange(len(logits), dtype=np.int32)))
    return np.asarray(np.log(0.5 * own + 0.5 / len(logits)), np.float32)


def _judged(
    model: Model, hidden: FloatArray, prior: FloatArray, starts: IntArray, given: IntArray
) -> tuple[float, IntArray]:
    """Logarithmic probability of `given` after any of `starts`, and all codes of the likeliest frame."""
    states = np.repeat(hidden[None], len(starts), axis=0)
    frames = np.concatenate([starts[None], np.repeat(given[:, None], len(starts), axis=1)]).astype(np.int32)
    logits = model.predictor_logits(states, frames)
    total = prior.astype(np.float64)
    for step in range(len(given)):
        total = total + of_codes(logits[:, step], frames[step + 1])
    chosen = int(np.argmax(total))
    value = float(total[chosen] + np.log(np.exp(total - total[chosen]).sum()))
    return value, _filled(model, hidden, frames[:, chosen])


def _filled(model: Model, hidden: FloatArray, codes: IntArray) -> IntArray:
    """The frame with its missing last groups, each the predictor's likeliest."""
    groups = model.geometry["code_predictor"]["num_code_groups"]
    frame = codes.tolist()
    while len(frame) < groups:
        logits = model.predictor_logits(hidden[None], np.array(frame, np.int32)[:, None])
        frame.append(int(np.argmax(logits[0, len(frame) - 1])))
    return np.array(frame, np.int32)
