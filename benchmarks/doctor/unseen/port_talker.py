"""Talker and code predictor in NumPy, written from the reference as a porter would, every decision a named choice.

`speak` draws codes for a text; `likelihood` says what the port thinks of given codes. Activations are
[positions, width], heads [positions, heads, head width].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from .arithmetic import ACTIVATIONS, NORMS, POSITIONS, SPREADS, Choices, rotated, softmax
from .mistake import Mistake
from .weights import Array, Weights, edited, read_metadata, read_weights

T, C = "talker", "talker.code_predictor"
Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """`conversation`: token ids up to the header of the answer; `answer`: its tokens; `speaker`: a name."""

    conversation: Sequence[int]
    answer: Sequence[int]
    speaker: str


class TalkerPort:
    """Talker and predictor of one file."""

    def __init__(self, weights: Weights, metadata: Metadata) -> None:
        self.weights, self.metadata = weights, metadata

    @classmethod
    def read(cls, path: Path) -> TalkerPort:
        weights = read_weights(path, "talker.") | read_weights(path, "thinker.model.embed_tokens")
        return cls(weights, read_metadata(path))

    def speak(self, request: Request, seed: int, frames: int, mistake: Mistake | None = None) -> Any:
        """Codes int32 [groups, frames]."""
        return self._loop(mistake).speak(request, np.random.default_rng(seed), frames)

    def likelihood(self, request: Request, codes: Any) -> float:
        """Mean log probability of a code, in nats, when a sound port is made to say these codes."""
        return self._loop(None).likelihood(request, codes)

    def _loop(self, mistake: Mistake | None) -> _Loop:
        weights = edited(self.weights, mistake.edits) if mistake else self.weights
        return _Loop(weights, self.metadata, Choices(mistake.choices if mistake else {}))


class _Stack:
    """Decoder layers with a cache of keys and values. `path`: of the model that holds them; `part`: its metadata."""

    def __init__(self, weights: Weights, metadata: Metadata, choices: Choices, path: str, part: str) -> None:
        self.w, self.at, self.path = weights, choices.at, path
        self.size = lambda name: metadata[f"{part}.{name}"]
        self.start()

    def start(self) -> None:
        self.n, self.cache = 0, {}

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Of each position the state before the final norm and after it."""
        places = self._places(len(x))
        for i in self.at(self.path, "layers", range(self.size("num_hidden_layers"))):
            x = self._layer(x, f"{self.path}.layers.{i}", places)
        self.n += len(x)
        return x, self.norm(x, f"{self.path}.norm")

    def _places(self, n: int) -> Any:
        first = self.n if self.at(self.path, "positions", "go on") == "go on" else 0
        places = first + np.arange(n) + self.at(self.path, "first position", 0)
        return POSITIONS[self.at(self.path, "position", "each")](places)

    def norm(self, x: Array, path: str) -> Array:
        eps, form = self.at(path, "eps", self.size("rms_norm_eps")), self.at(path, "form", "rms")
        return np.asarray(NORMS[form](x, self.w[f"{path}.weight"], 0, eps), np.float32)

    def _layer(self, x: Array, path: str, places: Any) -> Array:
        y = self._attention(self.norm(x, f"{path}.input_layernorm"), f"{path}.self_attn", places)
        x = y if self.at(f"{path}.self_attn", "residual", "input") == "none" else x + y
        normed = self.norm(x, f"{path}.post_attention_layernorm")
        mixture = f"{path}.mlp.gate.weight" in self.w
        y = self._mixture(normed, f"{path}.mlp") if mixture else self._mlp(normed, f"{path}.mlp")
        return y if self.at(f"{path}.mlp", "residual", "input") == "none" else x + y

    def _attention(self, x: Array, path: str, places: Any) -> Array:
        width = self.size("head_dim")
        q, k, v = ((x @ self.w[f"{path}.{name}_proj.weight"].T).reshape(len(x), -1, width) for name in "qkv")
        theta, form = self.at(path, "theta", self.size("rope_theta")), self.at(path, "rope", "halves")
        before = self.at(path, "norms", "before rope") == "before rope"
        if not before:
            q, k = rotated(q, places, theta, form), rotated(k, places, theta, form)
        q, k = self.norm(q, f"{path}.q_norm"), self.norm(k, f"{path}.k_norm")
        if before:
            q, k = rotated(q, places, theta, form), rotated(k, places, theta, form)
        k, v = self._kept(path, k, v)
        spread = SPREADS[self.at(path, "key heads", "repeated")]
        times = q.shape[1] // k.shape[1]
        k, v = spread(k, times, 1), spread(v, times, 1)
        scale = {"sqrt d": sqrt(width), "d": width, "1": 1.0, "sqrt h": sqrt(x.shape[1])}
        scores = np.einsum("qhd,khd->hqk", q, k) / scale[self.at(path, "scale", "sqrt d")]
        seen = np.arange(len(k)) <= np.arange(len(k) - len(q), len(k))[:, None]
        if self.at(path, "sees", "past") == "all":
            seen[:] = True
        mixed = np.einsum("hqk,khd->qhd", softmax(np.where(seen, scores, -np.inf)), v)
        if self.at(path, "heads joined", "in order") != "in order":
            mixed = mixed.swapaxes(1, 2)
        return np.asarray(mixed.reshape(len(x), -1) @ self.w[f"{path}.o_proj.weight"].T)

    def _kept(self, path: str, k: Array, v: Array) -> tuple[Array, Array]:
        """Keys and values of all positions so far, these included."""
        how = self.at(self.path, "cache", "kept")
        if how != "none" and path in self.cache:
            k, v = (np.concatenate(pair) for pair in zip(self.cache[path], (k, v), strict=True))
        self.cache[path] = (k, v)
        if how == "last 8":
            self.cache[path] = (k[-8:], v[-8:])
        return k, v

    def _gated(self, x: Array, path: str, gate: Array, up: Array, down: Array) -> Array:
        act = ACTIVATIONS[self.at(path, "activation", "silu")]
        return np.asarray((act(x @ gate.T) * (x @ up.T)) @ down.T)

    def _mlp(self, x: Array, path: str) -> Array:
        return self._gated(x, path, *(self.w[f"{path}.{name}_proj.weight"] for name in ("gate", "up", "down")))

    def _mixture(self, x: Array, path: str) -> Array:
        weights = self._routed(x @ self.w[f"{path}.gate.weight"].T, path)
        out = np.zeros_like(x)
        for expert in range(weights.shape[1]):
            chosen = np.flatnonzero(weights[:, expert])
            if len(chosen):
                parts = (self.w[f"{path}.experts.{name}_proj.weight"][expert] for name in ("gate", "up", "down"))
                out[chosen] += weights[chosen, expert, None] * self._gated(x[chosen], path, *parts)
        return out + self._shared(x, path)

    def _routed(self, logits: Array, path: str) -> Array:
        """Weight of each expert, [positions, experts], zero for those not chosen."""
        n = self.at(path, "experts", self.size("num_experts_per_tok"))
        order = np.argsort(-logits, axis=1)[:, :n]
        chosen = np.zeros(logits.shape, bool)
        np.put_along_axis(chosen, order, True, 1)
        form = self.at(path, "router", "softmax")
        weights = 1 / (1 + np.exp(-logits)) if form == "sigmoid" else softmax(logits)
        weights = np.where(chosen, weights, 0)
        if self.at(path, "renormalised", self.size("norm_topk_prob")):
            weights /= weights.sum(1, keepdims=True)
        return np.asarray(chosen / n if form == "equal" else weights, np.float32)

    def _shared(self, x: Array, path: str) -> Array:
        if not self.at(path, "shared expert", True):
            return np.zeros_like(x)
        gate = x @ self.w[f"{path}.shared_expert_gate.weight"].T
        form = self.at(path, "shared gate", "sigmoid")
        gate = {"sigmoid": 1 / (1 + np.exp(-gate)), "none": np.ones_like(gate), "linear": gate}[form]
        return np.asarray(gate * self._mlp(x, f"{path}.shared_expert"))


