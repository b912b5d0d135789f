"""What a GGUF file will hold: each tensor's name, shape, type, and the checkpoint tensors it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gguf import GGMLQuantizationType

from omniggml.convert.expected_tensors import Named, expert_prefix


class TypeChoice(Protocol):
    """Says which type a tensor gets: see `precision.py`, `omniggml.quantize.policy`."""

    def type_of(self, name: str, shape: tuple[int, ...]) -> GGMLQuantizationType:
        """`name`: the checkpoint's, experts without their number; `shape`: PyTorch's."""
        ...


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of a file. `shape` is PyTorch's; several `sources` are stacked along a new first axis."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    sources: tuple[str, ...]


def plan_tensors(tensors: Iterable[Named], types: TypeChoice, rename: Callable[[str], str]) -> list[PlannedTensor]:
    """Stack experts, choose types, and give every tensor the name that `rename` makes of its checkpoint name.

    `p.mlp.experts.0.up_proj.weight`, `p.mlp.experts.1...` become one `p.mlp.experts.up_proj.weight` of three axes.
    """
    sources: dict[str, list[str]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in tensors:
        expert = expert_prefix(name)
        stacked = name if expert is None else f"{expert[0]}{expert[1]}.weight"
        sources.setdefault(stacked, []).append(name)
        shapes[stacked] = shape
    return [
        PlannedTensor(
            name=rename(stacked),
            shape=shapes[stacked] if parts == [stacked] else (len(parts), *shapes[stacked]),
            type=types.type_of(stacked, shapes[stacked]),
            sources=tuple(parts),
        )
        for stacked, parts in sources.items()
    ]
