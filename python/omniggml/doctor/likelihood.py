"""How likely a model finds codes that somebody made: talker and predictor, teacher-forced.

Codes that a model spoke are likely under it, whatever its weights; the same codes with groups swapped, dropped or
shifted are not. That makes the model itself the judge of what was done to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor.counterfactuals import with_extra
from omniggml.doctor.thresholds import (
    EXPLAINED,
    LATE_SHARE,
    MISFIT,
    MISFIT_FRAME,
    NOT_EXPLAINED,
    RANK,
    SURE_OF_OTHERS,
    UNLUCKY,
    UNLUCKY_NATS,
)
from omniggml.errors import OmniError
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_SOME_TEXT = "hello"
_PREDICTED = "talker.code_predictor.model.norm"
_MOST_ROUNDS, _SETTLED = 12, 1e-3
_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)
_NO_LUCK = 1e-3  # nats: of a model that is sure of each code
_LEAST = -60.0  # nats; a code that a model rules out must not outweigh all others


@dataclass(frozen=True)
class Likelihood:
    """Natural logarithms of the codes' probabilities, [groups, frames], at the temperature at which they are likeliest:
    a model that is sure of itself, given another text than was spoken, is sure of the wrong codes, and yet finds the
    right ones likelier than any others.

    `sure`: their mean at temperature 1. `ranks`: the share of the codebook that is likelier than the code, [groups,
    frames]: a half on average where the model knows nothing; None where they weren't counted. `chance`: what a code
    gets from such a model. `of_talker`: whether the right text tells the talker's own codes, group 0; without it the
    predictor's alone count. `deficit` and `spread`, [groups, frames]: by how many nats each code is less likely, at
    temperature 1, than the model itself expects of what it says there, and how much that varies by right; None where
    they weren't counted.
    """

    values: FloatArray
    chance: float
    sure: float = 0.0
    ranks: FloatArray | None = None
    of_talker: bool = True
    deficit: FloatArray | None = None
    spread: FloatArray | None = None

    @property
    def mean(self) -> float:
        """A code's, on average."""
        return _mean(self.values, self.of_talker) if self.values.size else self.chance

    @property
    def by_frame(self) -> FloatArray:
        """What the codes of each frame get, on average, [frames]."""
        return np.asarray(np.maximum(_counted(self.values, self.of_talker), _LEAST).mean(axis=0))

    @property
    def explained(self) -> bool:
        """Whether the model expects these codes more than chance does, by a margin that luck doesn't give."""
        return EXPLAINED.above(self.mean - self.chance)

    @property
    def misfit(self) -> float:
        """By how many nats a code is less likely than the model expects of its own, on average."""
        assert self.deficit is not None
        return float(_counted(self.deficit, self.of_talker).mean()) if self.deficit.size else 0.0

    @property
    def fits(self) -> bool:
        """Whether all together, and each group, are as likely as the model expects of its own."""
        assert self.deficit is not None
        groups = _counted(self.deficit, self.of_talker)
        if not groups.size:
            return True
        return not MISFIT.above(float(groups.mean(axis=1).max())) and not self.unlucky

    @property
    def unlucky(self) -> bool:
        """Whether all together are less likely than the model expects, by more than luck gives."""
        assert self.deficit is not None and self.spread is not None
        deficit, spread = (_counted(values, self.of_talker) for values in (self.deficit, self.spread))
        return unlucky(deficit, spread)

    def fitting_frames(self) -> int:
        """How many frames from the first on are as likely as the model expects."""
        assert self.deficit is not None
        frames = _counted(self.deficit, self.of_talker).mean(axis=0)
        wrong = np.flatnonzero(frames > MISFIT_FRAME.value)
        return int(wrong[0]) if len(wrong) else frames.size

    def frames_before(self, groups: Sequence[int]) -> int:
        """How many frames from the first on are as likely as the model expects in these groups, before none is: all
        where what is unlikely is spread over the speech."""
        assert self.deficit is not None and self.spread is not None
        deficit, spread = self.deficit[list(groups)], self.spread[list(groups)]
        frames = deficit.shape[1]
        for first in range(frames - 1, 0, -1):
            if not unlucky(deficit[:, :first], spread[:, :first]):
                late = float(deficit[:, first:].sum()) > LATE_SHARE.value * float(np.maximum(deficit, 0).sum())
                return first if late else frames
        return 0

    @property
    def ruled_out(self) -> bool:
        """Whether the model is sure of others, and these don't even come before the most."""
        if self.ranks is None or not self.ranks.size:
            return False
        rank = float(_counted(self.ranks, self.of_talker).mean())
        of_others = SURE_OF_OTHERS.below(self.sure - self.chance)
        return of_others and NOT_EXPLAINED.below(self.mean - self.chance) and RANK.above(rank)


def unlucky(deficit: FloatArray, spread: FloatArray) -> bool:
    """Whether codes are that much less likely than expected that luck doesn't explain it; see `Likelihood`."""
    if not deficit.size:
        return False
    total, by_luck = float(deficit.sum()), float(np.sqrt(np.square(spread, dtype=np.float64).sum()))
    return UNLUCKY.above(total / max(by_luck, _NO_LUCK)) and UNLUCKY_NATS.above(total / deficit.size)


def _counted(values: FloatArray, of_talker: bool) -> FloatArray:
    return values if of_talker or len(values) < 2 else values[1:]


def _mean(values: FloatArray, of_talker: bool) -> float:
    return float(np.maximum(_counted(values, of_talker), _LEAST).mean())


