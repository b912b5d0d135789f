"""Train the ear: first to write what is said, a token a row, then so that the thinker answers, which stays as it is."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import answer_texts
from .ear import CHUNK, Ear
from .geometry import EAR
from .open_microphone import opened
from .progress import Schedule, load_state, load_weights, save_state
from .spoken import NOT_UNDERSTOOD, PHONES, Clip, load_shard, rows_of
from .talker import NOTHING
from .talker_training import Optimizers
from .thinker import Thinker
from .tokenizer import engine_tokenizer, voice_tokenizer

log = logging.getLogger(__name__)

SHARPNESS = 0.1
"""A row's product with the embedding of a token, times this, is the token's logit."""
AHEAD = 4
"""Batches that are put together while others are learned from."""

_SPECIAL = voice_tokenizer().special_tokens()
_ADDED = voice_tokenizer().added
_ENCODE = engine_tokenizer().encode
BEFORE = [_SPECIAL.im_start, _SPECIAL.user, *_ENCODE("\n"), _ADDED["<|audio_start|>"]]
AFTER = [
    _ADDED["<|audio_end|>"],
    *[_SPECIAL.im_end, *_ENCODE("\n"), _SPECIAL.im_start, _SPECIAL.assistant, *_ENCODE("\n")],
]
_LISTED = {*answer_texts(), NOT_UNDERSTOOD}


@dataclass(frozen=True)
class Course:
    """How a round of training goes: batches of so many `frames` of features, padding included, `parts` of them a step,
    since clips of one length, as those of a batch, are much alike. `writing`: the share of the steps in which nothing
    but the tokens is learned. `closing`: the share after which only what the list answers, and nothing, is answered;
    texts to repeat then teach it to write any word, and no more. `opened`: recordings are made anew each time that
    they are learned from, as people make them."""

    schedule: Schedule
    frames: int
    parts: int = 1
    writing: float = 0.0
    closing: float = 0.0
    opened: bool = False


@dataclass(frozen=True)
class EarBatch:
    """`features` [batch, mels, frames], and how many `frames` and `rows` of the encoder each clip has, [batch]. Of the
    rows of all clips, one after the other: `said`, which of them have a token to say, and which `tokens`; `named` and
    `phones`, the same of phones. `ids` [batch, length]: the conversation; of its positions in all clips `entering`,
    where rows enter, and which, `entered`; `asked`, where a token is learned, which it is, `wanted`, and of which clip,
    `whose`."""

    features: Tensor
    frames: Tensor
    rows: Tensor
    said: Tensor
    tokens: Tensor
    named: Tensor
    phones: Tensor
    ids: Tensor
    entering: Tensor
    entered: Tensor
    asked: Tensor
    wanted: Tensor
    whose: Tensor

    def to(self, device: torch.device) -> EarBatch:
        """The same on a device."""
        return EarBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class EarLosses:
    """Mean losses of a batch; of the tokens and the answers, the share that is right."""

    tokens: Tensor
    phones: Tensor
    distance: Tensor
    answers: Tensor
    tokens_right: Tensor
    answers_right: Tensor

    def total(self, answering: bool) -> Tensor:
        """What is trained on: writing counts half where answers do."""
        return self.answers + (0.5 if answering else 1.0) * (self.tokens + 0.5 * self.phones + 0.5 * self.distance)


class Hearing(nn.Module):
    """The ear, and a head for training only that names the phone of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = Ear()
        self.phone_head = nn.Linear(EAR.d_model, len(PHONES))

    def forward(self, batch: EarBatch, thinker: Thinker, answering: bool) -> EarLosses:
        """The losses; of the answers only where that is wanted."""
        with torch.autocast(batch.ids.device.type, torch.bfloat16):
            heard = self.ear(batch.features.float(), batch.rows)
            phones = self.phone_head(self.ear.middle).float().flatten(0, 1)[batch.named]
        heard = heard.float().flatten(0, 1)
        writing = heard[batch.said]
        logits = writing @ thinker.table.T * SHARPNESS
        nothing = torch.zeros((), device=batch.ids.device)
        answers, right = _answers(batch, heard, thinker) if answering else (nothing, nothing)
        return EarLosses(
            tokens=_mean(functional.cross_entropy(logits, batch.tokens, reduction="none")),
            phones=_mean(functional.cross_entropy(phones, batch.phones, reduction="none")),
            distance=_mean((writing - thinker.table[batch.tokens]).square().mean(-1)),
            answers=answers,
            tokens_right=_mean((logits.argmax(-1) == batch.tokens).float()),
            answers_right=right,
        )


