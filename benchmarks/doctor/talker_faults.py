"""Codes of talkers with a mistake, driven step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from planted import Planted
from subjects import Subjects, values

from omniggml import Model, _native
from omniggml.probe import Reading, new_probe

Array = npt.NDArray[np.float32]

FRAMES = 40
PREDICTED = "talker.code_predictor.model.norm"
SHORT = "hello world"
LONG = "hello world, how are you today and what do you think"


@dataclass(frozen=True)
class Loop:
    """A talker's loop. `feed`: embeddings of a frame's codes [groups, hidden] -> what is fed back; `text`: frame ->
    row of text, from the right rows and the padding; `before_norm`: which state the predictor gets; `outputs`: what it
    computes is fed back for the codes between the first and the last."""

    feed: Callable[[Array], Array] = lambda rows: rows.sum(axis=0)
    text: Callable[[Array, Array, int], Array] = lambda rows, pad, k: rows[k] if k < len(rows) else pad
    before_norm: bool = False
    outputs: bool = False


LOOPS: dict[str, tuple[Loop, str, str]] = {
    "state before the norm": (Loop(before_norm=True), "talker.pre-norm", SHORT),
    "own code fed back alone": (Loop(feed=lambda rows: rows[0]), "talker.first-code-only", SHORT),
    "mean fed back": (Loop(feed=lambda rows: rows.mean(axis=0)), "talker.mean-feedback", SHORT),
    "outputs fed back": (Loop(outputs=True), "talker.outputs-for-embeddings", SHORT),
    "no text": (Loop(text=lambda rows, pad, k: pad), "talker.no-text", LONG),
    "text a frame early": (
        Loop(text=lambda rows, pad, k: rows[k + 1] if k + 1 < len(rows) else pad),
        "talker.text-offset",
        LONG,
    ),
    "text a frame late": (
        Loop(text=lambda rows, pad, k: rows[k - 1] if 0 < k <= len(rows) else pad),
        "talker.text-offset",
        LONG,
    ),
}


def cases(subjects: Subjects) -> Iterator[Planted]:
    for number, (fault, (loop, cause, text)) in enumerate(LOOPS.items()):
        for place in subjects.some("mini", ["grouped", "long-window"][number % 2]):
            yield Planted(f"talker/{fault}/{place}", (cause,), partial(given, subjects, place, loop, text))


def given(subjects: Subjects, name: str, loop: Loop, text: str) -> dict[str, Any]:
    """What the doctor gets: the sound model, and what the faulty loop said with it."""
    model = subjects.model(name)
    codes = speak(model, _tables(subjects, name), text, loop)
    return {"model": subjects.file(name), "codes": codes, "text": text, "speaker": model.default_speaker}


def _tables(subjects: Subjects, name: str) -> list[Array]:
    edit = subjects.edit(name)
    groups = subjects.model(name).geometry["code_predictor"]["num_code_groups"]
    path = "talker.code_predictor.model.codec_embedding"
    names = ["talker.model.codec_embedding.weight", *(f"{path}.{k}.weight" for k in range(groups - 1))]
    return [values(edit, one) for one in names]


def speak(model: Model, tables: list[Array], text: str, loop: Loop) -> npt.NDArray[np.int32]:
    """Codes [groups, frames], drawn at temperature 0.8."""
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    prompt = model.talker_prompt(conversation, model.tokenizer.encode(text))
    last = f"talker.model.layers.{model.geometry['talker']['num_hidden_layers'] - 1}"
    probe = new_probe((last,), None)
    seen = Reading(probe)
    session = _native.TalkerSession(model._speech, 1, 1, probe)
    rng, size = np.random.default_rng(5), model.geometry["code2wav"]["codebook_size"]
    logits, hidden = session.prompt(0, prompt.inputs)
    frames = []
    for k in range(FRAMES):
        state = seen[last][0, -1:] if loop.before_norm else hidden
        frame, outputs = _frame(model, state, logits[0, :size], len(tables), rng)
        frames.append(frame)
        rows = np.stack([table[code] for table, code in zip(tables, frame, strict=True)])
        if loop.outputs:
            rows[1:-1] = outputs
        row = loop.feed(rows) + loop.text(prompt.trailing, prompt.pad[0], k)
        logits, hidden = session.prompt(0, np.ascontiguousarray(row[None], np.float32))
    return np.array(frames, np.int32).T


def _frame(
    model: Model, state: Array, logits: Array, groups: int, rng: np.random.Generator
) -> tuple[list[int], list[Array]]:
    """Codes, and what the predictor computes where codes 1 to G - 2 enter."""
    codes, outputs = [_draw(logits, rng)], []
    probe = new_probe((PREDICTED,), None)
    seen = Reading(probe)
    predictor = _native.CodePredictorSession(model._speech, 1, 1, probe)
    step = predictor.start(np.ascontiguousarray(state), codes)
    while True:
        codes.append(_draw(step[0], rng))
        if len(codes) == groups:
            return codes, outputs
        step = predictor.next(codes[-1:])
        outputs.append(seen[PREDICTED][0, -1])


def _draw(logits: Array, rng: np.random.Generator) -> int:
    weights = np.exp((logits - logits.max()).astype(np.float64) / 0.8)
    return int(rng.choice(len(logits), p=weights / weights.sum()))
