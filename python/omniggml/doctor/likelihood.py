"""How likely a model finds codes that somebody made: talker and predictor, teacher-forced.

Codes that a model spoke are likely under it, whatever its weights; the same codes with groups swapped, dropped or
shifted are not. That makes the model itself the judge of what was done to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor.counterfactuals import with_extra
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_SOME_TEXT = "hello"
_PREDICTED = "talker.code_predictor.model.norm"
_MOST_ROUNDS, _SETTLED = 12, 1e-3
_LEAST = -60.0  # nats; a code that a model rules out must not outweigh all others


@dataclass(frozen=True)
class Likelihood:
    """Natural logarithms of the codes' probabilities at temperature 1, [groups, frames].

    `chance`: what a code gets from a model that knows nothing. `of_talker`: whether the right text tells the talker's
    own codes, group 0; without it the predictor's alone count.
    """

    values: FloatArray
    chance: float
    of_talker: bool = True

    @property
    def mean(self) -> float:
        """A code's, on average."""
        values = self.values if self.of_talker or len(self.values) < 2 else self.values[1:]
        return float(np.maximum(values, _LEAST).mean()) if values.size else self.chance

    @property
    def explained(self) -> bool:
        """Whether the model expects these codes more than chance does, by a margin that luck doesn't give."""
        return self.mean > self.chance + 0.3

    @property
    def ruled_out(self) -> bool:
        """Whether the model expects them less than chance does: right codes never are."""
        return self.mean < self.chance - 1.0


def likelihood_of(
    model: Model, prompt: TalkerPrompt, codes: IntArray, *, before_norm: bool = False, of_talker: bool = True
) -> Likelihood:
    """`codes`: int32 [groups, frames], every group of the model. `of_talker`: see `Likelihood`. `before_norm`: the
    predictor is given the talker's state before the final norm, which is a mistake.

    Raises InputError for codes outside of the vocabulary.
    """
    last = f"talker.model.layers.{model.geometry['talker']['num_hidden_layers'] - 1}"
    if before_norm:
        with model.probe(last) as seen:
            states = model.talker_states(prompt, codes)
        hidden = seen[last][0, len(prompt.inputs) - 1 :]
    else:
        states = model.talker_states(prompt, codes)
        hidden = states.hidden
    first = of_codes(states.logits, codes[0])
    rest = model.predictor_logits(hidden, codes)
    others = [of_codes(rest[:, group], codes[group + 1]) for group in range(rest.shape[1])]
    return Likelihood(np.stack([first, *others]), chance(model), of_talker)


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


def chance(model: Model) -> float:
    """What a code gets from a model that knows nothing."""
    return -float(np.log(model.geometry["code2wav"]["codebook_size"]))


def prompt_for(model: Model, text: str | None, speaker: str | None = None) -> TalkerPrompt:
    """The prompt by which the model speaks `text` verbatim; None: of some text, where it is not known which."""
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    return model.talker_prompt(conversation, model.tokenizer.encode(text or _SOME_TEXT), speaker=speaker)
