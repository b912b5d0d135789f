"""Code2wav once more, in NumPy, so that it can be run with a known mistake.

The engine's graph has no switch for being wrong; this mirror has one for every mistake worth recognising, and is
used by the doctor alone. `tests/test_doctor_mirror.py` holds it to the engine. Without choices it computes what
Qwen3OmniMoeCode2Wav.forward does: whole speeches at once, float32, [channels, time].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

DILATIONS = (1, 3, 9)
_LAYER_NORM_EPS = 1e-6


@dataclass(frozen=True)
class Choices:
    """How code2wav is computed; the defaults are right.

    `pool`: "mean" or "sum" of the groups' embeddings. `stride`: rows from one group's codes to the next, None: the
    codebook's size. `window`: frames seen, 0 for all, None for the file's. `rope`: "halves" (NEOX), "pairs", "off".
    `eps`, `theta`: in place of the file's. `norm`: "rms", "layer", or "last-off" without the one at the end. `snake`:
    "exp", "plain" for alpha and beta as stored, "alpha" for alpha in beta's place. `gelu`: "erf", "tanh", "silu".
    `trim`: which sides of a transposed convolution lose their margin: "both", "right", "left". `padding`: "causal" or
    "centred". `dilated`: whether the residual units' kernels are. `biases`, `layer_scale`, `gamma`: whether they are
    there. `half`: activations rounded to float16, infinite beyond its range.
    """

    pool: str = "mean"
    stride: int | None = None
    window: int | None = None
    rope: str = "halves"
    eps: float | None = None
    theta: float | None = None
    norm: str = "rms"
    snake: str = "exp"
    gelu: str = "erf"
    trim: str = "both"
    padding: str = "causal"
    dilated: bool = True
    biases: bool = True
    layer_scale: bool = True
    gamma: bool = True
    half: bool = False


RIGHT = Choices()


@dataclass
class VocoderMirror:
    """`weights`: our names to values. `geometry`: the code2wav section of `Model.geometry`. `seen`: module path to
    what it computed in the last run, in the reference's axes without batch, where `watch` is set."""

    weights: Mapping[str, FloatArray]
    geometry: Mapping[str, Any]
    watch: bool = False
    seen: dict[str, FloatArray] = field(default_factory=dict)
    _cache: dict[str, FloatArray] = field(default_factory=dict)

    def __call__(self, codes: npt.NDArray[Any], choices: Choices = RIGHT) -> FloatArray:
        """Codes, integers [groups, frames] -> float32 samples. Rows beyond the table wrap around it."""
        self.seen = {}
        with np.errstate(over="ignore", invalid="ignore"):
            x = self._embed(np.asarray(codes, np.int64), choices)
            x = self._transformer(x, choices)
            for stage in range(len(self.geometry["upsampling_ratios"])):
                x = self._upsample(f"code2wav.upsample.{stage}", x, self.geometry["upsampling_ratios"][stage], choices)
            x = self._decoder(x, choices)
        return np.asarray(self._keep("code2wav", np.clip(x, -1, 1))[0], np.float32)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _weight(self, name: str) -> FloatArray:
        if name not in self._cache:
            self._cache[name] = np.ascontiguousarray(self.weights[name], np.float32)
        return self._cache[name]

    def _bias(self, path: str, choices: Choices) -> FloatArray:
        bias = self._weight(f"{path}.bias")
        return bias if choices.biases else np.zeros_like(bias)

    def _keep(self, path: str, x: FloatArray) -> FloatArray:
        if self.watch:
            self.seen[path] = x
        return x

    def _rounded(self, x: FloatArray, choices: Choices) -> FloatArray:
        return x.astype(np.float16).astype(np.float32) if choices.half else x

    def _embed(self, codes: IntArray, choices: Choices) -> FloatArray:
        table = self._weight("code2wav.code_embedding.weight")
        stride = self.geometry["codebook_size"] if choices.stride is None else choices.stride
        rows = (codes + np.arange(len(codes))[:, None] * stride) % len(table)
        embedded = self._keep("code2wav.code_embedding", table[rows])
        summed = embedded.sum(axis=0, dtype=np.float32)
        return np.asarray(summed if choices.pool == "sum" else summed / np.float32(len(codes)), np.float32)

    # --- transformer: [time, channels] ------------------------------------------------------------------------------

    def _transformer(self, x: FloatArray, choices: Choices) -> FloatArray:
        rotation = self._rotation(len(x), choices)
        mask = self._mask(len(x), choices)
        for layer in range(self.geometry["num_hidden_layers"]):
            path = f"code2wav.pre_transformer.layers.{layer}"
            x = x + self._scale(
                f"{path}.self_attn_layer_scale",
                self._attention(path, self._norm(path, x, choices), rotation, mask),
                choices,
            )
            y = self._rms(f"{path}.post_attention_layernorm", x, choices)
            x = self._keep(path, x + self._scale(f"{path}.mlp_layer_scale", self._mlp(path, y, choices), choices))
        if choices.norm != "last-off":
            x = self._rms("code2wav.pre_transformer.norm", x, choices)
        return np.ascontiguousarray(self._keep("code2wav.pre_transformer", x).T)

    def _norm(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        return self._rms(f"{path}.input_layernorm", x, choices)

    def _rms(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        eps = self.geometry["rms_norm_eps"] if choices.eps is None else choices.eps
        if choices.norm == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(eps))
        return np.asarray(x * scale * self._weight(f"{path}.weight"), np.float32)

    def _scale(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        return x * self._weight(f"{path}.scale") if choices.layer_scale else x

    def _mlp(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        gate, up, down = (self._weight(f"{path}.mlp.{part}_proj.weight") for part in ("gate", "up", "down"))
        z = x @ gate.T
        return np.asarray(self._rounded(z / (1 + np.exp(-z)) * (x @ up.T), choices) @ down.T, np.float32)

    def _rotation(self, time: int, choices: Choices) -> tuple[FloatArray, FloatArray, str]:
        width = self.geometry["head_dim"]
        theta = self.geometry["rope_theta"] if choices.theta is None else choices.theta
        speeds = theta ** (-np.arange(0, width, 2) / width)
        angles = np.arange(time)[:, None] * (speeds if choices.rope != "off" else 0 * speeds)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32), choices.rope

    def _mask(self, time: int, choices: Choices) -> npt.NDArray[np.bool_]:
        window = self.geometry["sliding_window"] if choices.window is None else choices.window
        back = np.arange(time)[:, None] - np.arange(time)[None, :]
        return np.asarray((back >= 0) & ((back < window) if window else True))

    def _attention(
        self, path: str, x: FloatArray, rotation: tuple[FloatArray, FloatArray, str], mask: npt.NDArray[np.bool_]
    ) -> FloatArray:
        heads, kv_heads = self.geometry["num_attention_heads"], self.geometry["num_key_value_heads"]
        parts = [self._weight(f"{path}.self_attn.{part}_proj.weight") for part in "qkvo"]
        q, k, v = ((x @ weight.T).reshape(len(x), -1, self.geometry["head_dim"]) for weight in parts[:3])
        q, k = _rotated(q, rotation), _rotated(k, rotation)
        k, v = (np.repeat(part, heads // kv_heads, axis=1) for part in (k, v))
        scores = np.einsum("thd,shd->hts", q, k, optimize=True) / np.float32(self.geometry["head_dim"] ** 0.5)
        scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hts,shd->thd", weights, v, optimize=True).reshape(len(x), -1)
        return np.asarray(mixed @ parts[3].T, np.float32)

    # --- convolutions: [channels, time] -----------------------------------------------------------------------------

    def _upsample(self, path: str, x: FloatArray, ratio: int, choices: Choices) -> FloatArray:
        x = self._transposed(f"{path}.0", x, ratio, choices)
        y = self._rounded(self._depthwise(f"{path}.1.dwconv", x, choices), choices).T
        centred = y - y.mean(axis=-1, keepdims=True)
        y = centred / np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + np.float32(_LAYER_NORM_EPS))
        y = y * self._weight(f"{path}.1.norm.weight") + self._bias(f"{path}.1.norm", choices)
        y = y @ self._weight(f"{path}.1.pwconv1.weight").T + self._bias(f"{path}.1.pwconv1", choices)
        y = _GELU[choices.gelu](y) @ self._weight(f"{path}.1.pwconv2.weight").T
        y = y + self._bias(f"{path}.1.pwconv2", choices)
        y = y * self._weight(f"{path}.1.gamma") if choices.gamma else y
        return self._keep(f"{path}.1", np.asarray(x + y.T, np.float32))

    def _decoder(self, x: FloatArray, choices: Choices) -> FloatArray:
        rates = self.geometry["upsample_rates"]
        x = self._keep("code2wav.decoder.0", self._convolved("code2wav.decoder.0", x, 1, choices))
        for number, rate in enumerate(rates, 1):
            block = f"code2wav.decoder.{number}.block"
            x = self._transposed(f"{block}.1", self._snake(f"{block}.0", x, choices), rate, choices)
            for unit, dilation in zip((2, 3, 4), DILATIONS, strict=True):
                path = f"{block}.{unit}"
                y = self._snake(f"{path}.act1", x, choices)
                y = self._convolved(f"{path}.conv1", y, dilation if choices.dilated else 1, choices)
                y = self._convolved(f"{path}.conv2", self._snake(f"{path}.act2", y, choices), 1, choices)
                x = x + y
            self._keep(f"code2wav.decoder.{number}", x)
        x = self._snake(f"code2wav.decoder.{len(rates) + 1}", x, choices)
        last = f"code2wav.decoder.{len(rates) + 2}"
        return self._keep(last, self._convolved(last, x, 1, choices))

    def _snake(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        alpha, beta = self._weight(f"{path}.alpha"), self._weight(f"{path}.beta")
        if choices.snake == "alpha":
            beta = alpha
        if choices.snake != "plain":
            alpha, beta = np.exp(alpha), np.exp(beta)
        wave = np.square(np.sin(x * alpha[:, None])) / (beta[:, None] + np.float32(1e-9))
        return self._rounded(x + wave, choices)

    def _convolved(self, path: str, x: FloatArray, dilation: int, choices: Choices) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")
        padded = _padded(x, (weight.shape[2] - 1) * dilation, choices)
        y = np.zeros((len(weight), x.shape[1]), np.float32)
        for tap in range(weight.shape[2]):
            y += np.ascontiguousarray(weight[:, :, tap]) @ padded[:, tap * dilation : tap * dilation + x.shape[1]]
        return self._rounded(y + self._bias(f"{path}.conv", choices)[:, None], choices)

    def _depthwise(self, path: str, x: FloatArray, choices: Choices) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")[:, 0]
        padded = _padded(x, weight.shape[1] - 1, choices)
        terms = (padded[:, tap : tap + x.shape[1]] * weight[:, tap, None] for tap in range(weight.shape[1]))
        return np.asarray(sum(terms) + self._bias(f"{path}.conv", choices)[:, None], np.float32)

    def _transposed(self, path: str, x: FloatArray, rate: int, choices: Choices) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")
        _, out, kernel = weight.shape
        taps, time = kernel // rate, x.shape[1]
        y = np.zeros((out, time + taps - 1, rate), np.float32)
        for tap in range(taps):
            part = weight[:, :, tap * rate : (tap + 1) * rate].reshape(len(weight), -1)
            y[:, tap : tap + time] += (part.T @ x).reshape(out, rate, time).transpose(0, 2, 1)
        whole = y.reshape(out, -1) + self._bias(f"{path}.conv", choices)[:, None]
        margin, length = kernel - rate, whole.shape[1]
        first = 0 if choices.trim == "right" else margin
        last = length if choices.trim == "left" else length - margin
        return self._keep(path, self._rounded(np.ascontiguousarray(whole[:, first:last]), choices))


def _padded(x: FloatArray, amount: int, choices: Choices) -> FloatArray:
    left = amount // 2 if choices.padding == "centred" else amount
    return np.pad(x, ((0, 0), (left, amount - left)))


def _rotated(x: FloatArray, rotation: tuple[FloatArray, FloatArray, str]) -> FloatArray:
    """x: [time, heads, width]."""
    cos, sin, kind = rotation
    cos, sin = cos[:, None], sin[:, None]
    out = np.empty_like(x)
    half = x.shape[-1] // 2
    one, two = (np.s_[..., ::2], np.s_[..., 1::2]) if kind == "pairs" else (np.s_[..., :half], np.s_[..., half:])
    out[one] = x[one] * cos - x[two] * sin
    out[two] = x[two] * cos + x[one] * sin
    return out


def _erf(x: FloatArray) -> npt.NDArray[np.float64]:
    """Abramowitz and Stegun 7.1.26: within 1.5e-7, so that no further dependency is needed."""
    z = np.abs(x.astype(np.float64))
    t = 1 / (1 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - series * np.exp(-z * z)))


_GELU = {
    "erf": lambda x: np.asarray(x * 0.5 * (1 + _erf(x / np.float32(2**0.5))), np.float32),
    "tanh": lambda x: np.asarray(0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))), np.float32),
    "silu": lambda x: np.asarray(x / (1 + np.exp(-x)), np.float32),
}
