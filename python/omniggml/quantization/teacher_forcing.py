"""What a model says to a text, and what another model thinks of that while it is held to the same codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.errors import InputError
from omniggml.model import Model
from omniggml.printable import shown
from omniggml.spec.model_config import SUPPRESSED_TAIL
from omniggml.spec.speech_file import SUPPRESSED_TAIL_KEY

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class CalibrationItem:
    """A text, and the codes int32 [groups, frames] that the reference spoke it with, never sampled."""

    text: str
    codes: IntArray


@dataclass(frozen=True)
class ForcedOutputs:
    """A model held to a item. `talker` [frames, ids], `predictor` [groups - 1, frames, codes]: logarithms of what it
    holds probable. `samples`: what its code2wav makes of the codes."""

    talker: FloatArray
    predictor: FloatArray
    samples: FloatArray


def calibration_set(model: Model, texts: Sequence[str], max_frames: int) -> list[CalibrationItem]:
    """Let a model speak each text greedily. Raises InputError where a text is not spoken at all."""
    items = []
    for text in texts:
        codes = model.speak(text, greedy=True, max_frames=max_frames).codes
        if codes.shape[1] == 0:
            raise InputError(f"the model says nothing to {shown(text, 60)}, so nothing can be measured with it")
        items.append(CalibrationItem(text, codes))
    return items


def teacher_forced(model: Model, item: CalibrationItem, *, talker: bool = True, vocoder: bool = True) -> ForcedOutputs:
    """Hold a model to a item's codes. What isn't asked for is left empty."""
    first, rest = _talker(model, item) if talker else (np.zeros((0, 1), np.float32), np.zeros((0, 0, 1), np.float32))
    samples = model.code2wav(item.codes) if vocoder else np.zeros(0, np.float32)
    return ForcedOutputs(first, rest, samples)


def _talker(model: Model, item: CalibrationItem) -> tuple[FloatArray, FloatArray]:
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    prompt = model.talker_prompt(conversation, model.tokenizer.encode(item.text))
    states = model.talker_states(prompt, item.codes)
    predictor = model.predictor_logits(states.hidden, item.codes).transpose(1, 0, 2)
    return _log_softmax(states.logits[:, _spoken(model)]), _log_softmax(predictor)


def _spoken(model: Model) -> npt.NDArray[np.bool_]:
    """Ids that the talker may say: its codes, and the end."""
    talker = model.geometry["talker"]
    ids = np.arange(talker["vocab_size"])
    tail = int(model.metadata.get(SUPPRESSED_TAIL_KEY, SUPPRESSED_TAIL))
    return np.asarray((ids < talker["vocab_size"] - tail) | (ids == talker["codec_eos_token_id"]), np.bool_)


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)
