"""Train the ear: first to write what is said, a token a row, then so that the thinker answers, which stays as it is."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import answer_texts
from .ear import Ear
from .geometry import EAR
from .progress import Schedule, load_state, save_state
from .spoken import NOT_UNDERSTOOD, PHONES, Clip, load_shard, rows_of
from .talker import NOTHING
from .talker_training import Optimizers
from .thinker import Thinker
from .tokenizer import engine_tokenizer, voice_tokenizer

log = logging.getLogger(__name__)

FRAMES = 12_000
"""Frames of features a batch, padding included."""
SHARPNESS = 0.1
"""A row's product with the embedding of a token, times this, is the token's logit."""
WRITING_SHARE = 0.25
"""Share of the steps in which nothing but the tokens is learned."""
CLOSING_SHARE = 0.7
"""Share of the steps after which it hears only what the list answers, and nothing: texts to repeat have then taught it
to write any word."""

_SPECIAL = voice_tokenizer().special_tokens()
_ADDED = voice_tokenizer().added
_ENCODE = engine_tokenizer().encode
BEFORE = [_SPECIAL.im_start, _SPECIAL.user, *_ENCODE("\n"), _ADDED["<|audio_start|>"]]
AFTER = [
    _ADDED["<|audio_end|>"],
    *[_SPECIAL.im_end, *_ENCODE("\n"), _SPECIAL.im_start, _SPECIAL.assistant, *_ENCODE("\n")],
]


@dataclass(frozen=True)
class EarBatch:
    """`features` [batch, mels, frames], `rows` [batch]: how many the encoder makes of each. `tokens` and `phones`
    [batch, rows]: what each is to say, NOTHING where none is. `ids` [batch, length]: the conversation, -1 where a row
    enters; `wanted` [batch, length]: the token after each position, NOTHING where none is learned."""

    features: Tensor
    rows: Tensor
    tokens: Tensor
    phones: Tensor
    ids: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class EarLosses:
    """Mean losses of a batch; of the tokens and the answers, the share that is right."""

    tokens: Tensor
    phones: Tensor
    distance: Tensor
    answers: Tensor
    tokens_right: Tensor
    answers_right: Tensor


class Hearing(nn.Module):
    """The ear, and a head for training only that names the phone of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = Ear()
        self.phone_head = nn.Linear(EAR.d_model, len(PHONES))

    def forward(self, batch: EarBatch, thinker: Thinker, answering: bool) -> EarLosses:
        """The losses; of the answers only where that is wanted."""
        with torch.autocast("cpu", torch.bfloat16):
            heard = self.ear(batch.features, batch.rows)
            phones = self.phone_head(self.ear.middle)
        heard = heard.float()[:, : batch.tokens.shape[1]]
        phones = phones.float()[:, : batch.tokens.shape[1]]
        said = batch.tokens != NOTHING
        logits = heard @ thinker.table.T * SHARPNESS
        nothing = torch.zeros(())
        answers, right = _answers(batch, heard, thinker) if answering else (nothing, nothing)
        named = batch.phones != NOTHING
        far = (heard[said] - thinker.table[batch.tokens[said]]).square().mean(-1)
        return EarLosses(
            tokens=_mean(functional.cross_entropy(logits[said], batch.tokens[said], reduction="none")),
            phones=_mean(functional.cross_entropy(phones[named], batch.phones[named], reduction="none")),
            distance=_mean(far),
            answers=answers,
            tokens_right=_mean((logits[said].argmax(-1) == batch.tokens[said]).float()),
            answers_right=right,
        )


def _mean(values: Tensor) -> Tensor:
    """Zero where there are none, as in a batch in which nobody says anything."""
    return values.sum() / max(1, values.numel())


def _answers(batch: EarBatch, heard: Tensor, thinker: Thinker) -> tuple[Tensor, Tensor]:
    """Loss of the answers' tokens, and the share of answers that are right to the last token."""
    there = torch.arange(heard.shape[1]) < batch.rows[:, None]
    entered = functional.embedding(batch.ids.clamp(min=0), thinker.table)
    entered = entered.index_put((batch.ids < 0).nonzero(as_tuple=True), heard[there])
    with torch.autocast("cpu", torch.bfloat16):
        state = thinker.stack(entered)
        asked = batch.wanted != NOTHING
        logits = thinker.head(state[asked]).float()
    correct = torch.zeros_like(batch.wanted, dtype=torch.bool)
    correct[asked] = logits.argmax(-1) == batch.wanted[asked]
    return functional.cross_entropy(logits, batch.wanted[asked]), (correct | ~asked).all(1).float().mean()


def collate(clips: Sequence[Clip]) -> EarBatch:
    """Clips of any lengths, silence's zeros where one is shorter."""
    frames = [clip.features.shape[1] for clip in clips]
    rows = [rows_of(count) for count in frames]
    answers = [[*_ENCODE(clip.said.answer), _SPECIAL.im_end] if clip.said.answer else [] for clip in clips]
    talks = [
        [*BEFORE, *[-1] * count, *AFTER, *answer] for count, answer in zip(rows, answers, strict=True)
    ]  # the answer's last token is only wanted
    length = max(map(len, talks))
    batch = EarBatch(
        features=torch.zeros(len(clips), EAR.num_mel_bins, max(frames)),
        rows=torch.tensor(rows),
        tokens=torch.full((len(clips), max(rows)), NOTHING),
        phones=torch.full((len(clips), max(rows)), NOTHING),
        ids=torch.full((len(clips), length), _SPECIAL.im_end),
        wanted=torch.full((len(clips), length), NOTHING),
    )
    for index, (clip, talk, answer) in enumerate(zip(clips, talks, answers, strict=True)):
        batch.features[index, :, : frames[index]] = torch.from_numpy(clip.features.astype(np.float32))
        if clip.said.text:  # what is heard in silence is the thinker's affair
            batch.tokens[index, : rows[index]] = torch.from_numpy(clip.tokens.astype(np.int64))
        batch.phones[index, : rows[index]] = torch.from_numpy(clip.phones.astype(np.int64))
        batch.ids[index, : len(talk)] = torch.tensor(talk)
        if answer:
            batch.wanted[index, len(talk) - len(answer) - 1 : len(talk) - 1] = torch.tensor(answer)
    return batch


