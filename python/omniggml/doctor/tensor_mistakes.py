"""Every way to misread weights, generated from their names and shapes: a new module needs no line here.

Axes, kernels and packing in another order; tensors in each other's place; left out, scaled, or taken from a neighbour.
Each is tried on all tensors of a class and on each alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, permutations, takewhile
from math import sqrt

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Change = Callable[[FloatArray], npt.NDArray[np.floating]]
Reading = Callable[[Callable[[str], FloatArray]], npt.NDArray[np.floating]]
"""What a tensor takes, given a reader of tensors."""

_FEW_ALIKE = 3
"""Tensors of a class of which the first and the last are exchanged, too."""
_FACTORS = (0.1, 0.5, sqrt(0.5), sqrt(2.0), 2.0, 10.0, -1.0)
MULTIPLIED = "is multiplied by"
_EXCHANGED = (
    ("self_attn.q_proj.weight", "self_attn.k_proj.weight"),
    ("self_attn.q_proj.weight", "self_attn.v_proj.weight"),
    ("self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    ("self_attn.q_proj.weight", "self_attn.o_proj.weight"),
    ("self_attn.v_proj.weight", "self_attn.o_proj.weight"),
    ("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
    ("gate_proj.weight", "up_proj.weight"),
    ("input_layernorm.weight", "post_attention_layernorm.weight"),
    ("self_attn_layer_scale.scale", "mlp_layer_scale.scale"),
    ("alpha", "beta"),
    ("act1.alpha", "act2.alpha"),
    ("act1.beta", "act2.beta"),
    ("conv1.conv.bias", "conv2.conv.bias"),
    ("norm.weight", "norm.bias"),
)
# What a module does that is as good as not there.
_NEUTRAL = (("norm.weight", 1.0), ("layernorm.weight", 1.0), ("scale", 1.0), ("gamma", 1.0))
_VANISHED = -80.0  # as a logarithm
_TELLING = 256  # values


@dataclass(frozen=True)
class TensorMistake:
    """`kind` and `where` name it for programs, `clause` for people: "..., when CLAUSE". `changes`: full name of a
    tensor -> what it takes."""

    kind: str
    where: str
    clause: str
    changes: Mapping[str, Reading]

    def applied(self, read: Callable[[str], FloatArray]) -> dict[str, FloatArray]:
        """The changed tensors, those left out that come out as they were; {} where a change doesn't fit."""
        out = {}
        for name, change in self.changes.items():
            right = read(name)
            try:
                wrong = np.ascontiguousarray(change(read), np.float32)
            except ValueError:
                return {}  # of a class whose shapes differ
            if wrong.shape != right.shape:
                return {}
            if not _are_equal(right, wrong):
                out[name] = wrong
        return out


def _are_equal(right: FloatArray, wrong: FloatArray) -> bool:
    """The first few values of most that differ do."""
    return bool((right.ravel()[:_TELLING] == wrong.ravel()[:_TELLING]).all()) and np.array_equal(right, wrong)


def module_of(name: str) -> str:
    """The module that a tensor belongs to, as the checkpoint's paths name it: the convolution, not its inner `conv`."""
    return name.rpartition(".")[0].removesuffix(".conv")


def class_of(name: str) -> str:
    """The name with its numbers left open."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name)


def tensor_mistakes(shapes: Mapping[str, tuple[int, ...]], heads: Mapping[str, int]) -> Iterator[TensorMistake]:
    """All of them, those of whole classes first. `shapes`: of every tensor by its full name. `heads`: how many heads a
    projection's rows hold, by the ending of its name."""
    classes: dict[str, list[str]] = defaultdict(list)
    for name in shapes:
        classes[class_of(name)].append(name)
    for pattern, names in classes.items():
        if len(names) > 1:
            for kind, clause, change in of_one(names[0], shapes[names[0]], heads):
                yield _misread(kind, module_of(pattern), f"{pattern} {clause}", names, change)
    yield from _exchanged(shapes, whole_classes=True)
    yield from _unloaded_snakes(shapes)
    for name, shape in shapes.items():
        for kind, clause, change in of_one(name, shape, heads):
            yield _misread(kind, module_of(name), f"{name} {clause}", [name], change)
    yield from _exchanged(shapes, whole_classes=False)
    yield from _activations(shapes)
    yield from _layers(shapes)
    yield from _neighbours(classes, shapes)


