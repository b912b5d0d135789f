"""Talker and code predictor once more, in NumPy, teacher-forced, so that they can be run with a mistake.

As `vocoder_mirror.py` is to code2wav: one value of every choice is right, weights come through a mapping, and
`tests/test_doctor_talker_mirror.py` holds it to the engine. All frames of a speech are computed at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.talker_prompt import PromptPlan
from omniggml.doctor.vocoder_mirror import ACTIVATIONS
from omniggml.model import TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

TALKER, PREDICTOR = "talker", "talker.code_predictor"
PROJECTION = f"{TALKER}.text_projection"
TEXT_TABLE = "thinker.model.embed_tokens.weight"
_PREDICTORS_FIRST = 2
"""Positions that the predictor reads at once: the talker's state and its code."""
_OF_PROMPT = (f"{PROJECTION}.", f"{TALKER}.model.codec_embedding.", f"{TEXT_TABLE}.")


@dataclass(frozen=True)
class TalkerChoices:
    """How one module, or the loop, is computed; the defaults are right.

    `eps`, `theta`, `norm`, `rope`, `scale`, `heads`, `key_heads`, `residual`, `activation`, `layers` as in
    `vocoder_mirror.Choices`; `norms`: queries and keys are normed "before rope", "after rope" or "not". `experts`:
    how many a position has; `renormalised`: whether their weights add up to 1; `router`: "softmax", "sigmoid",
    "equal". `shared`: "gated", "whole", "linear", "missing". `state`: what the predictor starts from, "normed",
    "before norm", "old", "old but the first", "zero"; `start`: "state first" or "code first"; `head`: by how many
    the predictor's heads are off, `table`: its tables, where it reads them and where the talker is fed back their
    sum; `pick`: whether each step has its "own" head, the "first" or they are "reversed". `position`: "each",
    "same", "doubled", "halved", or as `_positions` has it; `sees`: positions that attention sees, 0 for all;
    `cache`: what it keeps of what was read before, see `_seen`. `feedback`: "sum", "mean", "root", "none", and
    "only K", "without K", "twice K" of group K. `text`: "each", "none", "early", "late", "last", "slow", "fast".
    `projection`: what projects the text, "text", "hidden" or "none".
    """

    eps: float | None = None
    theta: float | None = None
    norm: str = "rms"
    norms: str = "before rope"
    rope: str = "halves"
    scale: str = "root"
    heads: str = "blocks"
    key_heads: str = "repeated"
    residual: str = "added"
    activation: str = "silu"
    layers: tuple[int, ...] | None = None
    experts: int | None = None
    renormalised: bool | None = None
    router: str = "softmax"
    shared: str = "gated"
    state: str = "normed"
    head: int = 0
    table: int = 0
    start: str = "state first"
    pick: str = "own"
    position: str = "each"
    sees: int = 0
    cache: str = "all"
    feedback: str = "sum"
    text: str = "each"
    projection: str = "text"


RIGHT = TalkerChoices()