def _mean(values: Tensor) -> Tensor:
    """Zero where there are none, as in a batch in which nobody says anything."""
    return values.sum() / max(1, values.numel())


def _answers(batch: EarBatch, heard: Tensor, thinker: Thinker) -> tuple[Tensor, Tensor]:
    """Loss of the answers' tokens, and the share of answers that are right to the last token."""
    entered = functional.embedding(batch.ids, thinker.table).flatten(0, 1)
    entered = entered.index_copy(0, batch.entering, heard[batch.entered]).view(*batch.ids.shape, -1)
    with torch.autocast(batch.ids.device.type, torch.bfloat16):
        logits = thinker.head(thinker.stack(entered).flatten(0, 1)[batch.asked]).float()
    wrong = torch.zeros(len(batch.ids), device=batch.ids.device)
    wrong = wrong.index_add(0, batch.whose, (logits.argmax(-1) != batch.wanted).float())
    loss = _mean(functional.cross_entropy(logits, batch.wanted, reduction="none"))
    return loss, (wrong == 0).float().mean()


@cache
def _answer_tokens(answer: str) -> tuple[int, ...]:
    return (*_ENCODE(answer), _SPECIAL.im_end) if answer else ()


def collate(clips: Sequence[Clip], closing: bool = False) -> EarBatch:
    """Clips of any lengths, silence's zeros where one is shorter. `closing`: of the answers only those that the thinker
    has for a question or for nothing."""
    frames = np.asarray([clip.features.shape[1] for clip in clips])
    rows = np.asarray([rows_of(count) for count in frames])
    answers = [
        () if closing and clip.said.answer not in _LISTED else _answer_tokens(clip.said.answer) for clip in clips
    ]
    heads = len(BEFORE) + rows + len(AFTER)
    length = int(max(head + len(answer) for head, answer in zip(heads, answers, strict=True)))
    high = -(-int(frames.max()) // CHUNK) * rows_of(CHUNK)  # rows of a clip after the encoder
    features = np.zeros((len(clips), int(frames.max()), EAR.num_mel_bins), np.float16)
    tokens, phones = np.full((len(clips), high), NOTHING), np.full((len(clips), high), NOTHING)
    ids, wanted = np.full((len(clips), length), _SPECIAL.im_end), np.full((len(clips), length), NOTHING)
    enters = np.zeros((len(clips), length), bool)
    for index, (clip, answer) in enumerate(zip(clips, answers, strict=True)):
        features[index, : frames[index]] = clip.features.T
        if clip.said.text:  # what is heard in silence is the thinker's affair
            tokens[index, : rows[index]] = clip.tokens
        phones[index, : rows[index]] = clip.phones
        head, end = heads[index], heads[index] + len(answer)
        enters[index, len(BEFORE) : head - len(AFTER)] = True
        ids[index, : len(BEFORE)], ids[index, head - len(AFTER) : head] = BEFORE, AFTER
        ids[index, head:end] = answer  # the last token of which is only wanted
        wanted[index, head - 1 : end - 1] = answer
    said, named, asked = (np.flatnonzero(array != NOTHING) for array in (tokens, phones, wanted))
    values: dict[str, np.ndarray] = {
        "frames": frames,
        "rows": rows,
        "said": said,
        "tokens": tokens.ravel()[said],
        "named": named,
        "phones": phones.ravel()[named],
        "ids": ids,
        "entering": np.flatnonzero(enters),
        "entered": np.flatnonzero(np.arange(high) < rows[:, np.newaxis]),
        "asked": asked,
        "wanted": wanted.ravel()[asked],
        "whose": asked // length,
    }
    tensors = {name: torch.from_numpy(array.astype(np.int64)) for name, array in values.items()}
    return EarBatch(features=torch.from_numpy(features).transpose(1, 2), **tensors)


def disturbed(batch: EarBatch, rng: torch.Generator) -> EarBatch:
    """The clips as others would say them somewhere else: narrower or wider along the mels, with other levels, often
    with noise, and with bands and moments missing; a few as they are. `rng`: on the batch's device."""
    x = batch.features.transpose(1, 2).float()
    clips, frames, mels = x.shape

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(clips, *shape, 1, 1, generator=rng, device=x.device)[..., 0, 0]

    def often(share: float) -> Tensor:
        return (drawn(0, 1) < share)[:, None, None]

    mel, moment = torch.arange(mels, device=x.device), torch.arange(frames, device=x.device)
    there = (moment < batch.frames[:, None])[:, :, None]
    x = _warped(x, 1 + drawn(-0.06, 0.06) * often(0.5)[:, 0, 0])
    phase = torch.pi * mel / mels
    waves = [(drawn(-0.06, 0.06)[:, None] * torch.cos(phase * k + drawn(0, 3)[:, None]))[:, None] for k in (1, 2, 3, 5)]
    x = x + torch.stack(waves).sum(0) * often(0.6)
    loudest = torch.where(there, x, -9.0).amax((1, 2), keepdim=True)
    tilt = torch.randn(clips, 1, 1, generator=rng, device=x.device) * torch.linspace(-0.2, 0.2, mels, device=x.device)
    grain = 0.05 * torch.randn(x.shape, generator=rng, device=x.device)
    level = loudest - drawn(0.55, 1.5)[:, None, None] + tilt + grain
    # Features are log10 / 4 of power, plus one.
    x = torch.where(often(0.5), torch.logaddexp(x * _NEPERS, level * _NEPERS) / _NEPERS, x)
    x = torch.maximum(x, torch.where(there, x, -9.0).amax((1, 2), keepdim=True) - 2)
    quiet = torch.where(there, x, 9.0).amin((1, 2), keepdim=True)
    missing = torch.zeros_like(there)
    for _ in range(3):
        low, width = drawn(0, mels)[:, None, None], (drawn(1, 20) * (drawn(0, 1) < 0.5))[:, None, None]
        missing = missing | ((mel >= low) & (mel < low + width))
        begin, span = (drawn(0, 1) * batch.frames)[:, None, None], (drawn(1, 12) * (drawn(0, 1) < 0.5))[:, None, None]
        missing = missing | ((moment[:, None] >= begin) & (moment[:, None] < begin + span))
    x = torch.where(missing, quiet, x) + drawn(-0.3, 0.3)[:, None, None]
    x = torch.where(often(0.1), batch.features.transpose(1, 2).float(), x)
    return replace(batch, features=torch.where(there, x, 0.0).transpose(1, 2))


_NEPERS = float(4 * np.log(10))


def _warped(x: Tensor, widths: Tensor) -> Tensor:
    """Mels, x's last axis, at places so many times as high."""
    mels = x.shape[-1]
    places = (torch.arange(mels, device=x.device) * widths[:, None]).clamp(max=mels - 1)[:, None]
    low = places.floor().clamp(max=mels - 2)
    at = low.long().expand(x.shape)
    return torch.lerp(x.gather(2, at), x.gather(2, at + 1), places - low)


class Recordings:
    """Batches without end. Shards that are made meanwhile join in when all clips have been drawn once."""

    def __init__(self, directory: Path, course: Course, seed: int, device: torch.device) -> None:
        self.directory, self.course, self.device = directory, course, device
        self.closing = False
        """Of the answers only those that the thinker has for a question or for nothing."""
        self._random, self._draws = random.Random(seed), np.random.default_rng(seed)
        self._shards: dict[Path, list[Clip]] = {}

    def __iter__(self) -> Iterator[EarBatch]:
        """In a thread of its own, some ahead."""
        made: Queue[EarBatch | Exception] = Queue(AHEAD)
        Thread(target=self._make, args=(made,), daemon=True).start()
        while True:
            batch = made.get()
            if isinstance(batch, Exception):
                raise batch
            yield batch

    def _make(self, made: Queue[EarBatch | Exception]) -> None:
        try:
            for batch in self._batches():
                made.put(batch.to(self.device))
        except Exception as error:
            made.put(error)

    def _batches(self) -> Iterator[EarBatch]:
        rng = self._random
        while True:
            for path in sorted(self.directory.glob("*.npz")):
                if path not in self._shards:
                    self._shards[path] = list(load_shard(path))
            clips = [clip for shard in self._shards.values() for clip in shard]
            if not clips:
                raise ValueError(f"{self.directory} holds no recordings to learn from: run the stage recordings")
            for portion in opened(clips, self._draws) if self.course.opened else [clips]:
                portion.sort(key=lambda clip: clip.features.shape[1] * rng.uniform(0.95, 1.05))
                groups = list(_grouped(portion, self.course.frames))
                rng.shuffle(groups)
                for group in groups:
                    rng.shuffle(group)
                    yield collate(group, self.closing)


def _grouped(clips: Sequence[Clip], frames: int) -> Iterator[list[Clip]]:
    """Of so many frames, a chunk at least a clip."""
    group, longest = list[Clip](), CHUNK
    for clip in clips:
        longest = max(longest, clip.features.shape[1])
        if group and (len(group) + 1) * longest > frames:
            yield group
            group, longest = [], max(CHUNK, clip.features.shape[1])
        group.append(clip)
    if group:
        yield group


def train_ear(
    thinker: Thinker,
    directory: Path,
    dev: Sequence[Clip],
    out: Path,
    course: Course,
    seed: int,
    device: torch.device | None = None,
    before: Path | None = None,
) -> Hearing:
    """Train until the schedule ends; goes on from `out` where that exists, else from what a round `before` has made.
    `thinker` stays as it is; `dev` is listened to now and then, for the log."""
    device = device or torch.device("cpu")
    torch.manual_seed(seed)
    model, thinker = Hearing().to(device), thinker.to(device)
    if before is not None:
        load_weights(before, model)
    optimizer = Optimizers(model, "layers.")
    step, steps = load_state(out, model, optimizer), course.schedule.steps
    recordings = Recordings(directory, course, seed + step, device)
    draws, saved = torch.Generator(device).manual_seed(seed + step), time.monotonic()
    model.train()
    supply = iter(recordings)
    while (rate := course.schedule.rate_at(step)) > 0:
        optimizer.scale(rate)
        recordings.closing = step >= course.closing * steps
        answering = step >= course.writing * steps
        optimizer.zero_grad()
        parts = [next(supply) for _ in range(course.parts)]
        for batch in parts:
            losses = model(disturbed(batch, draws), thinker, answering)
            share = len(batch.rows) / sum(len(part.rows) for part in parts)
            (share * losses.total(answering)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            _report("ear", step, losses, rate)
        if dev and step % 500 == 0:
            _report("ear dev", step, heard_by(model, thinker, dev), rate)
            model.train()
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save_state(out, model, optimizer, step)
    save_state(out, model, optimizer, step)
    return model.cpu()


@torch.no_grad()
def heard_by(model: Hearing, thinker: Thinker, clips: Sequence[Clip]) -> EarLosses:
    """Losses on clips as they are."""
    model.eval()
    device = thinker.table.device
    groups = [clips[begin : begin + 24] for begin in range(0, len(clips), 24)]
    losses = [model(collate(group).to(device), thinker, answering=True) for group in groups]
    weights = torch.tensor([len(group) / len(clips) for group in groups], device=device)
    names = vars(losses[0])
    return EarLosses(**{name: (torch.stack([vars(one)[name] for one in losses]) * weights).sum() for name in names})


def _report(what: str, step: int, losses: EarLosses, rate: float) -> None:
    values = " ".join(f"{name} {float(value.detach()):.3f}" for name, value in vars(losses).items())
    log.info("%s step %d %s rate %.2f", what, step, values, rate)
