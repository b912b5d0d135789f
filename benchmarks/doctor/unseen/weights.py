"""Weights of a GGUF file as arrays in PyTorch's axes, and what may be done to them by mistake."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

_ENDINGS = (".weight", ".bias", ".scale", ".alpha", ".beta", ".gamma")


def read_weights(path: Path, prefix: str = "") -> Weights:
    """Tensors by their names in the checkpoint, float32."""
    found = {}
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.name.startswith(prefix):
            name = tensor.name if tensor.name.endswith(_ENDINGS) else f"{tensor.name}.weight"
            shape = tuple(int(extent) for extent in reversed(tensor.shape))
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            found[name] = np.ascontiguousarray(values, np.float32).reshape(shape)
    return found


def read_metadata(path: Path) -> dict[str, Any]:
    """Metadata by key without the architecture: "code2wav.hidden_size"."""
    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    return {key.removeprefix(f"{architecture}."): entry.contents() for key, entry in reader.fields.items()}


def edited(weights: Weights, edits: tuple[tuple[Any, ...], ...]) -> Weights:
    """A copy with the edits made, in order. A pattern stands for every tensor it fits."""
    changed = dict(weights)
    for operation, pattern, *arguments in edits:
        for name in matching(weights, pattern):
            OPERATIONS[operation](changed, name, *arguments)
    return changed


def matching(weights: Weights, pattern: str) -> list[str]:
    """Names that a pattern fits, in which `*` stands for digits."""
    return [name for name in weights if fits(name, pattern)]


def fits(name: str, pattern: str) -> bool:
    return bool(_compiled(pattern).fullmatch(name))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", r"\d+"))


def _by_value(change: Callable[..., Any]) -> Callable[..., None]:
    def operation(weights: Weights, name: str, *arguments: Any) -> None:
        new = change(weights[name], *arguments)
        weights[name] = np.ascontiguousarray(new, np.float32).reshape(weights[name].shape)

    return operation


def _swap(weights: Weights, name: str, other: str) -> None:
    """`other`: a whole name, or the ending of a sibling's that takes the place of as many parts of the name."""
    other = other if other in weights else sibling(name, other)
    weights[name], weights[other] = weights[other], weights[name]


def sibling(name: str, ending: str) -> str:
    return ".".join([*name.split(".")[: -len(ending.split("."))], ending])


def _take(weights: Weights, name: str, other: str) -> None:
    weights[name] = weights[other]


def _interleaved(w: Any, heads: int) -> Any:
    """Rows of each head as pairs where halves are expected."""
    return w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2)


def _tiled(w: Any, heads: int) -> Any:
    """Rows of all heads, dimension by dimension, where one head after the other is expected."""
    return w.reshape(heads, -1, *w.shape[1:]).swapaxes(0, 1)


def _unit_rows(w: Any) -> Any:
    """As weight normalisation keeps directions, their lengths left out."""
    return w / np.sqrt((w**2).sum(tuple(range(1, w.ndim)), keepdims=True) + 1e-12)


OPERATIONS: dict[str, Callable[..., None]] = {
    "permute": _by_value(lambda w, axes: np.transpose(w, axes)),
    "reverse": _by_value(lambda w, axis: np.flip(w, axis)),
    "roll": _by_value(lambda w, axis, by: np.roll(w, by, axis)),
    "halves": _by_value(lambda w: np.roll(w, w.shape[0] // 2, 0)),
    "interleave": _by_value(_interleaved),
    "tile": _by_value(_tiled),
    "fill": _by_value(lambda w, value: np.full_like(w, value)),
    "scale": _by_value(lambda w, factor: w * factor),
    "unit rows": _by_value(_unit_rows),
    "exp": _by_value(np.exp),
    "plus": _by_value(lambda w, term: w + term),
    "swap": _swap,
    "take": _take,
}