@dataclass
class TalkerMirror:
    """`weights`: our names to values. `talker`, `predictor`: their settings by name. `choices`: by module path. `plan`:
    of what is given to the talker, whose text's embeddings are `texts`; `prompt`: what a mistake in it made of it, None
    where there is none."""

    weights: Mapping[str, FloatArray]
    talker: Mapping[str, Any]
    predictor: Mapping[str, Any]
    choices: Mapping[str, TalkerChoices] = field(default_factory=dict)
    plan: PromptPlan | None = None
    texts: Mapping[int, FloatArray] = field(default_factory=dict)
    prompt: TalkerPrompt | None = None
    _cache: dict[str, FloatArray] = field(default_factory=dict)

    def with_mistake(
        self, choices: Mapping[str, TalkerChoices], changed: Mapping[str, FloatArray], plan: PromptPlan | None = None
    ) -> TalkerMirror:
        """The same with other choices of some modules, other values of some tensors, another plan."""
        choices, values = {**choices, **self.choices}, {**self._cache, **changed}
        texts = dict(zip(self.texts, changed.get(TEXT_TABLE, self.texts.values()), strict=True))
        made = replace(self, choices=choices, _cache=values, plan=plan or self.plan, texts=texts)
        if made.plan and (plan or any(f"{name}.".startswith(_OF_PROMPT) for name in (*choices, *changed))):
            made.prompt = made.plan.made(made.projected, made.weight(f"{TALKER}.model.codec_embedding.weight"))
        return made

    def weight(self, name: str) -> FloatArray:
        """Values of a tensor by its full name; of the text table the rows that are asked for."""
        if name == TEXT_TABLE:
            return np.stack(list(self.texts.values()))
        if name not in self._cache:
            self._cache[name] = np.ascontiguousarray(self.weights[name], np.float32)
        return self._cache[name]

    def at(self, path: str) -> TalkerChoices:
        return self.choices.get(path, RIGHT)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def states(self, prompt: TalkerPrompt, codes: IntArray) -> tuple[FloatArray, FloatArray]:
        """The talker's logits [frames, vocabulary], and what the predictor starts from, [frames, hidden]."""
        return self.states_from(0, self.talker_inputs(prompt, codes), codes.shape[1])

    def talker_inputs(self, prompt: TalkerPrompt, codes: IntArray) -> FloatArray:
        """What enters the talker's first layer, [1, positions, hidden]: the prompt, and a row for each frame but the
        last."""
        own, frames, prompt = self.at(TALKER), codes.shape[1], self.prompt or prompt
        fed = self._fed_back(codes[:, : frames - 1], own)
        return np.asarray(np.concatenate([prompt.inputs, fed + self._text(prompt, frames - 1, own.text)])[None])

    def projected(self, ids: Sequence[int]) -> FloatArray:
        """Text ids as the talker is given them, [ids, hidden]."""
        x, own = np.stack([self.texts[id] for id in ids]), self.at(PROJECTION)
        if own.projection != "none":
            path = PROJECTION if own.projection == "text" else f"{TALKER}.hidden_projection"
            x = self._linear(f"{path}.linear_fc2", ACTIVATIONS[own.activation](self._linear(f"{path}.linear_fc1", x)))
        width = self.talker["hidden_size"]
        return np.pad(x[:, :width], ((0, 0), (0, max(0, width - x.shape[1]))))

    def _linear(self, path: str, x: FloatArray) -> FloatArray:
        return np.asarray(x @ self.weight(f"{path}.weight").T + self.weight(f"{path}.bias"), np.float32)

    def states_from(self, layer: int, x: FloatArray, frames: int) -> tuple[FloatArray, FloatArray]:
        """As `states`, from what enters a layer of the talker."""
        before, after = self._stack(f"{TALKER}.model", x, self.talker, _at_once(x, frames), layer)
        logits = after[0, -frames:] @ self.weight(f"{TALKER}.codec_head.weight").T
        kind = self.at(PREDICTOR).state
        state = {"before norm": before, "zero": 0 * after}.get(kind, after)[0]
        if kind.startswith("old"):
            first = state[-frames]
            state = np.roll(state, 1, axis=0)
            state[-frames] = first if kind == "old but the first" else state[-frames]
        return np.asarray(logits, np.float32), np.asarray(state[-frames:], np.float32)

    def predicted(self, states: FloatArray, codes: IntArray) -> FloatArray:
        """The predictor's logits, [frames, groups - 1, codebook]."""
        return self.predicted_from(0, self.predictor_inputs(states, codes))

    def predictor_inputs(self, states: FloatArray, codes: IntArray) -> FloatArray:
        """What enters the predictor's first layer, [frames, groups, hidden], for all groups or the first ones."""
        own, groups = self.at(PREDICTOR), len(codes)
        inputs = [states, self.weight(f"{TALKER}.model.codec_embedding.weight")[codes[0]]]
        inputs = inputs[::-1] if own.start == "code first" else inputs
        for group in range(1, groups - 1):
            table = (group - 1 + own.table) % (self.predictor["num_code_groups"] - 1)
            inputs.append(self.weight(f"{PREDICTOR}.model.codec_embedding.{table}.weight")[codes[group]])
        return np.stack(inputs, axis=1)

    def predicted_from(self, layer: int, x: FloatArray) -> FloatArray:
        """As `predicted`, from what enters a layer of the predictor."""
        own, n_heads = self.at(PREDICTOR), self.predictor["num_code_groups"] - 1
        _, hidden = self._stack(f"{PREDICTOR}.model", x, self.predictor, _PREDICTORS_FIRST, layer)
        steps = range(x.shape[1] - 1)
        picked = [{"first": 0, "reversed": n_heads - 1 - step}.get(own.pick, step + own.head) for step in steps]
        heads = [
            hidden[:, step + 1] @ self.weight(f"{PREDICTOR}.lm_head.{head % n_heads}.weight").T
            for step, head in zip(steps, picked, strict=True)
        ]
        return np.asarray(np.stack(heads, axis=1), np.float32)

    def entering(self, path: str, x: FloatArray, frames: int) -> list[FloatArray]:
        """What enters each layer of the stack at `path` (`TALKER` or `PREDICTOR`), and its last norm."""
        of_talker = path == TALKER
        size, at_once = (self.talker, _at_once(x, frames)) if of_talker else (self.predictor, _PREDICTORS_FIRST)
        inputs = [x]
        for number in range(size["num_hidden_layers"]):
            inputs.append(self._layer(f"{path}.model.layers.{number}", inputs[-1], size, at_once))
        return inputs

    def _fed_back(self, codes: IntArray, own: TalkerChoices) -> FloatArray:
        tables = self.predictor["num_code_groups"] - 1
        names = [(k + own.table) % tables for k in range(len(codes) - 1)]
        rows = [self.weight(f"{TALKER}.model.codec_embedding.weight")[codes[0]]]
        rows += [
            self.weight(f"{PREDICTOR}.model.codec_embedding.{k}.weight")[c]
            for k, c in zip(names, codes[1:], strict=True)
        ]
        return _pooled(np.stack(rows), own.feedback)

    def _text(self, prompt: TalkerPrompt, frames: int, kind: str) -> FloatArray:
        n = len(prompt.trailing)
        each = np.arange(frames)
        at = {"early": each + 1, "late": each - 1, "slow": each // 2, "fast": 2 * each}.get(kind, each)
        if kind == "none" or n == 0:
            at = np.full(frames, n)
        elif kind == "last":
            at = np.minimum(at, n - 1)
        rows = np.concatenate([prompt.trailing, prompt.pad[:1]])
        return rows[np.where(at < 0, n, np.minimum(at, n))]

    # --- layers: [batch, time, channels] ----------------------------------------------------------------------------

    def _stack(
        self, path: str, x: FloatArray, size: Mapping[str, Any], at_once: int, first: int = 0
    ) -> tuple[FloatArray, FloatArray]:
        """The last layer's output before and after the final norm, from what enters layer `first`. `at_once`: how many
        positions are read together, before the others, which come one by one."""
        for number in (self.at(path).layers or range(size["num_hidden_layers"]))[first:]:
            x = self._layer(f"{path}.layers.{number}", x, size, at_once)
        return x, self._norm(f"{path}.norm", x, size, at_once)

    def _layer(self, path: str, x: FloatArray, size: Mapping[str, Any], at_once: int) -> FloatArray:
        normed = self._norm(f"{path}.input_layernorm", x, size, at_once)
        x = self._join(f"{path}.self_attn", x, self._attention(f"{path}.self_attn", normed, size, at_once))
        normed = self._norm(f"{path}.post_attention_layernorm", x, size, at_once)
        return self._join(f"{path}.mlp", x, self._mlp(f"{path}.mlp", normed, size))

    def _join(self, path: str, x: FloatArray, y: FloatArray) -> FloatArray:
        return y if self.at(path).residual == "none" else np.asarray(x + y, np.float32)

    def _norm(self, path: str, x: FloatArray, size: Mapping[str, Any], at_once: int) -> FloatArray:
        own = self.at(path)
        eps = np.float32(size["rms_norm_eps"] if own.eps is None else own.eps)
        if own.norm == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        if own.norm == "over time":
            power = np.square(x)
            power[:, :at_once] = power[:, :at_once].mean(axis=1, keepdims=True)
            x = np.asarray(x / np.sqrt(power + eps), np.float32)
        elif own.norm != "off":
            power = np.square(x).sum(axis=-1, keepdims=True) / (1 if own.norm == "l2" else x.shape[-1])
            x = x / np.sqrt(power + eps)
        return np.asarray(x if own.norm == "bare" else x * self.weight(f"{path}.weight"), np.float32)

    def _attention(self, path: str, x: FloatArray, size: Mapping[str, Any], at_once: int) -> FloatArray:
        own, width, again = self.at(path), size["head_dim"], size["num_attention_heads"] // size["num_key_value_heads"]
        batch, time, _ = x.shape
        q, k, v = (
            _product(x, self.weight(f"{path}.{part}_proj.weight")).reshape(batch, time, -1, width) for part in "qkv"
        )
        if own.norms == "after rope":
            q, k = (self._rotated(part, own, size, at_once) for part in (q, k))
        if own.norms != "not":
            q, k = self._norm(f"{path}.q_norm", q, size, at_once), self._norm(f"{path}.k_norm", k, size, at_once)
        if own.norms != "after rope":
            q, k = (self._rotated(part, own, size, at_once) for part in (q, k))
        k, v = (
            np.tile(p, (1, 1, again, 1)) if own.key_heads == "tiled" else np.repeat(p, again, axis=2) for p in (k, v)
        )
        divisor = {"width": width, "one": 1, "hidden": x.shape[-1] ** 0.5}.get(own.scale, width**0.5)
        q, k, v = (part.swapaxes(1, 2) for part in (q, k, v))  # [batch, heads, time, width]
        scores = q @ k.swapaxes(2, 3) / np.float32(divisor)
        scores = np.where(_seen(own.sees, own.cache, time, at_once), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ v).swapaxes(1, 2)
        mixed = mixed.swapaxes(2, 3) if own.heads == "interleaved" else mixed
        return _product(mixed.reshape(batch, time, -1), self.weight(f"{path}.o_proj.weight"))

    def _rotated(self, x: FloatArray, own: TalkerChoices, size: Mapping[str, Any], at_once: int) -> FloatArray:
        width = x.shape[-1]
        theta = size["rope_theta"] if own.theta is None else own.theta
        cos, sin = _rotation(float(theta), own.rope, own.position, width, x.shape[1], at_once)
        half, out = width // 2, np.empty_like(x)
        pairs = own.rope == "pairs"
        one, two = (np.s_[..., ::2], np.s_[..., 1::2]) if pairs else (np.s_[..., :half], np.s_[..., half:])
        out[one] = x[one] * cos - x[two] * sin
        out[two] = x[two] * cos + x[one] * sin
        return out

    def _mlp(self, path: str, x: FloatArray, size: Mapping[str, Any]) -> FloatArray:
        own = self.at(path)
        if not size.get("num_experts"):
            return self._dense(path, x, own)
        logits = _product(x, self.weight(f"{path}.gate.weight"))
        mixed = self._mixture(path, x, self._routed(logits, own, size), own)
        if own.shared == "missing":
            return mixed
        shared = self._dense(f"{path}.shared_expert", x, own)
        gate = _product(x, self.weight(f"{path}.shared_expert_gate.weight"))
        opened = {"whole": np.ones_like(gate), "linear": gate}.get(own.shared, 1 / (1 + np.exp(-gate)))
        return np.asarray(mixed + opened * shared, np.float32)

    def _routed(self, logits: FloatArray, own: TalkerChoices, size: Mapping[str, Any]) -> FloatArray:
        """Each expert's weight, 0 for those that are not chosen."""
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        chosen = own.experts or size["num_experts_per_tok"]
        least = np.sort(weights, axis=-1)[..., -chosen, None]
        if own.router == "sigmoid":
            weights, least = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-np.sort(logits, axis=-1)[..., -chosen, None]))
        weights = np.where(weights >= least, 1.0 / chosen if own.router == "equal" else weights, 0)
        renormalised = size["norm_topk_prob"] if own.renormalised is None else own.renormalised
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True) if renormalised else weights, np.float32)

    def _mixture(self, path: str, x: FloatArray, weights: FloatArray, own: TalkerChoices) -> FloatArray:
        out = np.zeros_like(x)
        parts = [self.weight(f"{path}.experts.{part}_proj.weight") for part in ("gate", "up", "down")]
        for expert in range(weights.shape[-1]):
            at = weights[..., expert] > 0
            if at.any():
                gate, up, down = (part[expert] for part in parts)
                inner = ACTIVATIONS[own.activation](x[at] @ gate.T) * (x[at] @ up.T)
                out[at] += weights[..., expert][at][:, None] * (inner @ down.T)
        return out

    def _dense(self, path: str, x: FloatArray, own: TalkerChoices) -> FloatArray:
        gate, up, down = (self.weight(f"{path}.{part}_proj.weight") for part in ("gate", "up", "down"))
        return _product(ACTIVATIONS[own.activation](_product(x, gate)) * _product(x, up), down)