def _misread(kind: str, where: str, clause: str, names: list[str], change: Change) -> TensorMistake:
    return TensorMistake(kind, where, clause, {name: reading(name, change) for name in names})


def reading(name: str, change: Change) -> Reading:
    """A tensor changed as it is read."""
    return lambda read: change(read(name))


def _unloaded_snakes(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[TensorMistake]:
    """As they are before a checkpoint is loaded into them."""
    for endings, clause in (
        ((".alpha",), "all of Snake's alphas are zero, as before training"),
        ((".beta",), "all of Snake's betas are zero, as before training"),
        ((".alpha", ".beta"), "all of Snake's alphas and betas are zero, as before training"),
    ):
        names = [name for name in shapes if name.endswith(endings)]
        if names:
            yield _misread("missing", common([module_of(name) for name in names]), clause, names, np.zeros_like)


def common(modules: list[str]) -> str:
    """The module that holds all of these."""
    parts = [module.split(".") for module in modules]
    alike = takewhile(lambda level: len({*level}) == 1, zip(*parts, strict=False))
    return ".".join(level[0] for level in alike)


# --- one tensor -------------------------------------------------------------------------------------------------------


def of_one(name: str, shape: tuple[int, ...], heads: Mapping[str, int]) -> Iterator[tuple[str, str, Change]]:
    """Kind, clause, change."""
    yield from _reversed(shape)
    yield from _permuted(shape)
    yield from repacked(name, shape, heads)
    neutral = next((value for ending, value in _NEUTRAL if name.endswith(ending)), 0.0)
    if name.endswith("alpha"):
        neutral = _VANISHED
    yield "missing", "is left out", lambda v: np.full_like(v, neutral)
    for factor in _FACTORS:
        yield "scaled", f"{MULTIPLIED} {factor:.3g}", _times(factor)
    if len(shape) > 1:
        yield "scaled", "has rows of length 1: its weight norm's magnitude is left out", _unit_rows
    if len(shape) > 2 and min(shape[:2]) > 1:
        yield "scaled", "has its weight norm taken along the wrong axis", _normed_across
    if name.endswith(("alpha", "beta")):
        yield "formula", "is exponentiated twice", np.exp
    if name.endswith(("norm.weight", "scale", "gamma")):
        yield "formula", "has one added to it", lambda v: v + 1
        yield "formula", "is exponentiated", np.exp


def scaled_by(factor: float, where: str, names: list[str]) -> TensorMistake:
    """All of these, which `where` stands for, multiplied by the same."""
    return _misread("scaled", module_of(where), f"{where} {MULTIPLIED} {factor:.4g}", names, _times(factor))


def _times(factor: float) -> Change:
    return lambda values: values * np.float32(factor)


def _unit_rows(values: FloatArray) -> FloatArray:
    rows = values.reshape(len(values), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray((rows / np.where(lengths > 0, lengths, 1)).reshape(values.shape), np.float32)


def _normed_across(values: FloatArray) -> FloatArray:
    """[first, second, taps]: the magnitude is of each of the first axis, the direction's length of each of the second.
    As a checkpoint has it whose direction wasn't scaled since it was initialised."""
    along = np.linalg.norm(values, axis=(1, 2), keepdims=True)
    across = np.linalg.norm(values, axis=(0, 2), keepdims=True)
    return np.asarray(values * along / np.where(across > 0, across, 1), np.float32)


def _reversed(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Change]]:
    for axis in range(len(shape) - 1, -1, -1):
        if shape[axis] > 1:
            what = (
                "kernel" if len(shape) > 2 and axis == len(shape) - 1 else f"axis {axis}" if len(shape) > 1 else "order"
            )
            yield "permuted", f"has its {what} reversed", _flipped(axis)
    if len(shape) in (1, 3) and shape[-1] > 1:
        what = "has its kernel" if len(shape) > 1 else "is"
        for step in (1, -1):
            yield "permuted", f"{what} read {'one place on' if step > 0 else 'one place back'}", _rolled(step)
    if len(shape) == 3 and shape[-1] == 2:  # of which each makes one of two samples
        yield "copied", "has its first tap in both places", _of_one_tap(0)
        yield "copied", "has its last tap in both places", _of_one_tap(-1)


def _of_one_tap(tap: int) -> Change:
    return lambda values: np.repeat(values[..., tap : tap + 1 or None], values.shape[-1], axis=-1)


def _flipped(axis: int) -> Change:
    return lambda values: np.flip(values, axis)


def _rolled(step: int) -> Change:
    return lambda values: np.roll(values, step, axis=-1)


def _permuted(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Change]]:
    """Its bytes read with the axes in another order, and bytes written so read as they should be."""
    for order in list(permutations(range(len(shape))))[1:]:
        if [axis for axis in order if shape[axis] > 1] != [axis for axis in range(len(shape)) if shape[axis] > 1]:
            yield "permuted", f"has its axes in the order {list(order)}", _turned(order)
            if len({extent for extent in shape if extent > 1}) > 1:
                yield "permuted", f"is read as if its axes were in the order {list(order)}", _turned_back(order)


