"""Names of tensors as programs save them -> the published checkpoint's.

transformers 5 keeps a layer's experts as one tensor in memory, and its language model one module deeper, and saves
them so with `save_original_format=False`; a model within another has a prefix; the thinker saved alone has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from omniggml.spec.bounds import MOST_EXPERTS

_PARTS = ("thinker.", "talker.", "code2wav.")
_WRAPPERS = ("model.", "module.", "_orig_mod.")
_IN_THINKER = ("model.", "lm_head.", "audio_tower.", "visual.")
_MOVED = (
    ("thinker.model.language_model.", "thinker.model."),
    ("thinker.model.audio_tower.", "thinker.audio_tower."),
    ("thinker.model.visual.", "thinker.visual."),
)
_FUSED = re.compile(r"(.*\.mlp\.experts\.)(gate_up_proj|down_proj)")


def published_name(name: str) -> str:
    """The name without wrappers, modules where the published checkpoint has them. Fused experts keep theirs."""
    bare = _unwrapped(name)
    if bare is None:
        bare = f"thinker.{name}" if name.startswith(_IN_THINKER) else name
    for theirs, ours in _MOVED:
        if bare.startswith(theirs):
            return ours + bare.removeprefix(theirs)
    return bare


def _unwrapped(name: str) -> str | None:
    while not name.startswith(_PARTS):
        wrapper = next((one for one in _WRAPPERS if name.startswith(one)), None)
        if wrapper is None:
            return None
        name = name.removeprefix(wrapper)
    return name


class Slice(NamedTuple):
    """One expert's matrix in a fused tensor: `row` and `rows` of all its rows, which are as long as `columns`."""

    name: str
    row: int
    rows: int
    columns: int


def fused_experts(name: str, shape: tuple[int, ...]) -> Iterator[Slice] | None:
    """What a fused tensor [experts, out, in] is made of, gate before up; None for every other tensor."""
    found = _FUSED.fullmatch(name)
    if found is None or len(shape) != 3 or shape[0] > MOST_EXPERTS:
        return None
    parts = ("gate_proj", "up_proj") if found[2] == "gate_up_proj" else ("down_proj",)
    return _slices(found[1], parts, shape) if shape[1] % len(parts) == 0 else None


def _slices(prefix: str, parts: tuple[str, ...], shape: tuple[int, ...]) -> Iterator[Slice]:
    experts, out, columns = shape
    rows = out // len(parts)
    for expert in range(experts):
        for number, part in enumerate(parts):
            yield Slice(f"{prefix}{expert}.{part}.weight", expert * out + number * rows, rows, columns)