class _Loop:
    """From a text to codes."""

    def __init__(self, weights: Weights, metadata: Metadata, choices: Choices) -> None:
        self.w, self.metadata, self.at = weights, metadata, choices.at
        self.talker = _Stack(weights, metadata, choices, f"{T}.model", T)
        self.predictor = _Stack(weights, metadata, choices, f"{C}.model", "code_predictor")
        self.groups = metadata["code_predictor.num_code_groups"]
        self.codebook = metadata["code_predictor.vocab_size"]

    # --- what is read -----------------------------------------------------------------------------------------------

    def projected(self, tokens: Sequence[int]) -> Array:
        x = self.w["thinker.model.embed_tokens.weight"][list(tokens)]
        path = f"{T}.{self.at(T, 'projection of text', 'text_projection')}"
        if self.at(T, "text projected", True):
            x = x @ self.w[f"{path}.linear_fc1.weight"].T + self.w[f"{path}.linear_fc1.bias"]
            x = ACTIVATIONS[self.at(path, "activation", "silu")](x)
            x = x @ self.w[f"{path}.linear_fc2.weight"].T + self.w[f"{path}.linear_fc2.bias"]
        return np.asarray(np.resize(x, (len(x), self.metadata[f"{T}.hidden_size"])), np.float32)

    def prompt(self, request: Request) -> tuple[Array, Array, Array]:
        """Inputs before the first frame, the text that follows a row a frame, and what follows the text."""
        token = lambda name: self.metadata[f"token.{name}"]  # noqa: E731
        codec = lambda name: self.metadata[f"{T}.codec_{name}"]  # noqa: E731
        tokens, answer = list(request.conversation), list(request.answer)
        begin = max(i for i, one in enumerate(tokens) if one == token("im_start"))
        user = [] if self.at(T, "user segment", True) is False else tokens[:begin]
        user = [*user, *answer] if self.at(T, "text before", False) else user
        names = self.metadata[f"{T}.speaker_names"]
        speaker = self.metadata[f"{T}.speaker_ids"][names.index(request.speaker)]
        speaker += self.at(T, "speaker id", 0)
        spoken = [codec("nothink_id"), codec("think_bos_id"), codec("think_eos_id"), speaker]
        spoken += [codec("pad_id"), codec("bos_id")]
        ids = [*tokens[begin : begin + 3], *4 * [token("tts_pad")], token("tts_bos"), answer[0]]
        own = self.projected(ids)
        own[3:] += SPECIAL[self.at(T, "special codes", "all")](self.w[f"{T}.model.codec_embedding.weight"][spoken])
        end = [token(self.at(T, "text ends with", "tts_eos"))] if self.at(T, "text ends", True) else []
        inputs = np.concatenate([self.projected(user), own]) if user else own
        pad = self.projected([token("tts_pad")])
        return inputs, self.projected([*answer[1:], *end]), 0 * pad if self.at(T, "padding", "") == "zero" else pad

    def text_row(self, trailing: Array, pad: Array, frame: int) -> Array:
        how = self.at(T, "text", "a row a frame")
        if how == "none":
            return pad[0]
        if how == "last row for ever":
            return np.asarray(trailing[min(frame, len(trailing) - 1)])
        place = {"early": frame + 1, "late": frame - 1, "half as fast": frame // 2, "twice as fast": 2 * frame}
        place = place.get(how, frame)
        return np.asarray(trailing[place] if 0 <= place < len(trailing) else pad[0])

    # --- a frame ----------------------------------------------------------------------------------------------------

    def embedded(self, group: int, code: int) -> Array:
        """A code as it enters the predictor, and the talker in the sum."""
        if group == 0:
            return self.w[f"{T}.model.codec_embedding.weight"][code]
        table = (group - 1 + self.at(C, "tables", 0)) % (self.groups - 1)
        return self.w[f"{C}.model.codec_embedding.{table}.weight"][code]

    def frame(self, state: Array, first: int, given: Sequence[int] | None, draw: Any) -> tuple[list[int], Array]:
        """Codes of a frame, and what is fed back for it. `given`: codes to say instead of drawing."""
        codes, rows, outputs = [first], [self.embedded(0, min(first, self.codebook - 1))], []
        self.predictor.start()
        start = [state, rows[0]] if self.at(C, "start", "state first") == "state first" else [rows[0], state]
        _, out = self.predictor(np.stack(start).astype(np.float32))
        for group in range(1, self.groups):
            head = HEADS[self.at(C, "heads", "each its own")](group - 1, self.groups - 1)
            logits = self.w[f"{C}.lm_head.{head}.weight"] @ out[-1]
            codes.append(draw(logits, group, None if given is None else given[group]))
            rows.append(self.embedded(group, codes[-1]))
            if group + 1 < self.groups:
                if self.at(C, "cache", "kept") == "begun again":
                    self.predictor.start()
                _, out = self.predictor(rows[-1][None])
                outputs.append(out[-1])
        return codes, FEEDBACKS[self.at(T, "feedback", "sum")](np.stack(rows), outputs)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def speak(self, request: Request, rng: np.random.Generator, most: int) -> Any:
        frames: list[list[int]] = []

        def draw(logits: Array, group: int, given: int | None) -> int:
            return self._drawn(logits, rng, group, [codes[0] for codes in frames])

        for codes in self._frames(request, None, draw):
            if codes is None:
                break
            frames.append(codes)
            if len(frames) == most:
                break
        codes = np.array(frames or np.zeros((0, self.groups)), np.int32).T
        return DELAYS[self.at(T, "delay", "none")](codes)

    def likelihood(self, request: Request, codes: Any) -> float:
        said: list[float] = []

        def draw(logits: Array, group: int, given: int | None) -> int:
            assert given is not None
            if given < self.codebook:
                logits = logits[: self.codebook].astype(np.float64)
                said.append(float(logits[given] - logits.max() - np.log(np.exp(logits - logits.max()).sum())))
            return min(given, self.codebook - 1)

        for _ in zip(self._frames(request, codes.T.tolist(), draw), range(codes.shape[1]), strict=False):
            pass
        return float(np.mean(said)) if said else -np.inf

    def _frames(self, request: Request, given: list[list[int]] | None, draw: Any) -> Any:
        """Codes of frame after frame; None where the speech ends."""
        inputs, trailing, pad = self.prompt(request)
        self.talker.start()
        before, after = self.talker(inputs)
        last, k = None, 0
        while True:
            logits = self._suppressed(self.w[f"{T}.codec_head.weight"] @ after[-1])
            first = draw(logits, 0, None if given is None else given[k][0])
            if first == self.metadata[f"{T}.codec_eos_token_id"] and self.at(T, "end", "heeded") == "heeded":
                yield None
            state = after[-1] if self.at(C, "state", "after norm") == "after norm" else before[-1]
            if self.at(C, "state", "") == "a frame old":
                state, last = (after[-1] if last is None else last), after[-1]
            elif self.at(C, "state", "") == "zero":
                state = 0 * state
            codes, fed = self.frame(state, first, given and given[k], draw)
            yield codes
            k += 1
            if given is not None and k == len(given):
                return
            x = fed + self.text_row(trailing, pad, k - 1)
            before, after = self.talker(x[None].astype(np.float32))

    def _suppressed(self, logits: Array) -> Array:
        if not self.at(T, "suppressed", True):
            return logits
        logits, eos = logits.copy(), self.metadata[f"{T}.codec_eos_token_id"]
        keep = logits[eos]
        logits[len(logits) - self.metadata[f"{T}.suppressed_tail"] :] = -np.inf
        logits[eos] = -np.inf if self.at(T, "end", "heeded") == "suppressed" else keep
        return logits

    def _drawn(self, logits: Array, rng: np.random.Generator, group: int, before: list[int]) -> int:
        part, path = (T, T) if group == 0 else ("code_predictor", C)
        setting = lambda name: self.metadata[f"{part}.generation.{name}"]  # noqa: E731
        logits = logits.astype(np.float64)
        penalty = self.at(path, "repetition penalty", setting("repetition_penalty") if group == 0 else 1.0)
        if penalty != 1 and before:
            seen = np.unique(before)
            logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        logits /= self.at(path, "temperature", setting("temperature"))
        if self.at(path, "draw", "") == "least likely of 5":
            return int(np.argsort(-logits)[4])
        kept = np.argsort(-logits)[: self.at(path, "top k", setting("top_k"))]
        chances = np.exp(logits[kept] - logits[kept[0]])
        chances /= chances.sum()
        n = int(np.searchsorted(np.cumsum(chances), self.at(path, "top p", setting("top_p")) - 1e-9)) + 1
        chances = chances[:n] / chances[:n].sum()
        return int(rng.choice(kept[:n], p=chances))


def _without(i: int) -> Any:
    def change(rows: Array) -> Array:
        rows = rows.copy()
        rows[i] = 0
        return rows

    return change


SPECIAL: dict[str, Any] = {
    "all": lambda rows: rows,
    "none": lambda rows: 0 * rows,
    "speaker missing": _without(3),
    "begin missing": _without(5),
    "no thinking": lambda rows: np.concatenate([0 * rows[:3], rows[3:]]),
    "speaker last": lambda rows: rows[[0, 1, 2, 4, 5, 3]],
    "a place late": lambda rows: np.roll(rows, 1, 0),
}
HEADS: dict[str, Any] = {
    "each its own": lambda i, n: i,
    "the next": lambda i, n: (i + 1) % n,
    "the one before": lambda i, n: (i - 1) % n,
    "reversed": lambda i, n: n - 1 - i,
    "the first for all": lambda i, n: 0,
}
FEEDBACKS: dict[str, Any] = {
    "sum": lambda rows, outputs: rows.sum(0),
    "mean": lambda rows, outputs: rows.mean(0),
    "code 0 alone": lambda rows, outputs: rows[0],
    "last code alone": lambda rows, outputs: rows[-1],
    "without code 0": lambda rows, outputs: rows[1:].sum(0),
    "without the last": lambda rows, outputs: rows[:-1].sum(0),
    "predictor's outputs": lambda rows, outputs: rows[0] + np.sum(outputs, 0) + rows[-1],
    "divided by sqrt n": lambda rows, outputs: rows.sum(0) / sqrt(len(rows)),
    "code 0 twice": lambda rows, outputs: rows.sum(0) + rows[0],
    "nothing": lambda rows, outputs: 0 * rows[0],
}
DELAYS: dict[str, Any] = {
    "none": lambda codes: codes,
    "group g by g": lambda codes: np.stack([np.roll(row, g) for g, row in enumerate(codes)]),
    "all but the first by one": lambda codes: np.concatenate([codes[:1], np.roll(codes[1:], 1, 1)]),
    "all but the first by minus one": lambda codes: np.concatenate([codes[:1], np.roll(codes[1:], -1, 1)]),
}
