"""Every way to err in porting code2wav: what tensors allow, and every other value of every choice of the port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations
from typing import Any

from . import arithmetic
from . import port_vocoder as port
from .grammar import Grammar
from .mistake import Mistake
from .port_vocoder import P, VocoderPort
from .tensor_mistakes import tensor_mistakes
from .weights import fits

ROPES = ("none", "pairs", "backwards", "half the width", "halves turned as pairs")
Values = list[tuple[Any, str]]


def vocoder_grammar(vocoder: VocoderPort) -> Grammar:
    """All single mistakes of one vocoder."""
    heads = {
        f"{P}.pre_transformer.layers.*.self_attn.{name}_proj.weight": vocoder.metadata[f"{P}.{count}"]
        for name, count in zip("qkv", ("num_attention_heads", *2 * ("num_key_value_heads",)), strict=True)
    }
    return Grammar([*tensor_mistakes(vocoder.weights, heads), *choice_mistakes(vocoder)])


def choice_mistakes(vocoder: VocoderPort) -> Iterator[Mistake]:
    """Every choice but the right one, of one module and of all of its class."""
    modules = {re.sub(r"\.[^.]+$", "", name) for name in vocoder.weights}
    modules |= {re.sub(r"\.[^.]+$", "", path) for path in modules}
    for pattern, choice, kind, values in _choices(vocoder):
        paths = [path for path in sorted(modules) if fits(path, pattern) and _concerned(vocoder, path, choice)]
        for scope in dict.fromkeys((pattern, *paths)):
            for value, how in values:
                name = f"{scope}: {how}"
                yield Mistake(name, P, kind, _where(scope, choice), choices={f"{scope}:{choice}": value})


def _concerned(vocoder: VocoderPort, path: str, choice: str) -> bool:
    """Whether a module that a pattern fits is of the sort that has this choice."""
    weights = vocoder.weights
    kernel = weights[f"{path}.conv.weight"].shape[2] if f"{path}.conv.weight" in weights else 0
    transposed = path.endswith(("block.1", ".0")) and path != f"{P}.decoder.0"
    if choice == "padding":
        return kernel > 1 and not transposed
    if choice == "trim":
        return kernel > 1 and transposed
    if choice in ("dilations", "activation place"):
        return f"{path}.block.0.alpha" in weights
    if choice == "form" and "decoder" in path:
        return f"{path}.alpha" in weights
    if choice in ("used", "residual") and "decoder" in path:
        return f"{path}.act1.alpha" in weights
    if choice in ("activation", "residual") and "upsample" in path:
        return f"{path}.gamma" in weights
    return True


def _where(scope: str, choice: str) -> tuple[str, ...]:
    """A choice of attention or branch concerns the module and its layer; of the whole, code2wav alone."""
    parent = scope.rsplit(".", 1)[0]
    more = (parent,) if choice in ("residual", "order", "branches", "padding", "form", "trim", "activation") else ()
    return (scope, *more)


def _others(table: dict[str, Any], *without: str) -> Values:
    return [(name, name) for name in list(table) if name not in without]


def _choices(vocoder: VocoderPort) -> Iterator[tuple[str, str, str, Values]]:
    """Pattern of module paths, choice, kind, wrong values with what they are called."""
    size = vocoder.metadata.__getitem__
    layer = f"{P}.pre_transformer.layers.*"
    attention, unit, block = f"{layer}.self_attn", f"{P}.decoder.*.block.*", f"{P}.decoder.*"
    norms = (f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm", f"{P}.pre_transformer.norm")
    window, theta = size(f"{P}.sliding_window"), size(f"{P}.rope_theta")
    for norm in norms:
        yield norm, "eps", "constant", [(eps, f"epsilon {eps:g}") for eps in (1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 0.1)]
        yield norm, "form", "formula", _others(arithmetic.NORMS, "rms", "unbiased")
    yield f"{P}.upsample.*.*.norm", "eps", "constant", [(e, f"epsilon {e:g}") for e in (1e-2, 1e-3, 1e-5, 0.1)]
    yield f"{P}.upsample.*.*.norm", "form", "formula", _others(arithmetic.NORMS, "layer")
    thetas = (1e2, 1e3, 1e5, 5e5, 1e6)
    yield attention, "theta", "constant", [(t, f"theta {t:g}") for t in thetas if t != theta]
    windows = sorted({1, 2, window // 4, window // 2, window - 1, window + 1, 2 * window, 10**6} - {0, window})
    yield attention, "window", "constant", [(w, f"window {w}") for w in windows]
    yield attention, "scale", "constant", [(s, f"scores divided by {s}") for s in ("d", "1", "sqrt h")]
    yield attention, "rope", "positions", _named("rope", *ROPES)
    yield attention, "rotated", "positions", [("q", "keys not rotated"), ("k", "queries not rotated"), ("", "no rope")]
    yield attention, "position", "positions", _others(arithmetic.POSITIONS, "each", "from one")
    yield attention, "sees", "mask", _named("attention sees", "all", "both sides")
    yield attention, "mask", "mask", [("zero", "masked scores are zero")]
    yield attention, "heads joined", "heads", [("interleaved", "heads joined dimension by dimension")]
    if size(f"{P}.num_attention_heads") != size(f"{P}.num_key_value_heads"):
        yield attention, "key heads", "heads", [("tiled", "key heads tiled where they are repeated")]
    yield attention, "residual", "residual", _named("residual", "none", "normed")
    yield f"{layer}.mlp", "residual", "residual", _named("residual", "none", "normed")
    yield f"{layer}.mlp", "activation", "activation", _others(arithmetic.ACTIVATIONS, "silu")
    yield f"{layer}.mlp", "gate", "formula", [("sum", "gate added instead of multiplied")]
    yield layer, "order", "order", [("mlp first", "mlp before attention")]
    yield layer, "branches", "residual", [("parallel", "attention and mlp in parallel")]
    n = size(f"{P}.num_hidden_layers")
    yield f"{P}.pre_transformer", "layers", "missing", list(_layer_lists(n))
    yield f"{P}.upsample.*.*", "activation", "activation", _others(arithmetic.ACTIVATIONS, "gelu")
    yield f"{P}.upsample.*.*", "residual", "residual", _named("residual", "none", "mean")
    yield f"{P}.upsample.*.*.dwconv", "padding", "padding", _others(port.PADDINGS, "left zeros")
    yield unit, "residual", "residual", _named("residual", "none", "mean")
    yield unit, "used", "missing", [(False, "residual unit left out")]
    yield block, "dilations", "constant", list(_dilation_lists())
    yield block, "activation place", "order", [("after", "Snake after the transposed convolution")]
    yield f"{unit}.conv1", "padding", "padding", _others(port.PADDINGS, "left zeros")
    yield f"{P}.decoder.*", "padding", "padding", _others(port.PADDINGS, "left zeros")
    yield f"{P}.decoder.*.block.*", "trim", "trim", _others(port.TRIMS, "both")
    rates = size(f"{P}.upsample_rates")
    orders = sorted({tuple(order) for order in permutations(rates)} - {tuple(rates)})
    yield f"{P}.decoder", "rates", "constant", [(list(o), f"rates {list(o)}") for o in orders]
    for act in (f"{unit}.act1", f"{unit}.act2", f"{P}.decoder.*.block.*", f"{P}.decoder.*"):
        yield act, "form", "formula", [(f, f"Snake: {f}") for f in port.SNAKES if f != "logarithms"]
    yield P, "limit", "limit", _named("samples", *list(port.LIMITS)[1:])
    yield (
        P,
        "chunk",
        "state",
        [((c, b), f"pieces of {c} with {b} before") for c in (4, 6, 10, 16) for b in (0, 1, 2, 4)],
    )
    embedding = f"{P}.code_embedding"
    yield embedding, "groups", "lookup", _named("groups", *list(port.GROUP_ORDERS)[1:])
    table = size(f"{P}.codebook_size")
    strides = (0, table // 2, table - 1, table + 1, 2 * table)
    yield embedding, "stride", "lookup", [(s, f"offset {s} a group") for s in strides]
    yield embedding, "first", "lookup", [(by, f"codes {by:+d}") for by in (1, -1, table // 2)]
    yield embedding, "group", "lookup", [(by, f"offset of group {by:+d}") for by in (1, -1)]
    yield embedding, "divisor", "reduction", _named("sum divided by", "sqrt n", "1", "n - 1")


def _named(what: str, *values: str) -> Values:
    return [(value, f"{what} {value}") for value in values]


def _layer_lists(n: int) -> Iterator[tuple[Any, str]]:
    for i in range(n):
        yield [j for j in range(n) if j != i], f"layer {i} left out"
    if n > 1:
        yield list(reversed(range(n))), "layers in reverse"


def _dilation_lists() -> Iterator[tuple[Any, str]]:
    for dilations in ([9, 3, 1], [1, 3, 5], [1, 1, 1], [1, 2, 4], [1, 3, 3], [3, 1, 9], [1, 9, 3]):
        yield dilations, f"dilations {dilations}"
