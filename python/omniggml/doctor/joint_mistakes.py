"""Mistakes that a port makes in many tensors alike, and in whole modules: generated from names and shapes, too.

One function reads all linear weights and another all convolutions, one packs queries and keys; a table of names may
have any two modules in each other's place, or count them from another one on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from omniggml.doctor.tensor_mistakes import (
    MULTIPLIED,
    Change,
    FloatArray,
    Reading,
    TensorMistake,
    class_of,
    common,
    module_of,
    of_one,
    reading,
    repacked,
    taking,
)

Paths = tuple[str, ...]
_ORDERS: tuple[tuple[str, str, int, Callable[[Paths], Paths]], ...] = (
    ("the first", "copied", 2, lambda paths: len(paths) * paths[:1]),
    ("the last", "copied", 2, lambda paths: len(paths) * paths[-1:]),
    ("the next", "swapped", 3, lambda paths: (*paths[1:], paths[0])),
    ("the one before", "swapped", 3, lambda paths: (paths[-1], *paths[:-1])),
    ("the other end", "swapped", 4, lambda paths: paths[::-1]),
)
"""Words, kind, of how many at the least this is another than two exchanged, and what stands in for each."""

Shapes = Mapping[str, tuple[int, ...]]


def joint_mistakes(shapes: Shapes, heads: Mapping[str, int], transposed: str) -> Iterator[TensorMistake]:
    """All of them, those of many modules first. `heads`: see `tensor_mistakes`. `transposed`: pattern of the paths of
    transposed convolutions, which no shape tells from others."""
    yield from _of_heads(shapes, heads)
    yield from _fused(shapes, heads)
    yield from _of_families(shapes, _families(shapes, transposed))
    groups = _groups(shapes)
    yield from _counted_otherwise(groups)
    yield from _exchanged_in_all(groups)
    for group in groups:
        yield from _exchanged(group)


# --- of one sort ------------------------------------------------------------------------------------------------------


def _families(shapes: Shapes, transposed: str) -> dict[str, list[str]]:
    """Tensors that one function loads, by what they are called."""
    families: dict[str, list[str]] = defaultdict(list)
    for name in shapes:
        sort, leaf = _sort(name, shapes, transposed), name.rpartition(".")[2]
        if sort:
            families[f"the {leaf} of every {sort}"].append(name)
        if sort.endswith("convolution"):
            families[f"the {leaf} of every convolution, transposed or not,"].append(name)
    return families


def _sort(name: str, shapes: Shapes, transposed: str) -> str:
    """What the tensor's module is; "" for one that is alone of its sort."""
    own, leaf = name.rpartition(".")[0], name.rpartition(".")[2]
    if leaf in ("alpha", "beta"):
        return "Snake"
    if leaf not in ("weight", "bias"):
        return "layer scale" if leaf == "scale" else ""
    dimensions = len(shapes.get(f"{own}.weight", ()))
    if dimensions == len(("out", "in", "kernel")):
        return "transposed convolution" if re.fullmatch(transposed, module_of(name)) else "convolution"
    if dimensions == len(("out", "in")):
        return "" if own.endswith("embedding") else "linear layer"
    return "layer norm" if f"{own}.bias" in shapes else "RMS norm"


def _of_families(shapes: Shapes, families: Mapping[str, Sequence[str]]) -> Iterator[TensorMistake]:
    """Those of one class are tried by themselves, and heads apart; nobody has one factor for all of a sort."""
    for family, names in (*families.items(), *_but_for_single_ones(families)):
        changes: dict[tuple[str, str], dict[str, Change]] = defaultdict(dict)
        for name in names:
            for kind, clause, change in of_one(name, shapes[name], {}):
                changes[kind, clause][name] = change
        for (kind, clause), own in changes.items():
            if len({class_of(name) for name in own}) > 1 and not clause.startswith(MULTIPLIED):
                yield _misread(kind, common([module_of(name) for name in own]), f"{family} {clause}", own)


