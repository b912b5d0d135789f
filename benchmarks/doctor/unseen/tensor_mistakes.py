"""Mistakes in how weights are read, generated from the tensors' names and shapes: a new module needs no line here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise, permutations
from typing import Any

from .mistake import Mistake
from .weights import Weights, sibling

PAIRS = (
    ("self_attn.q_proj.weight", "self_attn.k_proj.weight"),
    ("self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    ("self_attn.q_proj.weight", "self_attn.o_proj.weight"),
    ("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
    ("gate_proj.weight", "up_proj.weight"),
    ("input_layernorm.weight", "post_attention_layernorm.weight"),
    ("self_attn_layer_scale.scale", "mlp_layer_scale.scale"),
    ("alpha", "beta"),
    ("act1.alpha", "act2.alpha"),
    ("act1.beta", "act2.beta"),
    ("conv1.conv.bias", "conv2.conv.bias"),
)
FACTORS = (0.1, 0.5, 0.7071, 1.4142, 2.0, 10.0)
NEUTRAL = (("norm.weight", 1.0), ("scale", 1.0), ("gamma", 1.0))


def module(name: str) -> str:
    """The module that a tensor belongs to, as a person names it: the convolution, not its inner `conv`."""
    return re.sub(r"\.conv$", "", name.rsplit(".", 1)[0])


def every(name: str) -> str:
    """The pattern of all tensors of a name's class."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def stage(name: str) -> str:
    return "code_predictor" if ".code_predictor." in name else name.split(".")[0]


def tensor_mistakes(weights: Weights, heads: dict[str, int]) -> Iterator[Mistake]:
    """All of them: each of one tensor, and of all tensors of its class. `heads`: how many a projection has, by the
    pattern of its name."""
    for name, values in weights.items():
        for what, kind, edit in _of_one(name, values.shape, heads):
            yield from _scoped(what, kind, name, edit)
    yield from _pairs(weights)
    yield from _neighbours(weights)


def _of_one(name: str, shape: tuple[int, ...], heads: dict[str, int]) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """What was done, its kind, the operation with its arguments."""
    if len(shape) == 1:
        yield "read backwards", "permuted", ("reverse", 0)
        yield "read one place further on", "permuted", ("roll", 0, 1)
    else:
        yield "first axis read backwards", "permuted", ("reverse", 0)
        if shape[-1] > 1:
            yield "last axis read backwards", "permuted", ("reverse", len(shape) - 1)
        yield "directions without lengths", "scaled", ("unit rows",)
        for axes in list(permutations(range(len(shape))))[1:]:
            if [axis for axis in axes if shape[axis] > 1] != sorted(axis for axis in axes if shape[axis] > 1):
                yield f"axes in the order {list(axes)}", "permuted", ("permute", list(axes))
    for pattern, count in heads.items():
        if every(name) == pattern and count > 1:
            yield "halves of a head stored as pairs", "permuted", ("interleave", count)
            yield "heads stored dimension by dimension", "permuted", ("tile", count)
    if name.endswith(("up_proj.weight", "gate_proj.weight", "pwconv1.weight")):
        yield "halves of the rows exchanged", "permuted", ("halves",)
    if name.endswith("alpha"):
        yield "taken as zero", "missing", ("fill", -80.0)
    neutral = next((value for ending, value in NEUTRAL if name.endswith(ending)), 0.0)
    if len(shape) < 3 or name.endswith(".weight"):
        yield "left out", "missing", ("fill", neutral)
    for factor in FACTORS:
        yield f"multiplied by {factor:g}", "scaled", ("scale", factor)
    if name.endswith(("alpha", "beta")):
        yield "exponentiated before", "formula", ("exp",)
    if name.endswith(("norm.weight", "scale", "gamma")):
        yield "with one added", "formula", ("plus", 1.0)


def _scoped(what: str, kind: str, name: str, edit: tuple[Any, ...]) -> Iterator[Mistake]:
    operation, *arguments = edit
    for pattern in dict.fromkeys((name, every(name))):
        where = (module(pattern), pattern)
        yield Mistake(f"{pattern}: {what}", stage(name), kind, where, ((operation, pattern, *arguments),))


def _pairs(weights: Weights) -> Iterator[Mistake]:
    for name, values in weights.items():
        for one, other in PAIRS:
            partner = sibling(name, other)
            fits = name.endswith(one) and partner in weights and weights[partner].shape == values.shape
            if not fits:
                continue
            for pattern in dict.fromkeys((name, every(name))):
                both = (pattern, sibling(pattern, other))
                edit = ("swap", pattern, partner if pattern == name else other)
                where = _places(both, other)
                yield Mistake(f"{both[0]} and {other} exchanged", stage(name), "swapped", where, (edit,))


def _places(both: tuple[str, str], other: str) -> tuple[str, ...]:
    """Either tensor, either module, and the module that holds the two."""
    parent = both[0].rsplit(".", len(other.split(".")))[0]
    return tuple(dict.fromkeys((*map(module, both), *both, parent, *([module(parent + ".x")]))))


def _neighbours(weights: Weights) -> Iterator[Mistake]:
    """Tensors of one class and shape that stand next to each other, and whole layers."""
    classes: dict[str, list[str]] = defaultdict(list)
    for name, values in weights.items():
        classes[f"{every(name)} {values.shape}"].append(name)
    for names in classes.values():
        for one, other in pairwise(names):
            where = (module(one), one, module(other), other)
            yield Mistake(f"{one} and {other} exchanged", stage(one), "swapped", where, (("swap", one, other),))
            yield Mistake(f"{one}: {other} in its place", stage(one), "copied", where, (("take", one, other),))
            yield Mistake(f"{other}: {one} in its place", stage(one), "copied", where, (("take", other, one),))
    yield from _layers(weights)


def _layers(weights: Weights) -> Iterator[Mistake]:
    layers: dict[str, list[str]] = defaultdict(list)
    for name in weights:
        if found := re.match(r"(.*\.layers\.\d+|.*\.block\.[234]|.*\.upsample\.\d+)\.", name):
            layers[found[1]].append(name)
    for one, other in pairwise(layers):
        pairs = [(name, other + name.removeprefix(one)) for name in layers[one]]
        same = every(f"{one}.") == every(f"{other}.") and one.rsplit(".", 1)[0] == other.rsplit(".", 1)[0]
        if same and all(b in weights and weights[a].shape == weights[b].shape for a, b in pairs):
            swaps = tuple(("swap", *pair) for pair in pairs)
            takes = tuple(("take", *pair) for pair in pairs)
            yield Mistake(f"{one} and {other} exchanged", stage(one + "."), "swapped", (one, other), swaps)
            yield Mistake(f"{one}: {other} in its place", stage(one + "."), "copied", (one, other), takes)