def disturbed(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip with another level, often with noise, and with bands and moments missing."""
    x = clip.features.astype(np.float32)
    mels, frames = x.shape
    loudest = float(x.max())
    if rng.random() < 0.5:
        level = 4 * loudest - 4 - rng.uniform(2.8, 6.0)
        shape = level + rng.normal() * np.linspace(-0.8, 0.8, mels)[:, None] + 0.2 * rng.standard_normal(x.shape)
        x = np.log10(10 ** (4 * x - 4) + 10**shape).astype(np.float32) / 4 + 1
    x = np.maximum(x, x.max() - 2)
    quiet = x.min()
    for _ in range(int(rng.integers(3))):
        low = int(rng.integers(mels))
        x[low : low + int(rng.integers(1, 14))] = quiet
    for _ in range(int(rng.integers(3))):
        begin = int(rng.integers(frames))
        x[:, begin : begin + int(rng.integers(1, 9))] = quiet
    return Clip(clip.said, x + np.float32(rng.uniform(-0.3, 0.3)), clip.tokens, clip.phones)


def ear_batches(directory: Path, seed: int, closing: bool) -> Iterator[EarBatch]:
    """Batches without end. Shards that are made meanwhile join in when all clips have been drawn once. `closing`: only
    of clips whose answer is one that the thinker has for a question or for nothing."""
    listed = {*answer_texts(), NOT_UNDERSTOOD}
    rng, draws = random.Random(seed), np.random.default_rng(seed)
    shards: dict[Path, list[Clip]] = {}
    while True:
        for path in sorted(directory.glob("*.npz")):
            if path not in shards:
                shards[path] = [clip for clip in load_shard(path) if not closing or clip.said.answer in listed]
        clips = [clip for shard in shards.values() for clip in shard]
        if not clips:
            raise ValueError(f"{directory} holds no recordings to learn from: run the stage recordings")
        clips.sort(key=lambda clip: clip.features.shape[1] * rng.uniform(0.95, 1.05))
        groups = list(_grouped(clips))
        rng.shuffle(groups)
        for group in groups:
            rng.shuffle(group)
            yield collate([disturbed(clip, draws) for clip in group])


def _grouped(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    group: list[Clip] = []
    for clip in clips:
        longest = max(clip.features.shape[1], *(other.features.shape[1] for other in group), 0)
        if group and (len(group) + 1) * longest > FRAMES:
            yield group
            group = []
        group.append(clip)
    if group:
        yield group


def train_ear(
    thinker: Thinker, directory: Path, dev: Sequence[Clip], out: Path, schedule: Schedule, seed: int
) -> Hearing:
    """Train until the schedule ends; goes on from `out` where that exists. `thinker` stays as it is; `dev` is listened
    to now and then, for the log."""
    torch.manual_seed(seed)
    model = Hearing()
    optimizer = Optimizers(model, "layers.")
    step = load_state(out, model, optimizer)
    supply, closing, saved = ear_batches(directory, seed + step, closing=False), False, time.monotonic()
    while (rate := schedule.rate_at(step)) > 0:
        optimizer.scale(rate)
        model.train()
        if not closing and step >= CLOSING_SHARE * schedule.steps:
            supply, closing = ear_batches(directory, seed + step, closing=True), True
        answering = step >= WRITING_SHARE * schedule.steps
        losses = model(next(supply), thinker, answering)
        writing = 0.5 if answering else 1.0
        optimizer.zero_grad()
        (losses.answers + writing * (losses.tokens + 0.5 * losses.phones + 0.5 * losses.distance)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            _report("ear", step, losses, rate)
        if dev and (step % 250 == 0):
            _report("ear dev", step, heard_by(model, thinker, dev), rate)
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save_state(out, model, optimizer, step)
    save_state(out, model, optimizer, step)
    return model


@torch.no_grad()
def heard_by(model: Hearing, thinker: Thinker, clips: Sequence[Clip]) -> EarLosses:
    """Losses on clips as they are."""
    model.eval()
    groups = [clips[begin : begin + 24] for begin in range(0, len(clips), 24)]
    losses = [model(collate(group), thinker, answering=True) for group in groups]
    weights = torch.tensor([len(group) / len(clips) for group in groups])
    names = vars(losses[0])
    return EarLosses(**{name: (torch.stack([vars(one)[name] for one in losses]) * weights).sum() for name in names})


def _report(what: str, step: int, losses: EarLosses, rate: float) -> None:
    values = " ".join(f"{name} {float(value.detach()):.3f}" for name, value in vars(losses).items())
    log.info("%s step %d %s rate %.2f", what, step, values, rate)