def _but_for_single_ones(families: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[str]]]:
    """Without what is alone of its class, as the norm behind all layers is."""
    for family, names in families.items():
        classes = Counter(map(class_of, names))
        alone = [name for name in names if classes[class_of(name)] == 1]
        if alone:
            but = " and ".join(module_of(name) for name in alone)
            yield f"{family} but {but}", [name for name in names if name not in alone]


def _misread(kind: str, where: str, clause: str, changes: Mapping[str, Change]) -> TensorMistake:
    return TensorMistake(kind, where, clause, {name: reading(name, change) for name, change in changes.items()})


def _of_heads(shapes: Shapes, heads: Mapping[str, int]) -> Iterator[TensorMistake]:
    """Projections of one attention packed alike: queries and keys, or values, too; each as if it had its own number of
    heads, or that of queries."""
    endings = list(heads)
    queries = [name for name in shapes if any(name.endswith(ending) for ending in endings[:1])]
    for pattern, own in _scopes(queries):
        where = pattern.removesuffix(endings[0]) + module_of(endings[0]).rpartition(".")[0]
        for some in (endings[:n] for n in range(2, len(endings) + 1)):
            names = [query.removesuffix(endings[0]) + ending for query in own for ending in some]
            whose = f"{' and '.join(module_of(ending).rpartition('.')[2] for ending in some)} of {where}"
            for clause, changes in _packed(names, shapes, heads):
                yield _misread("permuted", where, f"each of {whose} {clause}", changes)
            if len({heads[ending] for ending in some}) > 1:
                of_queries = dict.fromkeys(endings, heads[endings[0]])
                for clause, changes in _packed(names, shapes, of_queries):
                    words = f"each of {whose} {clause}, as if it had as many heads as queries have"
                    yield _misread("permuted", where, words, changes)


def _fused(shapes: Shapes, heads: Mapping[str, int]) -> Iterator[TensorMistake]:
    """Queries, keys and values cut from one matrix that holds them otherwise: one behind the other, or head by head."""
    endings = list(heads)
    queries = [name for name in shapes if any(name.endswith(ending) for ending in endings[:1])]
    for pattern, own in _scopes(queries):
        every = [[query.removesuffix(endings[0]) + ending for ending in endings] for query in own]
        if any(shapes.get(name) != shapes[names[0]] for names in every for name in names):
            continue
        where = pattern.removesuffix(endings[0]) + module_of(endings[0]).rpartition(".")[0]
        for words, head_by_head in (
            ("head by head from a matrix that holds them one behind the other", True),
            ("one behind the other from a matrix that holds them head by head", False),
        ):
            changes: dict[str, Reading] = {}
            for names in every:
                changes |= {name: _cut(names, n, heads[endings[0]], head_by_head) for n, name in enumerate(names)}
            yield TensorMistake("permuted", where, f"queries, keys and values of {where} are cut {words}", changes)


def _cut(names: Sequence[str], number: int, heads: int, head_by_head: bool) -> Reading:
    def read_from(read: Callable[[str], FloatArray]) -> FloatArray:
        own = np.stack([read(name) for name in names])  # [3, rows, columns]
        shape, n = own.shape[1:], len(own)
        if head_by_head:
            return np.asarray(own.reshape(heads, n, -1, shape[1])[:, number].reshape(shape))
        held = own.reshape(n, heads, -1, shape[1]).swapaxes(0, 1)
        return np.asarray(held.reshape(n, *shape)[number])

    return read_from


def _packed(names: Sequence[str], shapes: Shapes, heads: Mapping[str, int]) -> Iterator[tuple[str, dict[str, Change]]]:
    """What can be done to all of them, and how."""
    packings = [{clause: change for _, clause, change in repacked(name, shapes[name], heads)} for name in names]
    for clause in packings[0]:
        if all(clause in packing for packing in packings):
            yield clause, {name: packing[clause] for name, packing in zip(names, packings, strict=True)}


