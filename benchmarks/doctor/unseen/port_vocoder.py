"""code2wav in NumPy, written from the reference's forward pass as a porter would, every decision a named choice.

A choice is looked up as "path:choice", the path that of a module, `*` for digits. Without choices it computes
what the reference computes. Activations are [channels, time] in convolutions and [time, channels] in the transformer.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import ACTIVATIONS, NORMS, POSITIONS, PRECISIONS, SPREADS, Choices, rotated, softmax
from .mistake import Mistake
from .weights import Array, Weights, edited, read_metadata, read_weights

Codes = npt.NDArray[np.integer[Any]]

P = "code2wav"
DILATIONS = (1, 3, 9)


class VocoderPort:
    """code2wav of one file. `decode` takes a mistake, or None."""

    def __init__(self, weights: Weights, metadata: Mapping[str, Any]) -> None:
        self.weights, self.metadata = weights, metadata

    @classmethod
    def read(cls, path: Path) -> VocoderPort:
        return cls(read_weights(path, f"{P}."), read_metadata(path))

    def decode(self, codes: Codes, mistake: Mistake | None = None) -> Array:
        """Codes [groups, frames] -> float32 samples."""
        weights = edited(self.weights, mistake.edits) if mistake else self.weights
        return _Pass(weights, self.metadata, Choices(mistake.choices if mistake else {})).samples(np.asarray(codes))


class _Pass:
    def __init__(self, weights: Weights, metadata: Mapping[str, Any], choices: Choices) -> None:
        self.w, self.metadata, self.at = weights, metadata, choices.at
        self.precision = PRECISIONS[choices.at(P, "precision", "f32")]

    def size(self, name: str) -> Any:
        return self.metadata[f"{P}.{name}"]

    # --- the whole --------------------------------------------------------------------------------------------------

    def samples(self, codes: Codes) -> Array:
        size, context = self.at(P, "chunk", (codes.shape[1], 0))
        pieces = []
        for start in range(0, codes.shape[1], size):
            before = min(context, start)
            piece = self._forward(codes[:, start - before : start + size], start - before)
            pieces.append(piece[before * self._frame() :])
        return np.concatenate(pieces)

    def _frame(self) -> int:
        return int(np.prod([*self.size("upsample_rates"), *self.size("upsampling_ratios")]))

    def _forward(self, codes: Codes, start: int) -> Array:
        x = self._embedded(codes)
        x = self._transformed(x, start).T
        for i in range(len(self.size("upsampling_ratios"))):
            x = self._transposed(x, f"{P}.upsample.{i}.0", self.size("upsampling_ratios")[i])
            x = self._convnext(x, f"{P}.upsample.{i}.1")
        x = self._conv(x, f"{P}.decoder.0")
        rates = self.at(f"{P}.decoder", "rates", self.size("upsample_rates"))
        for i, rate in enumerate(rates, 1):
            x = self._block(x, f"{P}.decoder.{i}", rate)
        x = self._snake(x, f"{P}.decoder.{len(rates) + 1}")
        x = self._conv(x, f"{P}.decoder.{len(rates) + 2}")
        return np.asarray(LIMITS[self.at(P, "limit", "clamp")](x[0]), np.float32)

    def _embedded(self, codes: Codes) -> Array:
        path = f"{P}.code_embedding"
        table, groups = self.w[f"{path}.weight"], len(codes)
        order = list(GROUP_ORDERS[self.at(path, "groups", "as they are")](groups))
        codes = codes + self.at(path, "first", 0)
        stride = self.at(path, "stride", self.size("codebook_size"))
        places = np.maximum(np.arange(groups) + self.at(path, "group", 0), self.at(path, "lowest group", -groups))
        rows = table[(codes[order] + stride * places[: len(order), None]) % len(table)]
        total = rows.sum(0)
        divisor = self.at(path, "divisor", "n")
        if divisor == "first apart":
            return np.asarray(rows[0] + rows[1:].sum(0) / (groups - 1))
        return np.asarray(total / {"n": groups, "sqrt n": sqrt(groups), "1": 1, "n - 1": groups - 1}[divisor])

    # --- transformer ------------------------------------------------------------------------------------------------

    def _transformed(self, x: Array, start: int) -> Array:
        path = f"{P}.pre_transformer"
        for i in self.at(path, "layers", range(self.size("num_hidden_layers"))):
            x = self._layer(x, f"{path}.layers.{i}", start)
        return self._norm(x, f"{path}.norm")

    def _layer(self, x: Array, path: str, start: int) -> Array:
        branches = [
            ("input_layernorm", "self_attn", lambda y: self._attention(y, f"{path}.self_attn", start)),
            ("post_attention_layernorm", "mlp", lambda y: self._mlp(y, f"{path}.mlp")),
        ]
        if self.at(path, "order", "attention first") == "mlp first":
            branches.reverse()
        first = x
        for norm, module, branch in branches:
            normed = self._norm(x if self.at(path, "branches", "serial") == "serial" else first, f"{path}.{norm}")
            scale = self.w[f"{path}.{module}_layer_scale.scale"]
            if self.at(f"{path}.{module}", "scaled", "after") == "before":
                scale = np.ones_like(scale)
            residuals = {"input": x, "none": 0, "normed": normed, "scaled": x * scale}
            x = residuals[self.at(f"{path}.{module}", "residual", "input")] + branch(normed) * scale
        return x

    def _norm(self, x: Array, path: str, eps: float | None = None) -> Array:
        eps = self.at(path, "eps", self.size("rms_norm_eps") if eps is None else eps)
        form = self.at(path, "form", "layer" if f"{path}.bias" in self.w else "rms")
        return np.asarray(NORMS[form](x, self.w[f"{path}.weight"], self.w.get(f"{path}.bias", 0), eps), np.float32)

    def _attention(self, x: Array, path: str, start: int) -> Array:
        width = int(self.size("head_dim") * self.at(path, "head width", 1))
        q, k, v = (self._linear(x, f"{path}.{name}_proj").reshape(len(x), -1, width) for name in "qkv")
        first = self.at(path, "first position", 0) + (start if self.at(path, "positions", "") == "kept" else 0)
        places = POSITIONS[self.at(path, "position", "each")](first + np.arange(len(x)))
        theta, form = self.at(path, "theta", self.size("rope_theta")), self.at(path, "rope", "halves")
        sides = self.at(path, "rotated", "qk")
        q = rotated(q, places, theta, form) if "q" in sides else q
        k = rotated(k, places + self.at(path, "keys late by", 0), theta, form) if "k" in sides else k
        v = rotated(v, places, theta, form) if "v" in sides else v
        times = q.shape[1] // k.shape[1]
        spread = SPREADS[self.at(path, "key heads", "repeated")]
        k, v = spread(k, times, 1), spread(v, times, 1)
        scale = {"sqrt d": sqrt(width), "d": width, "1": 1.0, "sqrt h": sqrt(x.shape[1])}
        scores = np.einsum("qhd,khd->hqk", q, k) / scale[self.at(path, "scale", "sqrt d")]
        weights = softmax(MASKS[self.at(path, "mask", "minus infinity")](scores, self._seen(len(x), path)))
        mixed = np.einsum("hqk,khd->qhd", weights, v)
        heads = self.at(path, "heads joined", "in order")
        orders = {"in order": (0, 1, 2), "interleaved": (0, 2, 1), "not moved back": (1, 0, 2)}
        mixed = mixed.transpose(orders[heads]).reshape(len(x), -1)
        if self.at(path, "scaled", "after") == "before":
            mixed = mixed * self.w[f"{path}_layer_scale.scale"]
        return self._linear(np.ascontiguousarray(mixed), f"{path}.o_proj")

    def _seen(self, n: int, path: str) -> npt.NDArray[np.bool_]:
        ago = np.arange(n)[:, None] - np.arange(n)
        window = self.at(path, "window", self.size("sliding_window"))
        sees = self.at(path, "sees", "past")
        if sees == "own block":
            return (
                np.tri(n, dtype=bool) & np.kron(np.eye(-(-n // window)), np.ones((window, window))).astype(bool)[:n, :n]
            )
        return {"past": (ago >= 0), "all": ago >= -n, "both sides": ago > -window}[sees] & (ago < window)

    def _mlp(self, x: Array, path: str) -> Array:
        gate = ACTIVATIONS[self.at(path, "activation", "silu")](self._linear(x, f"{path}.gate_proj"))
        up = self._linear(x, f"{path}.up_proj")
        return self._linear(gate + up if self.at(path, "gate", "product") == "sum" else gate * up, f"{path}.down_proj")

    def _linear(self, x: Array, path: str) -> Array:
        return np.asarray(
            self.precision(x) @ self.precision(self.w[f"{path}.weight"].T) + self.w.get(f"{path}.bias", 0)
        )

    # --- convolutions -----------------------------------------------------------------------------------------------

    def _conv(self, x: Array, path: str, dilation: int = 1) -> Array:
        weight, bias = self.w[f"{path}.conv.weight"], self.w[f"{path}.conv.bias"]
        dilation = self.at(path, "dilation", dilation)
        reach = (weight.shape[2] - 1) * dilation
        if (padding := self.at(path, "padding", "left zeros")) == "as without dilation":
            padded = np.pad(x, ((0, 0), (weight.shape[2] - 1, reach - weight.shape[2] + 1)))
        else:
            padded = PADDINGS[padding](x, reach)
        padded, weight = self.precision(padded), self.precision(weight)
        n, depthwise = padded.shape[1] - reach, weight.shape[1] == 1 and weight.shape[0] == x.shape[0] > 1
        out = np.zeros((weight.shape[0], n), np.float32) + bias[:, None]
        for j in range(weight.shape[2]):
            piece = padded[:, j * dilation : j * dilation + n]
            out += weight[:, :, j] * piece if depthwise else weight[:, :, j] @ piece
        return out

    def _transposed(self, x: Array, path: str, rate: int) -> Array:
        if self.at(path, "upsampled", "by it") == "by copies":
            return np.kron(x, np.ones(rate, np.float32))
        weight, bias = self.precision(self.w[f"{path}.conv.weight"]), self.w[f"{path}.conv.bias"]
        if self.at(path, "upsampled", "by it") == "tap by tap":
            return np.concatenate([tap.T @ x for tap in weight.transpose(2, 0, 1)], axis=1) + bias[:, None]
        rate, kernel, n = self.at(path, "rate", rate), weight.shape[2], x.shape[1]
        out = np.zeros((weight.shape[1], max((n - 1) * rate + kernel, 1)), np.float32)
        x = self.precision(x)
        added = self.at(path, "upsampled", "by it") != "later frames over earlier"
        for j in reversed(range(kernel)):
            at = np.s_[:, j : j + (n - 1) * rate + 1 : rate]
            out[at] = added * out[at] + weight[:, :, j].T @ x
        out += bias[:, None]
        spare = max(kernel - rate, 0)
        left, right = TRIMS[self.at(path, "trim", "both")](spare)
        return out[:, left : out.shape[1] - right]

    def _convnext(self, x: Array, path: str) -> Array:
        y = self._conv(x, f"{path}.dwconv").T
        y = self._norm(y, f"{path}.norm", 1e-6)
        y = self._linear(y, f"{path}.pwconv1")
        y = self._linear(ACTIVATIONS[self.at(path, "activation", "gelu")](y), f"{path}.pwconv2")
        gamma = self.w[f"{path}.gamma"]
        scaled = self.at(path, "residual", "input") == "scaled"
        return self._with_residual(x * gamma[:, None] if scaled else x, (y * gamma).T, path)

    def _block(self, x: Array, path: str, rate: int) -> Array:
        if self.at(path, "activation place", "before") == "before":
            x = self._transposed(self._snake(x, f"{path}.block.0"), f"{path}.block.1", rate)
        else:
            x = self._snake(self._transposed(x, f"{path}.block.1", rate), f"{path}.block.0")
        order = self.at(path, "dilations", DILATIONS)
        arranged, first, branches = self.at(path, "units", "one by one"), x, []
        for unit, dilation in enumerate(order, 2):
            y = self._unit(first if arranged != "one by one" else x, f"{path}.block.{unit}", dilation)
            branches.append(y - first if arranged == "branches" else y)
            x = y
        if arranged == "branches":
            return np.asarray(first + sum(branches))
        return np.mean(branches, axis=0) if arranged == "mean" else x

    def _unit(self, x: Array, path: str, dilation: int) -> Array:
        if not self.at(path, "used", True):
            return x
        bent = self._snake(x, f"{path}.act1")
        y = self._conv(bent, f"{path}.conv1", dilation)
        y = self._conv(self._snake(y, f"{path}.act2"), f"{path}.conv2")
        return self._with_residual(bent if self.at(path, "residual", "input") == "bent" else x, y, path)

    def _with_residual(self, x: Array, y: Array, path: str) -> Array:
        n = min(x.shape[1], y.shape[1])
        residual = self.at(path, "residual", "input")
        return y if residual == "none" else (x[:, -n:] + y[:, :n]) / (2 if residual == "mean" else 1)

    def _snake(self, x: Array, path: str) -> Array:
        alpha, beta = (self.w[f"{path}.{name}"][: len(x), None] for name in ("alpha", "beta"))
        return np.asarray(SNAKES[self.at(path, "form", "logarithms")](x, alpha, beta), np.float32)


# --- what may be chosen: the first of each is right ------------------------------------------------------------------

_TINY = 1e-9
SNAKES: dict[str, Any] = {
    "logarithms": lambda x, a, b: x + np.sin(np.exp(a) * x) ** 2 / (np.exp(b) + _TINY),
    "no exp": lambda x, a, b: x + np.sin(a * x) ** 2 / (b + _TINY),
    "alpha alone": lambda x, a, b: x + np.sin(np.exp(a) * x) ** 2 / (np.exp(a) + _TINY),
    "beta alone": lambda x, a, b: x + np.sin(np.exp(b) * x) ** 2 / (np.exp(b) + _TINY),
    "sine not squared": lambda x, a, b: x + np.sin(np.exp(a) * x) / (np.exp(b) + _TINY),
    "beta as factor": lambda x, a, b: x + np.sin(np.exp(a) * x) ** 2 * np.exp(b),
    "sine of the square": lambda x, a, b: x + np.sin((np.exp(a) * x) ** 2) / (np.exp(b) + _TINY),
    "twice": lambda x, a, b: x + 2 * np.sin(np.exp(a) * x) ** 2 / (np.exp(b) + _TINY),
    "cosine": lambda x, a, b: x + np.cos(np.exp(a) * x) ** 2 / (np.exp(b) + _TINY),
    "no x": lambda x, a, b: np.sin(np.exp(a) * x) ** 2 / (np.exp(b) + _TINY),
    "minus": lambda x, a, b: x - np.sin(np.exp(a) * x) ** 2 / (np.exp(b) + _TINY),
    "exp of alpha only": lambda x, a, b: x + np.sin(np.exp(a) * x) ** 2 / (np.abs(b) + 1e-2),
    "elu": lambda x, a, b: ACTIVATIONS["elu"](x),
    "leaky relu": lambda x, a, b: ACTIVATIONS["leaky relu"](x),
    "left out": lambda x, a, b: x,
}


def _padded(mode: str) -> Any:
    def pad(x: Array, n: int) -> Array:
        left, right = {"centred": (n - n // 2, n // 2), "right": (0, n)}.get(mode.split()[0], (n, 0))
        kind = mode.split()[-1]
        if kind == "reflect" and x.shape[1] <= max(left, right):
            kind = "edge"
        return np.asarray(np.pad(x, ((0, 0), (left, right)), **{} if kind == "zeros" else {"mode": kind}))

    return pad


PADDINGS = {mode: _padded(mode) for mode in ("left zeros", "centred zeros", "right zeros", "left edge", "left reflect")}
MASKS: dict[str, Any] = {
    "minus infinity": lambda scores, seen: np.where(seen, scores, -np.inf),
    "zero": lambda scores, seen: scores * seen,
    "booleans added": lambda scores, seen: scores + seen,
    "minus 4": lambda scores, seen: scores - 4.0 * ~seen,
}
TRIMS: dict[str, Any] = {
    "both": lambda spare: (spare, spare),
    "right": lambda spare: (0, spare),
    "left": lambda spare: (spare, 0),
    "halves": lambda spare: (spare // 2, spare - spare // 2),
    "none": lambda spare: (0, 0),
}
LIMITS: dict[str, Any] = {
    "clamp": lambda x: np.clip(x, -1, 1),
    "tanh": np.tanh,
    "peak": lambda x: x / max(np.abs(x).max(), 1e-9),
    "clamp half": lambda x: np.clip(x, -0.5, 0.5),
    "wrapped": lambda x: (x + 1) % 2 - 1,
}
GROUP_ORDERS: dict[str, Any] = {
    "as they are": lambda n: range(n),
    "reversed": lambda n: range(n - 1, -1, -1),
    "rotated": lambda n: [*range(1, n), 0],
    "rotated back": lambda n: [n - 1, *range(n - 1)],
    "even, odd": lambda n: [*range(0, n, 2), *range(1, n, 2)],
    "first two swapped": lambda n: [1, 0, *range(2, n)],
    "first left out": lambda n: range(1, n),
    "last left out": lambda n: range(n - 1),
    "half": lambda n: range(n // 2),
    "first for all": lambda n: [0] * n,
}
