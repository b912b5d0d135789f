"""The work that one frame can't do without: bytes of weights to read, multiply-adds to do.

Counted from the geometry and the types in the file. Caches of keys and values, activations and rows of embedding tables
are left out: they are small beside the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_TAPS = 7
_RESIDUAL_UNITS = 3
_TALKER = ("talker.model.layers.", "talker.model.norm.", "talker.codec_head.")
_PREDICTOR = ("talker.code_predictor.model.layers.", "talker.code_predictor.model.norm.")
_PREDICTOR_HEADS = "talker.code_predictor.lm_head."


@dataclass(frozen=True)
class Product:
    """A matrix product of the vocoder: `rows` of `inner` values a frame, `outputs` values each."""

    inner: int
    outputs: int
    rows: int

    @property
    def multiply_adds(self) -> int:
        """A frame."""
        return self.inner * self.outputs * self.rows


def talker_bytes(tensors: Iterable[Mapping[str, Any]], geometry: Mapping[str, Any]) -> int:
    """Bytes of weights that the talker reads for one frame: of its experts, those that answer."""
    total = 0
    for tensor in tensors:
        if tensor["name"].startswith(_TALKER):
            stacked = ".mlp.experts." in tensor["name"]
            used, experts = geometry["num_experts_per_tok"], geometry["num_experts"]
            total += tensor["nbytes"] * used // experts if stacked else tensor["nbytes"]
    return total


def predictor_bytes(tensors: Iterable[Mapping[str, Any]], geometry: Mapping[str, Any]) -> int:
    """Bytes of weights that the code predictor reads for one frame: its layers once a step, each head once."""
    steps = geometry["num_code_groups"] - 1
    total = 0
    for tensor in tensors:
        if tensor["name"].startswith(_PREDICTOR):
            total += tensor["nbytes"] * steps
        elif tensor["name"].startswith(_PREDICTOR_HEADS):
            total += tensor["nbytes"]
    return total


def vocoder_products(geometry: Mapping[str, Any]) -> list[Product]:
    """Every matrix product of code2wav for one frame, in the middle of a stream."""
    return [*_transformer(geometry), *_upsampling(geometry), *_decoder(geometry)]


def _transformer(g: Mapping[str, Any]) -> list[Product]:
    hidden, heads, head_dim, width = g["hidden_size"], g["num_attention_heads"], g["head_dim"], g["intermediate_size"]
    layer = [
        Product(hidden, heads * head_dim, 1),
        Product(hidden, 2 * g["num_key_value_heads"] * head_dim, 1),
        Product(heads * head_dim, hidden, 1),
        Product(hidden, 2 * width, 1),
        Product(width, hidden, 1),
        Product(2 * heads * head_dim, g["sliding_window"], 1),
    ]
    return layer * int(g["num_hidden_layers"])


def _upsampling(g: Mapping[str, Any]) -> list[Product]:
    hidden, rows = g["hidden_size"], 1
    products = []
    for ratio in g["upsampling_ratios"]:
        products.append(Product(hidden, hidden * ratio, rows))
        rows *= ratio
        products += [Product(hidden, _TAPS, rows), Product(hidden, 4 * hidden, rows), Product(4 * hidden, hidden, rows)]
    return products


def _decoder(g: Mapping[str, Any]) -> list[Product]:
    rows, width = 1, g["decoder_dim"]
    for ratio in g["upsampling_ratios"]:
        rows *= ratio
    products = [Product(_TAPS * g["hidden_size"], width, rows)]
    for rate in g["upsample_rates"]:
        products.append(Product(2 * width, width // 2 * rate, rows))
        rows, width = rows * rate, width // 2
        products += [Product(_TAPS * width, width, rows), Product(width, width, rows)] * _RESIDUAL_UNITS
    return [*products, Product(_TAPS * width, 1, rows)]
