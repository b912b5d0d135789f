"""How a tensor that the engine asks for is made of stored ones, in whichever files these lie."""

from __future__ import annotations

from dataclasses import dataclass

from omniggml._native import ValueChange


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor that is asked for. Shapes are in PyTorch's order. `parts`, one after another: file number, stored name,
    and which of how many equal slices of that tensor. `view`: the axes of the stored values where they have to be
    moved; axis d of ours is axis `axes[d]` of these."""

    name: str
    shape: tuple[int, ...]
    parts: tuple[tuple[int, str, int, int], ...]
    view: tuple[int, ...] = ()
    axes: tuple[int, ...] = ()
    change: ValueChange = ValueChange.none
