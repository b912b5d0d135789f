"""The plan by which the engine sees foreign files as ours: every tensor of ours, and how it is made of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omniggml._native import ValueChange
from omniggml.files.contents import Contents, Part
from omniggml.files.families import Layout
from omniggml.gguf.metadata import Metadata
from omniggml.gguf.planned_tensor import PlannedTensor
from omniggml.spec.expected_tensors import Named, stack_experts
from omniggml.spec.speech_file import short_name

_CHANGES = {Layout.EXPONENTIAL: ValueChange.logarithm, Layout.RECIPROCAL: ValueChange.log_of_reciprocal}
_MOST_NAMED = 5


def stacked(tensors: Iterable[Named]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint as our files have them: experts stacked, long names short."""
    return {short_name(name): stack.shape for name, stack in stack_experts(tensors).items()}


def missing(expected: Iterable[str], contents: Contents) -> list[str]:
    """Tensors of ours that the files don't have."""
    return [name for name in expected if name not in contents.parts]


def plan_tensors(expected: dict[str, tuple[int, ...]], contents: Contents) -> list[PlannedTensor]:
    """A plan for every expected tensor. Raises ModelFileError where one is missing or one too many is there."""
    if lacking := missing(expected, contents):
        raise contents.blame(lacking[0], f"it lacks {some_of(_of_one_file(lacking, contents))}")
    if surplus := [name for name in contents.parts if name not in expected]:
        of_one = _of_one_file(surplus, contents) + contents.unknown
        raise contents.blame(
            surplus[0], f"it holds tensors that its other tensors leave no place for: {some_of(of_one)}"
        )
    if contents.unknown:
        raise contents.blame(
            "", f"it holds tensors that its other tensors leave no place for: {some_of(contents.unknown)}"
        )
    return [plan_tensor(name, shape, contents.parts[name]) for name, shape in expected.items()]


def _of_one_file(names: list[str], contents: Contents) -> list[str]:
    """Those that come from the file that the first comes from."""
    holder = contents.holder(names[0])
    return [name for name in names if contents.holder(name) == holder]


def plan_tensor(name: str, shape: tuple[int, ...], parts: list[Part]) -> PlannedTensor:
    """How one tensor is made."""
    layout = parts[0].layout
    view, axes = _moved(layout, shape)
    return PlannedTensor(
        name,
        shape,
        tuple((part.file, part.stored.name, part.slice, part.slices) for part in parts),
        view,
        axes,
        _CHANGES.get(layout, ValueChange.none),
    )


def plain_metadata(metadata: Metadata) -> dict[str, Any]:
    """Values without their types."""
    return {key: value for key, (value, _, _) in metadata.items()}


def _moved(layout: Layout, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The stored axes for our shape, and where each of ours is among them."""
    if layout is Layout.REVERSED:
        return shape[::-1], tuple(range(len(shape)))[::-1]
    if layout is Layout.COLUMNS:
        width_in, width_out, kernel = shape
        return (width_out, kernel, width_in), (2, 0, 1)
    return (), ()


def some_of(names: list[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
