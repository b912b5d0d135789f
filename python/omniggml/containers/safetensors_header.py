"""The header of a safetensors file, whose format has each name once, no keys but its own, and no byte that is no
tensor's; readers pass over what breaks that, each in its own way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from omniggml.containers.named_once import named_once

METADATA = "__metadata__"
_KEYS = {"dtype", "shape", "data_offsets"}


def header_of(text: bytes) -> dict[str, Any]:
    """Name -> entry. Raises ValueError for what is no JSON object, a name that is there twice, and a foreign key."""
    header = json.loads(text, object_pairs_hook=named_once)
    if not isinstance(header, dict):
        raise ValueError("what it has is not a JSON object")
    for name, entry in header.items():
        if name != METADATA and isinstance(entry, dict) and (foreign := entry.keys() - _KEYS):
            raise ValueError(f"its entry {name!r:.80} has the key {min(foreign)!r:.80}, which the format doesn't know")
    return header


def check_every_byte(spans: Iterable[tuple[int, int, str]], size: int) -> None:
    """Raises ValueError where the tensors (begin, end, name) leave bytes of `size` to none of them, or share some."""
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            what = "belong to no tensor" if begin > at else "belong to the one before, too"
            raise ValueError(f"{abs(begin - at)} bytes before tensor {name} {what}")
        at = end
    if at != size:
        raise ValueError(f"{size - at} bytes behind its last tensor belong to none")
