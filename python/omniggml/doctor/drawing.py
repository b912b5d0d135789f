"""Could these codes have been drawn from these logits? What a sampler lets through, and how likely it finds it.

A sound engine never says a code that top-k and top-p leave out, however its random numbers fall; one with a mistake, or
of too few bits, does so again and again. That tells far smaller mistakes than the likelihood of codes alone, which a
sampler that keeps only the likeliest raises above what the model expects of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.thresholds import (
    BEYOND,
    DRAWN_ALIKE,
    DRAWN_EXACTLY,
    DRAWN_FEW,
    DRAWN_LUCK,
    DRAWN_OTHERWISE,
    HOT,
    NEVER_DRAWN,
    ONE_RANK,
)
from omniggml.spec.model_config import PREDICTOR_SAMPLING, TALKER_SAMPLING, ModelConfig, Sampling

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]

ASTRAY = 1e-3
"""Share of codes that are taken to come from the whole distribution: one that a sampler never draws is unlikely, not
impossible, so that one of them doesn't outweigh all others."""
LEAST = -30.0
"""Nats; one code must not outweigh all others."""
_NEARLY_NEVER, _LEAST_LUCK = 1e-30, 0.5
_MARKS = np.linspace(0, 1, 41)[1:-1]
_TEMPERATURES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
_TOP_K = (1, 50, 0)
_TOP_P = (0.9, 0.95, 1.0)
_PENALTIES = (1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0)
_NOISY, _SHARES = (1.0, 2.0, 4.0), (0.01, 0.03, 0.1, 0.2, 0.4)
"""Temperatures of what noise makes, and shares that it may have made."""
_HOT = (1.5, 2.0, 3.0, 5.0, 10.0)
"""Temperatures at which no speech is left."""


@dataclass(frozen=True)
class Drawing:
    """How codes are drawn. `top_k` 0 and `top_p` 1 mean no limit; `penalty`: on codes that were drawn before."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    penalty: float = 1.0

    @classmethod
    def of(cls, sampling: Sampling, do_sample: bool) -> Drawing:
        """As a model's settings say it."""
        if not do_sample:
            return cls(1.0, 1, 1.0, sampling.repetition_penalty)
        return cls(sampling.temperature, sampling.top_k, sampling.top_p, sampling.repetition_penalty)

    def hotter_than(self, usual: Drawing) -> bool:
        """Whether nothing but the temperature is another, at which no speech is left. What a mistake makes is more
        often as if all limits were gone."""
        return HOT.above(self.temperature) and replace(self, temperature=usual.temperature) == usual

    def words(self) -> str:
        """As people say it."""
        kept = [f"top-k {self.top_k}"] if self.top_k else []
        kept += [f"top-p {self.top_p:g}"] if self.top_p < 1 else []
        kept += [f"repetition penalty {self.penalty:g}"] if self.penalty != 1 else []
        if self.top_k == 1:
            return "the most probable code always" + "".join(f", {part}" for part in kept[1:])
        return ", ".join([f"temperature {self.temperature:g}", *kept])


@dataclass(frozen=True)
class Rows:
    """Logits of n draws, [n, vocabulary], the largest first, and the place in that order of the code that was drawn."""

    logits: FloatArray
    rank: IntArray

    @classmethod
    def of(cls, logits: FloatArray, codes: IntArray) -> Rows:
        own = np.take_along_axis(logits, codes[:, None].astype(np.int64), axis=-1)
        return cls(-np.sort(-np.asarray(logits, np.float32), axis=-1), (logits > own).sum(axis=-1))

    @property
    def only_rank(self) -> int | None:
        """The rank that nearly all codes have, None where there is none."""
        values, counts = np.unique(self.rank, return_counts=True)
        return (
            int(values[counts.argmax()]) if len(values) and ONE_RANK.above(float(counts.max() / counts.sum())) else None
        )


def penalised(logits: FloatArray, codes: IntArray, penalty: float) -> FloatArray:
    """The talker's logits [frames, vocabulary] after a repetition penalty on the codes [frames] before each."""
    if penalty == 1:
        return logits
    seen = np.zeros(logits.shape, bool)
    for frame, code in enumerate(codes[:-1]):
        seen[frame + 1 :, code] = True
    return np.where(seen, np.where(logits < 0, logits * np.float32(penalty), logits / np.float32(penalty)), logits)