def likelihood_of(
    model: Model, prompt: TalkerPrompt, codes: IntArray, *, before_norm: bool = False, of_talker: bool = True
) -> Likelihood:
    """`codes`: int32 [groups, frames], every group of the model. `of_talker`: see `Likelihood`. `before_norm`: the
    predictor is given the talker's state before the final norm, which is a mistake.

    Raises InputError for codes outside of the vocabulary.
    """
    own, rest = logits_of(model, prompt, codes, before_norm=before_norm)
    logits = [own, *(rest[:, group] for group in range(rest.shape[1]))]
    pairs = list(zip(logits, codes, strict=True))
    at = [np.stack([of_codes(given / t, code) for given, code in pairs]) for t in _TEMPERATURES]
    ranks = np.stack([ranks_of(given, code) for given, code in pairs])
    # Of the talker's ids, those for control are never drawn.
    drawn = [own[:, : model.geometry["code2wav"]["codebook_size"]], *logits[1:]]
    expected, spread = (np.stack(parts) for parts in zip(*(expectation_of(given) for given in drawn), strict=True))
    said = np.stack([of_codes(given, code) for given, code in zip(drawn, codes, strict=True)])
    deficit = expected - np.maximum(said, _LEAST)
    best = max(at, key=lambda values: _mean(values, of_talker))
    return Likelihood(best, chance(model), _mean(at[0], of_talker), ranks, of_talker, deficit, spread)


def first_frames(model: Model, prompt: TalkerPrompt, codes: IntArray) -> FloatArray:
    """How likely the predictor's codes are of each of many first frames of a speech, int32 [groups, n]: the mean
    logarithmic probability [n], at the temperature at which it is likeliest."""
    hidden = model.talker_states(prompt, codes[:, :1]).hidden
    logits = model.predictor_logits(np.repeat(hidden, codes.shape[1], axis=0), codes)
    at = [
        np.stack([np.maximum(of_codes(logits[:, group] / t, row), _LEAST) for group, row in enumerate(codes[1:])])
        for t in _TEMPERATURES
    ]
    return np.asarray(np.max([values.mean(axis=0) for values in at], axis=0), np.float32)


def logits_of(
    model: Model, prompt: TalkerPrompt, codes: IntArray, *, before_norm: bool = False
) -> tuple[FloatArray, FloatArray]:
    """The talker's logits [frames, vocabulary] and the predictor's [frames, groups - 1, codebook], as they are made to
    say the codes. `before_norm`: see `likelihood_of`."""
    last = f"talker.model.layers.{model.geometry['talker']['num_hidden_layers'] - 1}"
    if before_norm:
        with model.probe(last) as seen:
            states = model.talker_states(prompt, codes)
        hidden = seen[last][0, len(prompt.inputs) - 1 :]
    else:
        states = model.talker_states(prompt, codes)
        hidden = states.hidden
    return states.logits, model.predictor_logits(hidden, codes)


def expectation_of(logits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of the logarithmic probability of what is drawn from logits [frames, vocabulary]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    weights = np.exp(log)
    mean = (weights * log).sum(axis=-1)
    variance = (weights * np.square(log)).sum(axis=-1) - np.square(mean)
    return np.asarray(mean, np.float32), np.asarray(np.sqrt(np.maximum(variance, 0)), np.float32)


def with_outputs_fed_back(model: Model, prompt: TalkerPrompt, codes: IntArray, embedded: FloatArray) -> TalkerPrompt:
    """The inputs of a talker that, for all codes but the first and the last, is fed back the predictor's output where
    it should get the code's embedding. `embedded`: the right ones, [groups, frames, hidden].

    The outputs hang on the talker's states and these on earlier outputs: every round makes one more frame exact, and
    the later ones nearly so.
    """
    changed, before = prompt, np.zeros(1, np.float32)
    for _ in range(_MOST_ROUNDS):
        hidden = model.talker_states(changed, codes).hidden
        with model.probe(_PREDICTED) as seen:
            model.predictor_logits(hidden, codes)
        # Position k + 1 of a frame is where the embedding of code k enters.
        outputs = seen[_PREDICTED][:, 2:].sum(axis=1)
        changed = with_extra(prompt, outputs - embedded[1:-1].sum(axis=0))
        if np.abs(outputs - before).max() <= _SETTLED * np.abs(outputs).max():
            break
        before = outputs
    return changed


def of_codes(logits: FloatArray, codes: IntArray) -> FloatArray:
    """Logits [frames, vocabulary] and codes [frames] -> their logarithmic probabilities [frames]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=-1))
    return np.asarray(np.take_along_axis(shifted, codes[:, None].astype(np.int64), axis=-1)[:, 0] - normal)


def ranks_of(logits: FloatArray, codes: IntArray) -> FloatArray:
    """Logits [frames, vocabulary] and codes [frames] -> the share of the vocabulary that is likelier [frames]."""
    own = np.take_along_axis(logits, codes[:, None].astype(np.int64), axis=-1)
    return np.asarray((logits > own).mean(axis=-1))


def chance(model: Model) -> float:
    """What a code gets from a model that knows nothing."""
    return -float(np.log(model.geometry["code2wav"]["codebook_size"]))


def prompt_for(model: Model, text: str | None, speaker: str | None = None) -> TalkerPrompt:
    """The prompt by which the model speaks `text` verbatim; None: of some text, where it is not known which."""
    return model.talker_prompt(*tokens_of(model, text), speaker=speaker)


def spans_of(model: Model, text: str) -> list[str]:
    """The spans in which `speak` says a text; none where it can't."""
    try:
        return model.spans(text)
    except OmniError:
        return []


def tokens_of(model: Model, text: str | None) -> tuple[list[int], list[int]]:
    """Ids of the conversation by which a text is spoken, and of the text."""
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    return conversation, model.tokenizer.encode(model.written_out(text) if text else _SOME_TEXT)
