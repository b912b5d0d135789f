"""Faults in files: right files with tensors changed, by the same grammar and by what converters do besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from .mistake import Mistake
from .tensor_mistakes import every, module, stage, tensor_mistakes
from .weights import Weights, edited, read_weights


def mistakes(path: Path) -> dict[str, list[Mistake]]:
    """By family, those that a file alone can tell in principle: what siblings, geometry or the values themselves give
    away. Harmless ones, a factor of 2 or rows in another order, are left to a reference."""
    weights = read_weights(path)
    families: dict[str, list[Mistake]] = {
        "all one": [], "nearly zero": [], "ten times": [], "not averaged": [], "copied": [], "exponentiated": [],
        "noise": [], "nearly constant": [], "zero rows": [],
    }  # fmt: skip
    for name, values in weights.items():
        for family, kind, edit in _of(name, values):
            mistake = Mistake(f"{name}: {family}", stage(name), kind, (module(name), name), (edit,))
            families[family].append(mistake)
    for mistake in tensor_mistakes(weights, {}):
        if mistake.kind == "copied" and mistake.edits[0][0] == "take" and _large(weights, mistake):
            families["copied"].append(mistake)
    return families


def _of(name: str, values: Any) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    if name.endswith(("norm.weight", ".scale", ".gamma")):
        yield "all one", "missing", ("fill", name, 1.0)
        yield "nearly zero", "scaled", ("fill", name, 1e-6)
    if values.ndim > 1:
        yield "ten times", "scaled", ("scale", name, 10.0)
        yield "nearly zero", "scaled", ("scale", name, 1e-6)
        yield "nearly constant", "missing", ("fill", name, 0.01)
        yield "noise", "missing", ("noise", name)
        yield "zero rows", "missing", ("zero rows", name)
    if name.endswith("code_embedding.weight"):
        yield "not averaged", "formula", ("sums", name)
    if name.endswith((".alpha", ".beta")):
        yield "exponentiated", "formula", ("exp", name)


def _large(weights: Weights, mistake: Mistake) -> bool:
    one, other = mistake.edits[0][1:3]
    return weights[one].ndim > 1 and every(one) == every(other)


OWN = ("noise", "sums", "zero rows")


def changed(weights: Weights, mistake: Mistake, seed: int) -> Weights:
    """With the file's own operations, which need a generator."""
    rng, weights = np.random.default_rng(seed), dict(weights)
    for operation, name, *_ in (edit for edit in mistake.edits if edit[0] in OWN):
        values = weights[name].copy()
        if operation == "noise":
            values = rng.normal(0, values.std(), values.shape)
        elif operation == "sums":  # as exponential averages keep them: sums, to be divided by how often each was used
            values = values * rng.gamma(0.5, 40, (len(values), 1))
        else:
            values[len(values) // 2 :] = 0
        weights[name] = values.astype(np.float32)
    return edited(weights, tuple(edit for edit in mistake.edits if edit[0] not in OWN))


def write(source: Path, target: Path, mistake: Mistake, seed: int) -> Path:
    """The file with the mistake in it, every tensor in its own type."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for key, entry in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kind = entry.types[0]
            element = entry.types[1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, entry.contents(), kind, element)
    before = read_weights(source)
    after = changed(before, mistake, seed)
    for tensor, name in zip(reader.tensors, before, strict=True):
        data, kind = tensor.data, tensor.tensor_type
        if after[name] is not before[name]:
            data = gguf.quants.quantize(after[name], kind)
        writer.add_tensor(tensor.name, np.ascontiguousarray(data), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
