"""Frames of which some groups are missing, completed by what the model finds likeliest."""

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

    Frame by frame, what is missing is filled in: the talker's code by the one that makes the rows likeliest, the last
    groups by the predictor's best. Judges the first frames only, and of them the given rows alone.
    """
    groups = model.geometry["code_predictor"]["num_code_groups"]
    codes = np.zeros((groups, min(_FRAMES, rows.shape[1])), np.int32)
    found = np.zeros((len(rows), codes.shape[1]), np.float32)
    for frame in range(codes.shape[1]):
        states = model.talker_states(prompt, codes[:, : frame + 1])
        given = rows[:, frame]
        if first == 0:
            found[0, frame] = of_codes(states.logits[-1:], given[:1])[0]
            starts = given[:1]
        else:
            size = model.geometry["code2wav"]["codebook_size"]
            starts = np.argsort(-states.logits[-1, :size])[:_CANDIDATES].astype(np.int32)
        values, frame_codes = _best(model, states.hidden[-1], starts, given[1 - first :], groups)
        found[1 - first :, frame] = values
        codes[:, frame] = frame_codes
    return Likelihood(found, chance(model))


def _best(
    model: Model, hidden: FloatArray, starts: IntArray, given: IntArray, groups: int
) -> tuple[FloatArray, IntArray]:
    """Of frames that begin with each of `starts` and go on with `given`, the likeliest: logarithmic probabilities of
    `given`, and all codes of the frame."""
    states = np.repeat(hidden[None], len(starts), axis=0)
    frames = np.concatenate([starts[None], np.repeat(given[:, None], len(starts), axis=1)]).astype(np.int32)
    logits = model.predictor_logits(states, frames)
    values = [of_codes(logits[:, step], frames[step + 1]) for step in range(len(given))]
    table = np.stack(values) if values else np.zeros((0, len(starts)), np.float32)
    chosen = int(np.argmax(table.sum(axis=0)))
    codes = frames[:, chosen].tolist()
    while len(codes) < groups:
        more = model.predictor_logits(hidden[None], np.array(codes, np.int32)[:, None])
        codes.append(int(np.argmax(more[0, len(codes) - 1])))
    return table[:, chosen], np.array(codes, np.int32)
