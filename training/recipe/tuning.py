"""Fine-tune Code2Wav on the codes that the talker predicts, which is what it will hear.

The talker's first codes are nearly always right; the others are its best guess. Code2Wav sees sixteen frames, so it can
learn what such a guess sounds like among these phones.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batches import Item, make_items, plain_batches
from .codec import CODES, GROUPS, Codec
from .data import Utterance
from .progress import Schedule
from .talker import Talker, TalkerBatch
from .vocoder import Pieces, run_vocoder

log = logging.getLogger(__name__)

ROUNDS = 2
"""In the second round the guesses of the first are what enters."""
TRUE_SHARE = 0.25


def tune_code2wav(
    model: Any, talker: Talker, utterances: Sequence[Utterance], codec: Codec, out: Path, schedule: Schedule, seed: int
) -> None:
    """Train `model` on until the schedule ends, on predicted codes and, for a share, on true ones."""
    items = make_items(utterances, codec)
    guessed = predicted_codes(talker.eval(), items)
    audio = [row.audio for row in utterances if row.audio is not None]
    true = int(len(items) * TRUE_SHARE)
    codes = [*guessed, *(item.codes.T.astype(np.int64) for item in items[:true])]
    right = np.mean([(one == item.codes.T)[1:].mean() for one, item in zip(guessed, items, strict=True)])
    log.info("tuning on %d utterances, %.3f of whose codes after the first are guessed right", len(items), right)
    run_vocoder(model, Pieces(codes, [*audio, *audio[:true]], seed), out, schedule)


@torch.no_grad()
def predicted_codes(talker: Talker, items: Sequence[Item]) -> list[np.ndarray]:
    """The true first codes with the likeliest others, [GROUPS, frames] for every item."""
    found: list[np.ndarray] = []
    for batch in plain_batches(items):
        codes = batch.codes
        for _ in range(ROUNDS):
            codes = _guessed(talker, TalkerBatch(**{**vars(batch), "codes": codes}))
        for row, framed in zip(codes, batch.framed, strict=True):
            found.append(row[framed].numpy().T.copy())
    return found


def _guessed(talker: Talker, batch: TalkerBatch) -> Tensor:
    spoken = (batch.first >= 0) & (batch.first < CODES)
    state, first = talker.stack(talker.inputs(batch))[spoken], batch.first[spoken]
    others = torch.zeros(len(first), GROUPS - 1, dtype=torch.long)
    for group in range(GROUPS - 1):
        logits = talker.predictor(state, talker.codec_embedding[first], others)
        others[:, group] = logits[:, group].argmax(-1)
    # What is said after a position enters at the next.
    codes = batch.codes.clone()
    codes[batch.framed] = torch.cat([first[:, None], others], dim=1)
    return codes