def _turned(order: tuple[int, ...]) -> Change:
    return lambda values: np.ascontiguousarray(values.transpose(order)).reshape(values.shape)


def _turned_back(order: tuple[int, ...]) -> Change:
    def change(values: FloatArray) -> FloatArray:
        other = values.reshape([values.shape[axis] for axis in order])
        return np.ascontiguousarray(other.transpose(np.argsort(order)))

    return change


def repacked(name: str, shape: tuple[int, ...], heads: Mapping[str, int]) -> Iterator[tuple[str, str, Change]]:
    """Rows of a matrix in other packings: heads, halves, pairs."""
    if len(shape) < 2:
        return
    rows = shape[0]
    count = next((n for ending, n in heads.items() if name.endswith(ending)), 0)
    if count > 1 and rows % count == 0:
        yield "permuted", "has its heads stored dimension by dimension", _regrouped((count, -1), (1, 0))
        yield "permuted", "is read as if its heads were stored dimension by dimension", _regrouped((-1, count), (1, 0))
    if count and rows % (2 * count) == 0:
        yield "permuted", "has the halves of its heads stored as pairs", _regrouped((count, 2, -1), (0, 2, 1))
        yield (
            "permuted",
            "is read as if halves of its heads were stored as pairs",
            _regrouped((count, -1, 2), (0, 2, 1)),
        )
    if rows % 2 == 0:
        yield "permuted", "has the halves of its rows exchanged", lambda v: np.roll(v, len(v) // 2, axis=0)
        yield "permuted", "has its rows packed as pairs", _regrouped((2, -1), (1, 0))
        yield "permuted", "is read as if its rows were packed as pairs", _regrouped((-1, 2), (1, 0))


def _regrouped(groups: tuple[int, ...], order: tuple[int, ...]) -> Change:
    def change(values: FloatArray) -> FloatArray:
        rows = values.reshape(*groups, -1) if -1 not in groups else values.reshape(*_whole(groups, len(values)), -1)
        return np.ascontiguousarray(rows.transpose(*order, len(order))).reshape(values.shape)

    return change


def _whole(groups: tuple[int, ...], rows: int) -> tuple[int, ...]:
    known = int(np.prod([n for n in groups if n > 0]))
    return tuple(n if n > 0 else rows // known for n in groups)


# --- several tensors --------------------------------------------------------------------------------------------------


def _exchanged(shapes: Mapping[str, tuple[int, ...]], *, whole_classes: bool) -> Iterator[TensorMistake]:
    for one, other in _EXCHANGED:
        pairs = [
            (name, partner)
            for name in shapes
            if name.endswith(one)
            and shapes.get(partner := name.removesuffix(one) + other, ()) == shapes[name]
            and (name.removesuffix(one)[-1:] in (".", "") or "norm" in one)
        ]
        if whole_classes:
            groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
            for pair in pairs:
                groups[class_of(pair[0])].append(pair)
            for pattern, some in groups.items():
                if len(some) > 1:
                    yield _swap(some, pattern, other)
                    yield from _tied(some, module_of(pattern), pattern, other)
        else:
            for pair in pairs:
                yield _swap([pair], pair[0], other)
                yield from _tied([pair], module_of(pair[0]), pair[0], other)


def _swap(pairs: list[tuple[str, str]], where: str, other: str) -> TensorMistake:
    changes = {}
    for one, two in pairs:
        changes[one], changes[two] = taking(two), taking(one)
    return TensorMistake("swapped", module_of(where), f"{where} and {other} are exchanged", changes)


def _tied(pairs: list[tuple[str, str]], where: str, one: str, other: str) -> Iterator[TensorMistake]:
    """One object where two belong: `other` where `one` does, and the other way round."""
    yield TensorMistake("copied", where, f"{other} stands in for {one}", {a: taking(b) for a, b in pairs})
    yield TensorMistake("copied", where, f"{one} stands in for {other}", {b: taking(a) for a, b in pairs})


def _activations(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[TensorMistake]:
    """Snakes of one residual unit in each other's place, or one for both."""
    units = [name.removesuffix("act1.alpha") for name in shapes if name.endswith("act1.alpha")]
    scopes = [(class_of(units[0]), units)] if len(units) > 1 else []
    for where, own in [*scopes, *((unit, [unit]) for unit in units)]:
        one = f"{where}act1"
        pairs = [(f"{unit}act1.{leaf}", f"{unit}act2.{leaf}") for unit in own for leaf in ("alpha", "beta")]
        yield TensorMistake("swapped", one, f"{one} and act2 are exchanged", _swap(pairs, one, "act2").changes)
        yield from _tied(pairs, one, one, "act2")


def taking(name: str) -> Reading:
    """Another in its place."""
    return lambda read: read(name)


def _neighbours(classes: Mapping[str, list[str]], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[TensorMistake]:
    """Tensors of one class and shape that stand next to each other."""
    for names in classes.values():
        for shape in dict.fromkeys(shapes[name] for name in names):
            alike = [name for name in names if shapes[name] == shape]
            if len(alike) == _FEW_ALIKE:
                yield _swap([(alike[0], alike[-1])], alike[0], alike[-1])
            for one, two in pairwise(alike):
                yield _swap([(one, two)], one, two)
                for to, source in ((one, two), (two, one)):
                    yield TensorMistake("copied", module_of(to), f"{source} stands in for {to}", {to: taking(source)})


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[TensorMistake]:
    """Whole layers, residual units and stages."""
    layers: dict[str, list[str]] = defaultdict(list)
    for name in shapes:
        if found := re.match(r"(.*\.layers\.\d+|.*\.block\.[234]|.*\.upsample\.\d+)\.", name):
            layers[found[1]].append(name.removeprefix(found[1]))
    for one, two in pairwise(layers):
        same = one.rpartition(".")[0] == two.rpartition(".")[0] and layers[one] == layers[two]
        if not same or any(shapes[one + end] != shapes[two + end] for end in layers[one]):
            continue
        pairs = [(one + end, two + end) for end in layers[one]]
        swapped = _swap(pairs, one, two)
        yield TensorMistake("swapped", one, f"{one} and {two} are exchanged", swapped.changes)
        yield TensorMistake("copied", one, f"{two} stands in for {one}", {a: taking(b) for a, b in pairs})
        yield TensorMistake("copied", two, f"{one} stands in for {two}", {b: taking(a) for a, b in pairs})