class _Warmed:
    """Probabilities at one temperature, and their sums from the likeliest on."""

    def __init__(self, rows: Rows, temperature: float) -> None:
        weights = np.exp((rows.logits - rows.logits[:, :1]) / np.float32(temperature))
        self.sums = np.cumsum(weights, axis=-1, dtype=np.float64)
        self.weights, self.rank, self.n = weights, rows.rank, len(rows.rank)
        each = np.arange(self.n)
        own = np.maximum(weights[each, rows.rank], np.exp(LEAST))
        self.own, self.whole = np.log(own), np.log(own) - np.log(self.sums[:, -1])

    def kept(self, drawing: Drawing) -> IntArray:
        """How many of each row are let through."""
        vocabulary = self.sums.shape[1]
        most = min(drawing.top_k or vocabulary, vocabulary)
        if drawing.top_p >= 1:
            return np.full(self.n, most)
        reached = self.sums[:, :most] < drawing.top_p * self.sums[:, most - 1, None] - 1e-9
        return np.asarray(np.minimum(reached.sum(axis=-1) + 1, most))

    def said(self, kept: IntArray) -> tuple[FloatArray, BoolArray]:
        """Logarithmic probability of each code, some of all being drawn from all, and whether it was kept out."""
        outside = self.rank >= kept
        return _mixed(self.within(kept), self.whole, ASTRAY), outside

    def within(self, kept: IntArray) -> FloatArray:
        """Logarithmic probability of each code among what is kept; minus infinity of what isn't."""
        own = self.own - np.log(self.sums[np.arange(self.n), kept - 1])
        return np.asarray(np.where(self.rank >= kept, -np.inf, own))

    def means(self, kept: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and deviation of the logarithmic probability of what is drawn from each row."""
        within = np.arange(self.sums.shape[1]) < kept[:, None]
        chances = np.where(within, self.weights, 0) / self.sums[np.arange(self.n), kept - 1][:, None]
        log = np.log(np.maximum(chances, _NEARLY_NEVER))
        mean = (chances * log).sum(axis=-1)
        return mean, np.sqrt(np.maximum((chances * log**2).sum(axis=-1) - mean**2, 0))

    def expected(self, kept: IntArray, outside: BoolArray) -> tuple[float, float]:
        """By how many nats those that aren't kept out are less likely than expected, and the square of what luck is."""
        mean, spread = self.means(kept)
        own = self.own - np.log(self.sums[np.arange(self.n), kept - 1])
        inside = ~outside
        return float((mean - own)[inside].sum()), float(np.square(spread[inside]).sum())


def _mixed(within: FloatArray, whole: FloatArray, share: float) -> FloatArray:
    """Logarithmic probabilities of codes of which a share comes from the whole distribution."""
    return np.asarray(np.logaddexp(within + np.log1p(-share), np.log(share) + whole))


def with_noise(rows: Rows, drawing: Drawing) -> float:
    """Nats of codes that are drawn so but for a share, whichever is likeliest, that noise made: what a program says
    that computes something else in a way which is none in particular."""
    at = _Warmed(rows, drawing.temperature)
    within = at.within(at.kept(drawing))
    noise = [_Warmed(rows, temperature).whole for temperature in _NOISY]
    return max(float(_mixed(within, whole, share).sum()) for whole in noise for share in _SHARES)


@dataclass(frozen=True)
class Glance:
    """What n codes get in nats, drawn as usual or without limits, whichever is more. `possible`: whether an engine of 8
    bits or more may have drawn them as usual."""

    total: float
    n: int
    possible: bool

    def __add__(self, other: Glance) -> Glance:
        return Glance(self.total + other.total, self.n + other.n, self.possible and other.possible)

    @property
    def mean(self) -> float:
        """What a code gets."""
        return self.total / max(self.n, 1)


@dataclass(frozen=True)
class Drawn:
    """How codes fit a way of drawing them: `mean`, of the logarithmic probability a code gets, in nats; `outside`, the
    share that it never draws; `beyond`: by how many nats these are behind the least likely that it draws, on average of
    all codes; `luck`: by how many deviations the others are less likely than it expects (negative: likelier);
    `distance`: between how the codes lie among what is drawn and how they should, at the most (Kolmogorov's), over
    what luck gives."""

    drawing: Drawing
    n: int
    total: float
    outside: float
    beyond: float
    luck: float
    distance: float

    @property
    def mean(self) -> float:
        return self.total / max(self.n, 1)

    @property
    def possible(self) -> bool:
        """Whether no more codes lie outside than an engine of few bits says."""
        return not NEVER_DRAWN.above(self.outside) and not BEYOND.above(self.beyond)

    @property
    def exact(self) -> bool:
        """Whether an engine of 8 bits or more may have drawn them."""
        return not DRAWN_EXACTLY.above(self.outside) or not DRAWN_FEW.above(self.outside * self.n)

    @property
    def alike(self) -> bool:
        """Whether those that can be drawn are as likely as they should be, and no likelier."""
        return not DRAWN_LUCK.above(abs(self.luck)) and not DRAWN_ALIKE.above(self.distance)


def drawn(rows: Rows, drawing: Drawing) -> Drawn:
    """How codes fit one way of drawing them."""
    at = _Warmed(rows, drawing.temperature)
    kept = at.kept(drawing)
    said, outside = at.said(kept)
    each, inside = np.arange(at.n), ~outside
    total = at.sums[each, kept - 1]
    lack, by_luck = at.expected(kept, outside)
    below = np.where(outside, np.maximum(rows.logits[each, kept - 1] - rows.logits[each, rows.rank], 0), 0)
    above, own = at.sums[each, rows.rank] / total, at.weights[each, rows.rank] / total
    return Drawn(
        drawing,
        at.n,
        float(said.sum()),
        float(outside.mean()) if at.n else 0.0,
        float(np.minimum(below, -LEAST).mean()) if at.n else 0.0,
        _lucky(lack, by_luck),
        _distance((above - own)[inside], above[inside]),
    )


def _lucky(lack: float, by_luck: float) -> float:
    """By how many deviations codes are less likely than expected."""
    return lack / max(math.sqrt(by_luck), _LEAST_LUCK)


def _distance(low: FloatArray, high: FloatArray) -> float:
    """A code that is drawn with chance p covers that much of what is drawn: [low, high]."""
    if not len(low):
        return 0.0
    share = np.clip((_MARKS[:, None] - low) / np.maximum(high - low, 1e-9), 0, 1).mean(axis=1)
    return float(np.abs(share - _MARKS).max() * np.sqrt(len(low)))


def likeliest(rows: Rows, usual: Drawing, *, hot: bool = False) -> Drawn:
    """The way of drawing by which the codes are likeliest: the usual one, unless another that people use is so by more
    than luck. `hot`: also those that nobody would use."""
    best, most = usual, drawn(rows, usual).total
    for temperature in dict.fromkeys((usual.temperature, *_TEMPERATURES, *(_HOT if hot else ()))):
        at = _Warmed(rows, temperature)
        for drawing in _limits(temperature, usual):
            total = float(at.said(at.kept(drawing))[0].sum()) - _changes(drawing, usual)
            if total > most:
                best, most = drawing, total
    return drawn(rows, best)


def _limits(temperature: float, usual: Drawing) -> Iterator[Drawing]:
    for top_k in dict.fromkeys((usual.top_k, *_TOP_K)):
        for top_p in dict.fromkeys((usual.top_p, *_TOP_P)):
            yield replace(usual, temperature=temperature, top_k=top_k, top_p=top_p)


def _changes(drawing: Drawing, usual: Drawing) -> float:
    """Nats by which a way of drawing has to be likelier than the usual one."""
    changed = [getattr(drawing, name) != getattr(usual, name) for name in ("temperature", "top_k", "top_p", "penalty")]
    return float(DRAWN_OTHERWISE.value * sum(changed))


def likeliest_of_talker(logits: FloatArray, codes: IntArray, usual: Drawing, *, hot: bool = False) -> Drawn:
    """As `likeliest`, of the talker's logits [frames, vocabulary] and its own codes [frames], and whatever penalty was
    on codes that had come before."""
    every = []
    for penalty in dict.fromkeys((usual.penalty, *_PENALTIES)):
        rows = Rows.of(penalised(logits, codes, penalty), codes)
        every.append(likeliest(rows, replace(usual, penalty=penalty), hot=hot))
    return max(every, key=lambda one: one.total - _changes(one.drawing, usual))


@dataclass(frozen=True)
class Draws:
    """How a model's settings say that its talker and predictor draw. `size`: of the codebook; `end`: the talker's id
    that ends a speech, which alone of those for control may be drawn."""

    talker: Drawing
    predictor: Drawing
    size: int
    end: int

    @classmethod
    def of(cls, config: ModelConfig, settings: Mapping[str, Mapping[str, Any]]) -> Draws:
        """`settings`: of a file, stage -> name -> value."""
        talker = _settings(TALKER_SAMPLING, settings.get("talker", {}))
        predictor = _settings(PREDICTOR_SAMPLING, settings.get("code_predictor", {}))
        size, end = config.code2wav.codebook_size, config.talker.codec_eos_token_id
        return cls(Drawing.of(talker, talker.do_sample), Drawing.of(predictor, talker.do_sample), size, end)

    def own(self, logits: FloatArray) -> FloatArray:
        """Of the talker's logits [frames, vocabulary] those of what may be drawn."""
        ends = logits[:, self.end : self.end + 1] if self.end >= self.size else logits[:, :0]
        return np.concatenate([logits[:, : self.size], ends], axis=1)

    def every(self, logits: FloatArray, rest: FloatArray) -> list[FloatArray]:
        """Logits [frames, codebook] of each group, from the talker's [frames, vocabulary] and the predictor's [frames,
        groups - 1, codebook]."""
        return [logits[:, : self.size], *(rest[:, group] for group in range(rest.shape[1]))]

    def talker_rows(self, logits: FloatArray, codes: IntArray, frames: IntArray) -> Rows:
        """Of some frames, the talker's draws with the usual penalty on `codes` [frames]."""
        rows = penalised(self.own(logits), codes, self.talker.penalty)
        return Rows.of(rows[frames], codes[frames])

    def predictor_rows(self, rest: FloatArray, codes: IntArray) -> Rows:
        """Its draws, from logits [frames, groups - 1, codebook] and codes [groups - 1, frames]."""
        return Rows.of(rest.reshape(-1, rest.shape[-1]), codes.T.ravel())

    def glance(self, rows: Rows, usual: Drawing) -> Glance:
        """What codes get, and whether they can have been drawn as usual."""
        at = _Warmed(rows, usual.temperature)
        kept = at.kept(usual)
        said, outside = at.said(kept)
        lack, by_luck = at.expected(kept, outside)
        free = _Warmed(rows, 1.0)
        total = max(float(said.sum()), float(free.said(free.kept(Drawing()))[0].sum()))
        possible = not DRAWN_FEW.above(int(outside.sum())) and not DRAWN_LUCK.above(_lucky(lack, by_luck))
        return Glance(total, at.n, possible)

    def lacks(self, rows: Rows, usual: Drawing) -> FloatArray:
        """By how many nats each code is less likely than what is drawn as usual is on average."""
        at = _Warmed(rows, usual.temperature)
        kept = at.kept(usual)
        return np.asarray(at.means(kept)[0] - at.said(kept)[0])

    def judged(
        self, logits: FloatArray, rest: FloatArray, codes: IntArray, *, hot: bool = False
    ) -> tuple[Drawn, Drawn]:
        """How the talker's and the predictor's codes [groups, frames] fit the likeliest way of drawing them; see
        `likeliest`."""
        talker = likeliest_of_talker(self.own(logits), codes[0], self.talker, hot=hot)
        return talker, likeliest(self.predictor_rows(rest, codes[1:]), self.predictor, hot=hot)

    def usual(self, logits: FloatArray, rest: FloatArray, codes: IntArray) -> tuple[Drawn, Drawn]:
        """How they fit the usual way."""
        every = np.arange(codes.shape[1])
        talker = drawn(self.talker_rows(logits, codes[0], every), self.talker)
        return talker, drawn(self.predictor_rows(rest, codes[1:]), self.predictor)

    def nats_with_noise(self, logits: FloatArray, rest: FloatArray, codes: IntArray) -> float:
        """What codes get where noise made a share of the talker's, and of the predictor's."""
        talker = self.talker_rows(logits, codes[0], np.arange(codes.shape[1]))
        return with_noise(talker, self.talker) + with_noise(self.predictor_rows(rest, codes[1:]), self.predictor)

    def never(self, rest: FloatArray, codes: IntArray) -> BoolArray:
        """Which of the predictor's codes, [groups - 1, frames], are never drawn as usual."""
        at = _Warmed(self.predictor_rows(rest, codes[1:]), self.predictor.temperature)
        return at.said(at.kept(self.predictor))[1].reshape(codes.shape[1], -1).T

    def against_the_end(self, logits: FloatArray, codes: IntArray) -> tuple[float, int]:
        """Nats by which it is unlikely that none of these frames ended the speech, and the first at which the end was
        likelier than not."""
        if self.end < self.size:
            return 0.0, 0
        rows = self.own(logits) / np.float32(self.talker.temperature)
        rest = rows[:, :-1]
        highest = rows.max(axis=1, keepdims=True)
        going_on = np.log(np.exp(rest - highest).sum(axis=1)) - np.log(np.exp(rows - highest).sum(axis=1))
        likely = np.flatnonzero(going_on < -np.log(2))
        return float(-np.maximum(going_on, LEAST).sum()), int(likely[0]) if len(likely) else 0

    def nats_of_the_end(self, logits: FloatArray) -> float:
        """By how many nats the end isn't what comes next, by the last row of logits; 0 where nothing ends a speech."""
        if self.end < self.size:
            return 0.0
        row = self.own(logits[-1:])[0] / np.float32(self.talker.temperature)
        shifted = row - row.max()
        return float(np.log(np.exp(shifted).sum()) - shifted[-1])


def _settings(usual: Sampling, told: Mapping[str, Any]) -> Sampling:
    names = {field.name for field in fields(Sampling)}
    return replace(usual, **{name: value for name, value in told.items() if name in names})
