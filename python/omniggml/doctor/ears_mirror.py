"""The audio encoder once more, in NumPy, with the mistakes that a port can make as choices.

It reads the mmproj file's own tensors; a test holds it to the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.vocoder_mirror import ACTIVATIONS
from omniggml.files.opening import open_file
from omniggml.gguf.type_names import dequantize
from omniggml.spec.encoder_tensors import AUDIO_PREFIX
from omniggml.spec.llama_names import encoder_name

FloatArray = npt.NDArray[np.float32]

_EPS = 1e-5
_KERNEL = 3


@dataclass(frozen=True)
class EarMistake:
    """A choice that a port gets wrong."""

    name: str
    gelu: str = "exact"
    tail: str = "filled"
    stem: str = "chunks"
    positions: str = "restart"
    windows: str = "apart"


EAR_MISTAKES: tuple[EarMistake, ...] = (
    EarMistake("tanh-gelu", gelu="tanh"),
    EarMistake("f16-gelu", gelu="f16"),
    EarMistake("unpadded-tail", tail="short"),
    EarMistake("whole-clip", stem="whole"),
    EarMistake("whole-clip", stem="whole", windows="none"),
    EarMistake("positions", positions="on"),
    EarMistake("no-windows", windows="none"),
    EarMistake("overlapping-windows", windows="overlapping"),
    EarMistake("two-convolutions", stem="two"),
)


class EarsMirror:
    """`geometry`: as `MediaEncoders.audio_geometry` has it."""

    def __init__(self, path: Path, geometry: dict[str, Any]) -> None:
        self.geometry = geometry
        self._header = open_file(path).header
        self._weight = cache(self._read)

    def _read(self, name: str) -> FloatArray:
        tensor = self._header.tensors[encoder_name(AUDIO_PREFIX + name)]
        data = self._header.read(tensor, 0, tensor.nbytes)
        return np.asarray(dequantize(data, tensor.type), np.float32).reshape(tensor.shape)

    @property
    def chunk(self) -> int:
        """Frames that are convolved together."""
        return int(2 * self.geometry["n_window"])

    @property
    def window(self) -> int:
        """Tokens that see each other."""
        chunks: int = self.geometry["n_window_infer"] // self.chunk
        return chunks * thrice_halved(self.chunk)

    def __call__(self, features: FloatArray, mistake: EarMistake | None = None) -> FloatArray:
        """features [mels, frames] of one clip -> rows [tokens, output width]."""
        how = mistake or EarMistake("")
        x = self._rows(features, how)
        for layer in range(self.geometry["encoder_layers"]):
            x = self._layer(x, f"layers.{layer}.", how)
        x = self._linear(self._norm(x, "ln_post"), "proj1")
        return self._linear(gelu(x, how.gelu), "proj2")

    def _rows(self, features: FloatArray, how: EarMistake) -> FloatArray:
        n = features.shape[1]
        if how.stem == "whole":
            rows = self._convolved(features, how)
            return rows + self._positions(len(rows))
        out: list[FloatArray] = []
        kept = 0
        for start in range(0, n, self.chunk):
            chunk = features[:, start : start + self.chunk]
            frames = chunk.shape[1]
            if n > self.chunk and how.tail == "filled":
                chunk = np.pad(chunk, ((0, 0), (0, self.chunk - frames)))
            rows = self._convolved(chunk, how)
            valid = thrice_halved(frames) if how.stem != "two" else min(len(rows), halved(halved(frames)))
            rows = rows[:valid]
            first = kept if how.positions == "on" else 0
            out.append(rows + self._positions(len(rows), first))
            kept += len(rows)
        return np.concatenate(out)

    def _positions(self, n: int, first: int = 0) -> FloatArray:
        table = self._weight("positional_embedding.weight")
        return table[np.arange(first, first + n) % len(table)]

    def _convolved(self, features: FloatArray, how: EarMistake) -> FloatArray:
        """[mels, frames] -> [tokens, hidden]."""
        x = features[np.newaxis]
        for number in (1, 2, 3):
            x = gelu(_conv(x, self._weight(f"conv2d{number}.weight"), self._weight(f"conv2d{number}.bias")), how.gelu)
        channels, mels, times = x.shape
        flat = x.transpose(2, 0, 1).reshape(times, channels * mels)
        return np.asarray(flat @ self._weight("conv_out.weight").T, np.float32)

    def _layer(self, x: FloatArray, path: str, how: EarMistake) -> FloatArray:
        normed = self._norm(x, f"{path}self_attn_layer_norm")
        x = x + self._attention(normed, f"{path}self_attn.", how)
        normed = self._norm(x, f"{path}final_layer_norm")
        return x + self._linear(gelu(self._linear(normed, f"{path}fc1"), how.gelu), f"{path}fc2")

    def _attention(self, x: FloatArray, path: str, how: EarMistake) -> FloatArray:
        heads = self.geometry["encoder_attention_heads"]
        q, k, v = (
            self._linear(x, f"{path}{name}_proj").reshape(len(x), heads, -1).transpose(1, 0, 2) for name in "qkv"
        )
        out = np.zeros_like(q)
        for own, seen in self._windows(len(x), how.windows):
            scores = q[:, own] @ k[:, seen].transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1]))
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[:, own] = powers / powers.sum(axis=-1, keepdims=True) @ v[:, seen]
        return self._linear(out.transpose(1, 0, 2).reshape(len(x), -1), f"{path}out_proj")

    def _windows(self, n: int, kind: str) -> Iterator[tuple[slice, slice]]:
        """Rows, and those that they see."""
        if kind == "none":
            yield slice(0, n), slice(0, n)
            return
        before = self.window // 2 if kind == "overlapping" else 0
        for start in range(0, n, self.window):
            yield slice(start, start + self.window), slice(max(0, start - before), start + self.window)

    def _linear(self, x: FloatArray, path: str) -> FloatArray:
        return np.asarray(x @ self._weight(f"{path}.weight").T + self._weight(f"{path}.bias"), np.float32)

    def _norm(self, x: FloatArray, path: str) -> FloatArray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPS))
        return np.asarray(scaled * self._weight(f"{path}.weight") + self._weight(f"{path}.bias"), np.float32)


def halved(n: int) -> int:
    """Positions behind a convolution of stride 2."""
    return (n + 1) // 2


def thrice_halved(n: int) -> int:
    return halved(halved(halved(n)))


def gelu(x: FloatArray, kind: str) -> FloatArray:
    """GELU by erf, by tanh, or as a table of float16 has it."""
    if kind == "f16":
        with np.errstate(over="ignore"):
            rounded = x.astype(np.float16).astype(np.float32)
        return gelu(rounded, "exact").astype(np.float16).astype(np.float32)
    return ACTIVATIONS["tanh" if kind == "tanh" else "erf"](x)


def _conv(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    """[in, mels, times] -> [out, half, half]: kernel 3, stride 2, a frame of zeros."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    mels, times = halved(x.shape[1]), halved(x.shape[2])
    taps = np.stack(
        [
            padded[:, m : m + 2 * mels - 1 : 2, t : t + 2 * times - 1 : 2]
            for m in range(_KERNEL)
            for t in range(_KERNEL)
        ],
        axis=1,
    ).reshape(-1, mels * times)
    out = weight.reshape(len(weight), -1) @ taps + bias.reshape(-1, 1)
    return np.asarray(out.reshape(-1, mels, times), np.float32)
