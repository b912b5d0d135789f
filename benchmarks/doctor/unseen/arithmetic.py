"""Arithmetic that both ports share, right and wrong: the tables hold what a porter may choose."""

from __future__ import annotations

from collections.abc import Mapping
from math import erf, pi, sqrt
from typing import Any

import numpy as np

from .weights import Array, fits

_ERF_STEP = 1 / 4096
_ERF = np.array([erf(i * _ERF_STEP) for i in range(6 * 4096 + 2)], np.float32)


class Choices:
    """What was chosen where."""

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        self._chosen = [(*key.rsplit(":", 1), value) for key, value in chosen.items()]

    def at(self, path: str, choice: str, default: Any) -> Any:
        found = [value for pattern, name, value in self._chosen if name == choice and fits(path, pattern)]
        return found[-1] if found else default


def softmax(x: Array) -> Array:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True), np.float32)


def rotated(x: Array, places: Any, theta: float, form: str) -> Array:
    """x [time, heads, width]."""
    if form == "none":
        return x
    width = x.shape[2] // (2 if form == "half the width" else 1)
    if form == "halves turned as pairs":
        angle = places[:, None] * np.tile(theta ** (-np.arange(0, width, 2) / width), 2)
        turned = np.stack([-x[..., 1::2], x[..., ::2]], -1).reshape(x.shape)
        return (x * np.cos(angle)[:, None] + turned * np.sin(angle)[:, None]).astype(np.float32)
    angle = places[:, None] * theta ** (-np.arange(0, width, 2) / width)
    sign = -1 if form == "backwards" else 1
    cos, sin = np.cos(angle)[:, None, :], sign * np.sin(angle)[:, None, :]
    if form == "pairs":
        one, two = x[..., ::2], x[..., 1::2]
        return np.stack([one * cos - two * sin, two * cos + one * sin], -1).reshape(x.shape).astype(np.float32)
    one, two = x[..., : width // 2], x[..., width // 2 : width]
    turned = [one * cos - two * sin, two * cos + one * sin, x[..., width:]]
    return np.concatenate(turned, -1).astype(np.float32)


def _erf(x: Any) -> Any:
    place = np.minimum(np.abs(x), 5.999) / _ERF_STEP
    low = place.astype(np.int32)
    return np.sign(x) * (_ERF[low] + (place - low) * (_ERF[low + 1] - _ERF[low]))


ACTIVATIONS: dict[str, Any] = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / sqrt(2))),
    "gelu tanh": lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))),
    "gelu quick": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "leaky relu": lambda x: np.where(x > 0, x, 0.1 * x),
    "none": lambda x: x,
}


def _rms(x: Any) -> Any:
    return (x**2).mean(-1, keepdims=True)


def _layer_norm(x: Any, w: Any, b: Any, eps: float) -> Any:
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(_rms(x) + eps) * w + b


NORMS: dict[str, Any] = {
    "rms": lambda x, w, b, eps: x / np.sqrt(_rms(x) + eps) * w + b,
    "layer": _layer_norm,
    "plus one": lambda x, w, b, eps: x / np.sqrt(_rms(x) + eps) * (1 + w) + b,
    "unbiased": lambda x, w, b, eps: _layer_norm(x, w, b, eps) * sqrt(1 - 1 / x.shape[-1]),
    "sum of squares": lambda x, w, b, eps: x / np.sqrt((x**2).sum(-1, keepdims=True) + eps) * w + b,
    "eps outside": lambda x, w, b, eps: x / (np.sqrt(_rms(x)) + eps) * w + b,
    "over time": lambda x, w, b, eps: x / np.sqrt((x**2).mean(0, keepdims=True) + eps) * w + b,
    "layer over time": lambda x, w, b, eps: (x - x.mean(0)) / np.sqrt(x.var(0) + eps) * w + b,
    "left out": lambda x, w, b, eps: x,
}

POSITIONS: dict[str, Any] = {
    "each": lambda p: p,
    "all zero": lambda p: 0 * p,
    "from one": lambda p: p + 1,
    "half": lambda p: p / 2,
    "backwards": lambda p: p[::-1],
    "every 8 anew": lambda p: p % 8,
}


SPREADS: dict[str, Any] = {
    "repeated": np.repeat,
    "tiled": lambda x, times, axis: np.concatenate([x] * times, axis),
}


def _rounded(bits: int) -> Any:
    def to(x: Any) -> Any:
        raw = np.ascontiguousarray(x, np.float32).view(np.uint32)
        half = np.uint32(1 << (bits - 1))
        return ((raw + half) & ~np.uint32((1 << bits) - 1)).view(np.float32)

    return to


def _int8(x: Any) -> Any:
    """Blocks of 32 along the first axis that allows it, as Q8_0 rounds."""
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    blocks = np.pad(flat, (0, -len(flat) % 32)).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / 127 + 1e-30
    return (np.round(blocks / scale) * scale).reshape(-1)[: len(flat)].reshape(np.shape(x)).astype(np.float32)


PRECISIONS: dict[str, Any] = {
    "f32": lambda x: x,
    "bf16": _rounded(16),
    "f16": lambda x: x.astype(np.float16).astype(np.float32),
    "int8": _int8,
}


def effect(sound: Array, faulty: Array) -> float:
    """Signal to error in dB over the common length; negative infinity where the faulty one isn't finite."""
    n = min(len(sound), len(faulty))
    if n == 0 or not np.isfinite(faulty).all():
        return -np.inf
    error = float(((sound[:n].astype(np.float64) - faulty[:n]) ** 2).sum())
    signal = float((sound[:n].astype(np.float64) ** 2).sum())
    return float(10 * np.log10(max(signal, 1e-30) / max(error, 1e-30 * max(signal, 1e-30))))
