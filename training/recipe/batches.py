"""Utterances -> batches for the talker, in exactly the layout in which the engine will feed it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .codec import GROUPS, Codec
from .data import Utterance
from .geometry import TALKER
from .questions import all_questions, dressed
from .talker import LAGS, NOTHING, TalkerBatch
from .tokenizer import engine_tokenizer, voice_tokenizer

POSITIONS = 1500
"""Positions a batch, padding included."""
ANSWERING = 0.25
"""Share of utterances that follow a question; the others follow an empty one, as a text spoken verbatim does."""

_SPECIAL = voice_tokenizer().special_tokens()
_LINE_END = engine_tokenizer().encode("\n")[0]


@dataclass(frozen=True)
class Item:
    """What the talker learns from one utterance. `lags` and `latent`: see `TalkerBatch`, one row a frame."""

    tokens: tuple[int, ...]
    speaker: int
    codes: np.ndarray
    lags: np.ndarray
    latent: np.ndarray


@dataclass(frozen=True)
class _Row:
    text: list[int]
    special: list[int]
    lead: int
    item: Item


def make_items(utterances: Sequence[Utterance], codec: Codec) -> list[Item]:
    """Encode utterances; the latent is scaled to unit variance."""
    coordinates = [codec.coordinates(codec.encode(row)) for row in utterances[:2000]]
    scale = 1 / (np.concatenate(coordinates).std(0) + 1e-3)
    return [_item(row, codec, scale) for row in utterances]


def _item(row: Utterance, codec: Codec, scale: np.ndarray) -> Item:
    codes = codec.encode(row)
    latent = (codec.coordinates(codes) * scale).astype(np.float16)
    tokens = tuple(engine_tokenizer().encode(row.text))
    return Item(tokens, row.speaker, codes.astype(np.int16).T, _lags(row, tokens), latent)


def _lags(row: Utterance, tokens: tuple[int, ...]) -> np.ndarray:
    """Frames since the first token of the frame's word entered; NOTHING in silence."""
    starts = [0]
    for index, token in enumerate(tokens):
        if index and engine_tokenizer().tokens[token].startswith("Ġ"):
            starts.append(index)
    if row.words.max() != len(starts) - 1:
        return np.full(row.frames, NOTHING, np.int16)
    lags = np.arange(row.frames) - np.asarray(starts)[np.maximum(row.words, 0)] + LAGS // 2
    return np.where(row.words < 0, NOTHING, np.clip(lags, 0, LAGS - 1)).astype(np.int16)


def conversation_tokens(question: Sequence[int]) -> list[int]:
    """The user's segment."""
    return [_SPECIAL.im_start, _SPECIAL.user, _LINE_END, *question, _SPECIAL.im_end, _LINE_END]


def _row(item: Item, question: Sequence[int]) -> _Row:
    user = conversation_tokens(question)
    head = [_SPECIAL.im_start, _SPECIAL.assistant, _LINE_END, *[_SPECIAL.tts_pad] * 4, _SPECIAL.tts_bos]
    frames = len(item.codes)
    trailing = [*item.tokens[1:], _SPECIAL.tts_eos][:frames]
    trailing += [_SPECIAL.tts_pad] * (frames - len(trailing))
    codec = [TALKER.codec_nothink_id, TALKER.codec_think_bos_id, TALKER.codec_think_eos_id]
    codec += [TALKER.speakers[item.speaker][1], TALKER.codec_pad_id, TALKER.codec_bos_id]
    special = [-1] * (len(user) + 3) + codec + [-1] * frames
    return _Row([*user, *head, item.tokens[0], *trailing], special, len(user) + 9, item)


def _collate(rows: Sequence[_Row]) -> TalkerBatch:
    length = max(len(row.text) for row in rows)
    latents = rows[0].item.latent.shape[1]
    shape = (len(rows), length)
    batch = TalkerBatch(
        text=torch.full(shape, _SPECIAL.tts_pad),
        special=torch.full(shape, -1),
        codes=torch.zeros(*shape, GROUPS, dtype=torch.long),
        framed=torch.zeros(shape, dtype=torch.bool),
        first=torch.full(shape, NOTHING),
        others=torch.zeros(*shape, GROUPS - 1, dtype=torch.long),
        lags=torch.full(shape, NOTHING),
        latent=torch.zeros(*shape, latents),
    )
    for index, row in enumerate(rows):
        _fill(batch, index, row)
    return batch


def _fill(batch: TalkerBatch, index: int, row: _Row) -> None:
    item, frames = row.item, len(row.item.codes)
    codes = torch.from_numpy(item.codes.astype(np.int64))
    entering = slice(row.lead, row.lead + frames)
    said = slice(row.lead - 1, row.lead - 1 + frames)
    batch.text[index, : len(row.text)] = torch.tensor(row.text)
    batch.special[index, : len(row.special)] = torch.tensor(row.special)
    batch.codes[index, entering] = codes
    batch.framed[index, entering] = True
    batch.first[index, said] = codes[:, 0]
    batch.first[index, row.lead - 1 + frames] = TALKER.codec_eos_token_id
    batch.others[index, said] = codes[:, 1:]
    batch.lags[index, said] = torch.from_numpy(item.lags.astype(np.int64))
    batch.latent[index, said] = torch.from_numpy(item.latent.astype(np.float32))


def disturbed(batch: TalkerBatch, generator: torch.Generator) -> TalkerBatch:
    """Put wrong codes among those that enter, as the talker will meet its own mistakes."""
    codes = batch.codes.clone()
    flat = codes[batch.framed]
    strangers = flat[torch.randperm(len(flat), generator=generator)]
    utterance = batch.framed.nonzero()[:, 0]
    levels = torch.tensor([0.05, 0.1, 0.3, 0.6, 1.0])
    level = levels[torch.randint(len(levels), (len(batch.text),), generator=generator)][utterance]
    wrong = torch.rand(flat.shape, generator=generator) < level[:, None]
    wrong[:, 0] = torch.rand(len(flat), generator=generator) < 0.05
    codes[batch.framed] = torch.where(wrong, strangers, flat)
    return TalkerBatch(**{**vars(batch), "codes": codes})


def batches(items: Sequence[Item], seed: int) -> Iterator[TalkerBatch]:
    """Batches without end; the same seed gives the same ones."""
    rng = random.Random(seed)
    questions = [engine_tokenizer().encode(dressed(asked.plain, rng)) for asked in all_questions()]
    generator = torch.Generator().manual_seed(seed)
    while True:
        rows = [_row(item, rng.choice(questions) if rng.random() < ANSWERING else ()) for item in items]
        # Sorted by nearly their length: little padding, and still other neighbours every time.
        rows.sort(key=lambda row: len(row.text) * rng.uniform(0.95, 1.05))
        groups = list(_grouped(rows))
        rng.shuffle(groups)
        for group in groups:
            yield disturbed(_collate(group), generator)


def plain_batches(items: Sequence[Item], rows: int = 24) -> Iterator[TalkerBatch]:
    """Every item once, in order, undisturbed, after an empty question."""
    for start in range(0, len(items), rows):
        yield _collate([_row(item, ()) for item in items[start : start + rows]])


def _grouped(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    for row in rows:
        if group and (len(group) + 1) * max(len(row.text), *(len(other.text) for other in group)) > POSITIONS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
