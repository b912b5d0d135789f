"""The talker and its code predictor, as they are trained: text and earlier codes in, the codes of the frame out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .codec import CODES, GROUPS
from .geometry import PREDICTOR, TALKER, THINKER
from .layers import Named, Stack, scaled_down

NOTHING = -100
LAGS = 48


@dataclass(frozen=True)
class TalkerBatch:
    """Padded sequences [batch, length]. `text`: the text token that enters; `special`: the codec token that does, or
    -1; `codes` [batch, length, GROUPS]: the codes that enter where `framed`. What is to be said after each position:
    `first` (code 0, codec eos, or NOTHING), `others` [batch, length, GROUPS - 1], `lags` (frames since the first token
    of the word came, or NOTHING), `latent` [batch, length, n]."""

    text: Tensor
    special: Tensor
    codes: Tensor
    framed: Tensor
    first: Tensor
    others: Tensor
    lags: Tensor
    latent: Tensor


@dataclass(frozen=True)
class Losses:
    """Mean losses of a batch, and how often the first code was right."""

    first: Tensor
    others: Tensor
    latent: Tensor
    lag: Tensor
    imbalance: Tensor
    right: Tensor

    def total(self) -> Tensor:
        """What is minimised."""
        return 1.5 * self.first + 2 * self.others + self.latent + 0.3 * self.lag + 0.02 * self.imbalance


def text_table() -> Tensor:
    """Embedding of every text token, [vocabulary, hidden]: random and never trained, so that thinker and talker, which
    share it, can be trained apart. The projection after it can send every token wherever it likes."""
    return torch.randn(THINKER.vocab_size, THINKER.hidden_size, generator=torch.Generator().manual_seed(0))


class Predictor(nn.Module):
    """Codes 1 and up of one frame, from the talker's state and the code before."""

    def __init__(self) -> None:
        super().__init__()
        steps, hidden = GROUPS - 1, PREDICTOR.hidden_size
        self.embeddings = nn.Parameter(torch.randn(steps, CODES, hidden) * 0.3)
        self.heads = nn.Parameter(torch.randn(steps, CODES, hidden) * hidden**-0.5)
        self.stack = Stack(PREDICTOR)
        scaled_down(self.stack)

    def embedded(self, others: Tensor) -> Tensor:
        """Codes [..., GROUPS - 1] -> their embeddings [..., GROUPS - 1, hidden]."""
        rows = others + torch.arange(GROUPS - 1) * CODES
        return functional.embedding(rows, self.embeddings.flatten(0, 1))

    def forward(self, state: Tensor, first: Tensor, others: Tensor) -> Tensor:
        """state [n, hidden], embedded code 0 [n, hidden], codes [n, GROUPS - 1] -> logits [n, GROUPS - 1, CODES]."""
        rest = self.embedded(others)[:, :-1]
        hidden = self.stack(torch.cat([state[:, None], first[:, None], rest], dim=1))[:, 1:]
        return torch.einsum("nsh,sch->nsc", hidden, self.heads)

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        for step in range(GROUPS - 1):
            yield f"{prefix}model.codec_embedding.{step}.weight", self.embeddings[step]
            yield f"{prefix}lm_head.{step}.weight", self.heads[step]
        yield from self.stack.tensors(f"{prefix}model.")


class Talker(nn.Module):
    """Text projection, talker and predictor, with two heads for training only: how long ago the word's first token
    came, and what the frame sounds like."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        hidden, width = TALKER.hidden_size, TALKER.intermediate_size
        self.register_buffer("table", text_table())
        self.fc1 = nn.Linear(THINKER.hidden_size, width)
        self.fc2 = nn.Linear(width, hidden)
        self.codec_embedding = nn.Parameter(torch.randn(TALKER.vocab_size, hidden) * 0.3)
        self.stack = Stack(TALKER)
        scaled_down(self.stack)
        self.codec_head = nn.Linear(hidden, TALKER.vocab_size, bias=False)
        self.predictor = Predictor()
        self.lag_head = nn.Linear(hidden, LAGS)
        self.latent_head = nn.Linear(hidden, latents)

    def inputs(self, batch: TalkerBatch) -> Tensor:
        """What enters at every position, [batch, length, hidden]."""
        texts = self.fc2(functional.silu(self.fc1(self.table)))
        entered = functional.embedding(batch.text, texts.float())
        table = torch.cat([self.codec_embedding, self.codec_embedding.new_zeros(1, TALKER.hidden_size)])
        entered = entered + functional.embedding(batch.special % len(table), table)
        others = self.predictor.embeddings
        shifted = batch.codes + torch.arange(GROUPS) * CODES
        both = torch.cat([self.codec_embedding[:CODES], others.flatten(0, 1)])
        flat = shifted[batch.framed]
        summed = functional.embedding_bag(flat, both, mode="sum")
        return entered.index_put((batch.framed.nonzero(as_tuple=True)), summed, accumulate=True)

    def forward(self, batch: TalkerBatch, share: float) -> Losses:
        """The losses of a batch; the predictor is trained on a random `share` of the frames."""
        state = self.stack(self.inputs(batch))
        spoken = batch.first != NOTHING
        hidden, first = state[spoken], batch.first[spoken]
        logits = self.codec_head(hidden)[:, : CODES + 8].float()
        framed = first < CODES
        lags = functional.cross_entropy(
            self.lag_head(self.stack.middle[spoken]).float(), batch.lags[spoken], ignore_index=NOTHING
        )
        latent = functional.mse_loss(self.latent_head(hidden).float()[framed], batch.latent[spoken][framed])
        return Losses(
            first=functional.cross_entropy(logits, first),
            others=self._others(hidden[framed], first[framed], batch.others[spoken][framed], share),
            latent=latent,
            lag=lags,
            imbalance=self.stack.imbalance(),
            right=(logits.argmax(-1) == first).float().mean(),
        )

    def _others(self, hidden: Tensor, first: Tensor, others: Tensor, share: float) -> Tensor:
        chosen = torch.rand(len(first)) < share
        entered = self.codec_embedding[first[chosen]]
        logits = self.predictor(hidden[chosen], entered, others[chosen])
        return functional.cross_entropy(logits.float().flatten(0, 1), others[chosen].flatten())

    def tensors(self, prefix: str = "talker.") -> Iterator[Named]:
        """Its tensors under their names in a checkpoint. No position ever enters through `hidden_projection`."""
        for name, layer in (("linear_fc1", self.fc1), ("linear_fc2", self.fc2)):
            for projection in ("text_projection", "hidden_projection"):
                yield f"{prefix}{projection}.{name}.weight", layer.weight
                yield f"{prefix}{projection}.{name}.bias", layer.bias
        yield f"{prefix}model.codec_embedding.weight", self.codec_embedding
        yield from self.stack.tensors(f"{prefix}model.")
        yield f"{prefix}codec_head.weight", self.codec_head.weight
        yield from self.predictor.tensors(f"{prefix}code_predictor.")