def _scopes(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """All of a class, then each alone."""
    for pattern in dict.fromkeys(map(class_of, names)):
        own = [name for name in names if class_of(name) == pattern]
        if len(own) > 1:
            yield pattern, own
    yield from ((name, [name]) for name in names)


# --- in each other's place --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Group:
    """Modules, or tensors, of one class whose tensors have the same names and shapes; `ends`: what follows a path."""

    paths: Paths
    ends: tuple[str, ...]

    def where(self, path: str) -> str:
        """The module."""
        return module_of(path) if self.ends == ("",) else path

    def taking(self, sources: Mapping[str, str]) -> dict[str, Reading]:
        """Each tensor from the module that stands in for its own."""
        pairs = [(to, source) for to, source in sources.items() if to != source]
        return {to + end: taking(source + end) for to, source in pairs for end in self.ends}


def _groups(shapes: Shapes) -> list[_Group]:
    """Of modules and tensors that may be taken for each other."""
    held: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, shape in shapes.items():
        held[name][""] = shape
        path = name
        while path := module_of(path):
            held[path][name.removeprefix(path)] = shape
    alike: dict[tuple[str, tuple[tuple[str, tuple[int, ...]], ...]], list[str]] = defaultdict(list)
    for path, ends in held.items():
        if len(ends) > 1 or "" in ends:
            alike[class_of(path), tuple(ends.items())].append(path)
    return [_Group(tuple(paths), tuple(end for end, _ in ends)) for (_, ends), paths in alike.items() if len(paths) > 1]


def _counted_otherwise(groups: Sequence[_Group]) -> Iterator[TensorMistake]:
    """All of a class, wherever they stand together, from another one on, or one in place of all."""
    classes: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        classes[class_of(group.paths[0])].append(group)
    for pattern, own in classes.items():
        for words, kind, fewest, order in _ORDERS:
            changes: dict[str, Reading] = {}
            for group in own:
                if len(group.paths) >= fewest:
                    changes |= group.taking(dict(zip(group.paths, order(group.paths), strict=True)))
            if changes:
                yield TensorMistake(kind, own[0].where(pattern), f"each of {pattern} is taken from {words}", changes)


def _pairs(group: _Group) -> list[tuple[str, str]]:
    """Neighbours first."""
    number = {path: i for i, path in enumerate(group.paths)}
    return sorted(combinations(group.paths, 2), key=lambda pair: number[pair[1]] - number[pair[0]])


def _exchanged_in_all(groups: Sequence[_Group]) -> Iterator[TensorMistake]:
    """The same two in every module that has them."""
    found: dict[tuple[str, str], list[tuple[_Group, str, str]]] = defaultdict(list)
    for group in groups:
        for one, other in combinations(group.paths, 2):
            found[_in_all(one, other)].append((group, one, other))
    for (one, other), pairs in found.items():
        if one != other and len(pairs) > 1:
            changes: dict[str, Reading] = {}
            for group, a, b in pairs:
                changes |= group.taking({a: b, b: a})
            yield TensorMistake("swapped", pairs[0][0].where(one), f"{one} and {other} are exchanged", changes)


def _in_all(one: str, other: str) -> tuple[str, str]:
    """Two paths that differ in one number, with the others left open; twice the same where they differ in more."""
    levels = [(a, b) for a, b in zip(one.split("."), other.split("."), strict=True)]
    if sum(a != b for a, b in levels) > 1:
        return "", ""
    open_ = [(a, b) if a != b else ("*", "*") if a.isdigit() else (a, b) for a, b in levels]
    return ".".join(a for a, _ in open_), ".".join(b for _, b in open_)


def _exchanged(group: _Group) -> Iterator[TensorMistake]:
    for one, other in _pairs(group):
        clause = f"{one} and {other} are exchanged"
        yield TensorMistake("swapped", group.where(one), clause, group.taking({one: other, other: one}))
        for to, source in ((one, other), (other, one)):
            clause = f"{source} stands in for {to}"
            yield TensorMistake("copied", group.where(to), clause, group.taking({to: source}))