def _product(x: FloatArray, weight: FloatArray) -> FloatArray:
    """[..., inputs] by [outputs, inputs]: all rows at once, which NumPy takes batch by batch."""
    rows = x.reshape(-1, x.shape[-1]) @ weight.T
    return np.asarray(rows.reshape(*x.shape[:-1], -1), np.float32)


def _at_once(x: FloatArray, frames: int) -> int:
    """Of what enters a talker's layer: how many positions come before the second frame."""
    return int(x.shape[1]) - frames + 1


def _pooled(rows: FloatArray, kind: str) -> FloatArray:
    """Embeddings [groups, frames, hidden] as they are fed back."""
    how, _, group = kind.rpartition(" ")
    if how in ("only", "without", "twice"):
        times = np.full((len(rows), 1, 1), how != "only", np.float32)
        times[int(group)] = {"only": 1, "without": 0, "twice": 2}[how]
        rows = rows * times
    divisor = {"mean": len(rows), "root": len(rows) ** 0.5, "none": np.inf}.get(kind, 1)
    return np.asarray(rows.sum(axis=0) / np.float32(divisor), np.float32)


@lru_cache(maxsize=256)
def _seen(sees: int, cache: str, time: int, at_once: int) -> npt.NDArray[np.bool_]:
    """Which positions [time, time] each sees, where the first are read at once and the others one by one, and a cache
    keeps "all", "none" of the earlier ones, "the first" that were read at once, "the others", "last N"."""
    seen = np.tri(time, dtype=bool)
    if sees:
        seen &= ~np.tri(time, k=-sees, dtype=bool)
    one, key = np.arange(at_once, time)[:, None], np.arange(time)
    if cache == "none":
        seen[at_once:] = key == one
    elif cache == "the first":
        seen[at_once:] &= (key < at_once) | (key == one)
    elif cache == "the others":
        seen[at_once:] &= key >= at_once
    elif cache.startswith("last"):
        seen[at_once:] &= key >= one - int(cache.split()[-1])
    return seen


@lru_cache(maxsize=256)
def _rotation(
    theta: float, rope: str, position: str, width: int, time: int, at_once: int
) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines [time, 1, width / 2]; many trials ask for the same."""
    speeds = theta ** (-np.arange(0, width, 2) / width) * {"off": 0, "backwards": -1}.get(rope, 1)
    angles = _positions(position, time, at_once)[:, None, None] * speeds
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _positions(kind: str, time: int, at_once: int) -> npt.NDArray[np.floating[Any]]:
    """Rotary positions, as `_seen` has it: "begun anew" whenever something is read, "without the first" counted from
    the second frame on, "one on" and "one back" from there, "anew N" after each N."""
    each = np.arange(time)
    later = each >= at_once
    if kind.startswith("anew"):
        return np.asarray(each % int(kind.split()[-1]), np.float64)
    places = {
        "same": 0 * each,
        "doubled": 2 * each,
        "halved": each / 2,
        "backwards": np.where(later, each, at_once - 1 - each),
        "begun anew": np.where(later, 0, each),
        "without the first": np.where(later, each - at_once, each),
        "one on": each + later,
        "one back": each - later,
    }
    return np.asarray(places.get(kind, each), np.float64)
