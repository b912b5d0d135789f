"""Tune Code2Wav once more, on what the finished voice says.

The engine speaks the texts with the exported files, every code drawn after the model's own. Where it took the
teacher's path, which is to say the same first codes, the teacher's samples are what should be heard. What the voice is
asked to say most, it is polished on most.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import omniggml

from .codec import Codec
from .data import Utterance, answer_texts, listed
from .progress import Schedule
from .teacher import SPEAKERS
from .vocoder import Pieces, run_vocoder

log = logging.getLogger(__name__)

TRUE_SHARE = 0.25
DEMO_WEIGHT, ANSWER_WEIGHT = 6.0, 1.5
"""How much likelier a frame of these texts is drawn than one of others."""


def polish_code2wav(
    model: Any,
    speech: Path,
    utterances: Sequence[Utterance],
    codec: Codec,
    out: Path,
    schedule: Schedule,
    seed: int,
    threads: int,
) -> None:
    """Train `model` on until the schedule ends, on codes that the voice in `speech` chose and, for a share, on true
    ones."""
    true = [codec.encode(row) for row in utterances]
    said = codes_of_the_voice(speech, utterances, seed, threads)
    kept = [index for index, codes in enumerate(said) if np.array_equal(codes[0], true[index][0])]
    log.info("polishing on %d utterances; the voice took the teacher's path in %d", len(utterances), len(kept))
    also_true = range(int(len(utterances) * TRUE_SHARE))
    codes = [*(said[index] for index in kept), *(true[index] for index in also_true)]
    rows = [utterances[index] for index in (*kept, *also_true)]
    audio = [row.audio for row in rows if row.audio is not None]
    run_vocoder(model, Pieces(codes, audio, seed, _weights(rows)), out, schedule)


def codes_of_the_voice(
    speech: Path, utterances: Sequence[Utterance], seed: int, threads: int
) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """What the voice says to every text by itself, [GROUPS, frames]."""
    model = omniggml.load(speech, n_threads=1)

    def spoken(row: Utterance) -> Any:
        # No longer than twice the teacher: what babbles on has left his path.
        return model.speak(row.text, speaker=SPEAKERS[row.speaker].name, seed=seed, max_frames=2 * row.frames).codes

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(spoken, utterances))


def _weights(rows: Sequence[Utterance]) -> list[float]:
    weights = dict.fromkeys(answer_texts(), ANSWER_WEIGHT) | dict.fromkeys(listed("demo_sentences"), DEMO_WEIGHT)
    return [weights.get(row.text.rstrip(".?!"), 1.0) for row in rows]
