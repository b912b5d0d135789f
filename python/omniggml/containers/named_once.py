"""Names of a JSON object that stand in it once each: of a name that comes twice, parsers keep one and say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def named_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` for `json.loads`. Raises ValueError for a name that comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{first_twice([name for name, _ in pairs])!r:.80} stands in it twice")
    return found


def first_twice(names: Sequence[str]) -> str | None:
    """The first name that was there before; None where each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
