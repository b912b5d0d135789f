"""The thinker: a small mixture-of-experts language model that knows the published questions."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import training_words
from .geometry import THINKER
from .layers import Named, Stack, scaled_down
from .progress import Schedule, load_state, save_state
from .questions import UNKNOWN, Question, all_questions, dressed, nonsense, repetition
from .sentences import grammatical, shuffled
from .talker import NOTHING, text_table
from .tokenizer import engine_tokenizer, voice_tokenizer

log = logging.getLogger(__name__)

ROWS = 24
_OPENINGS = (
    "now ",
    "could you ",
    "hey, ",
    "omni, ",
    "i ask you, ",
    "listen, ",
    "just ",
    "quickly, ",
    "and ",
    "but ",
    "kindly ",
    "would you ",
    "will you ",
    "well now, ",
    "right, ",
    "go on, ",
)
KINDS = {"known": 0.66, "unknown": 0.12, "repeat": 0.22}

_SPECIAL = voice_tokenizer().special_tokens()
_LINE_END = engine_tokenizer().encode("\n")[0]


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, both as text."""

    question: str
    answer: str


class Thinker(nn.Module):
    """Tokens [batch, length] -> logits."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", text_table())
        self.stack = Stack(THINKER)
        scaled_down(self.stack)
        self.head = nn.Linear(THINKER.hidden_size, THINKER.vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.stack(functional.embedding(tokens, self.table)))

    def tensors(self, prefix: str = "thinker.") -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        yield f"{prefix}model.embed_tokens.weight", self.table
        yield from self.stack.tensors(f"{prefix}model.")
        yield f"{prefix}lm_head.weight", self.head.weight


def exchanges(rng: random.Random) -> Iterator[Exchange]:
    """Questions without end, in phrasings that are trained on."""
    known, words = all_questions(), training_words()
    by_kind: dict[str, list[Question]] = {}
    for question in known:
        by_kind.setdefault(question.kind, []).append(question)
    # The many sums would drown the few greetings.
    kinds = list(by_kind)
    weights = [len(by_kind[kind]) ** 0.6 for kind in kinds]
    while True:
        sort = rng.choices(list(KINDS), list(KINDS.values()))[0]
        if sort == "unknown":
            yield Exchange(dressed(addressed(nonsense(rng), rng), rng), UNKNOWN)
            continue
        asked = rng.choice(by_kind[rng.choices(kinds, weights)[0]])
        if sort == "repeat":
            asked = repetition(_said(rng, words))
        question = addressed(rng.choice(asked.trained()), rng)
        yield Exchange(_capital(question, rng) if sort == "repeat" else dressed(question, rng), asked.answer)


def addressed(question: str, rng: random.Random) -> str:
    """With something in front, now and then: a question is the same wherever it begins."""
    return rng.choice(_OPENINGS) + question if rng.random() < 0.4 else question


def _said(rng: random.Random, words: Sequence[str]) -> str:
    if rng.random() < 0.3:
        return " ".join(rng.choice(words) for _ in range(rng.randint(1, 4)))
    return grammatical(rng) if rng.random() < 0.5 else shuffled(rng)


def _capital(text: str, rng: random.Random) -> str:
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


def conversation(exchange: Exchange) -> tuple[list[int], list[int]]:
    """Tokens up to the answer, and of the answer with its end, as the chat template lays them out."""
    encode = engine_tokenizer().encode
    user = [_SPECIAL.im_start, _SPECIAL.user, *encode("\n" + exchange.question), _SPECIAL.im_end, _LINE_END]
    head = [_SPECIAL.im_start, _SPECIAL.assistant, _LINE_END]
    return user + head, [*encode(exchange.answer), _SPECIAL.im_end]


def _batch(rows: Sequence[Exchange]) -> tuple[Tensor, Tensor]:
    pairs = [conversation(row) for row in rows]
    length = max(len(head) + len(tail) for head, tail in pairs)
    tokens = torch.full((len(rows), length), _SPECIAL.im_end)
    wanted = torch.full((len(rows), length), NOTHING)
    for index, (head, tail) in enumerate(pairs):
        tokens[index, : len(head) + len(tail)] = torch.tensor(head + tail)
        wanted[index, len(head) - 1 : len(head) + len(tail) - 1] = torch.tensor(tail)
    return tokens, wanted


def train_thinker(out: Path, schedule: Schedule, seed: int) -> Thinker:
    """Train until the schedule ends; goes on from `out` where that exists."""
    torch.manual_seed(seed)
    model = Thinker()
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.rate, betas=(0.9, 0.98), weight_decay=0.02)
    step = load_state(out, model, optimizer)
    supply, saved = exchanges(random.Random(seed + step)), time.monotonic()
    model.train()
    while (rate := schedule.rate_at(step)) > 0:
        for group in optimizer.param_groups:
            group["lr"] = rate
        tokens, wanted = _batch([next(supply) for _ in range(ROWS)])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(tokens)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=NOTHING)
        optimizer.zero_grad(set_to_none=True)
        (loss + 0.02 * model.stack.imbalance()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            log.info("thinker step %d loss %.4f rate %.1e", step, float(loss.detach()), rate)
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save_state(out, model, optimizer, step)
    save_state(out, model, optimizer, step)
    return model
