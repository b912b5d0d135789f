"""Messages as what they stand for: texts, numbers, lists and mappings, and nothing that refers to itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omniggml.errors import InputError


def as_plain(messages: Any) -> Any:
    """A copy of such values alone, sequences as lists. Raises InputError for anything else."""
    return json.loads(as_json(messages))


def as_json(variables: Any) -> bytes:
    """JSON of messages and what goes with them. Raises InputError for what is none."""
    try:
        return json.dumps(variables, default=_plain).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the messages are not made of texts, numbers, lists and mappings: {error}") from None


def _plain(value: Any) -> Any:
    """Mappings and sequences of other classes, and NumPy's numbers, as what they stand for."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"one holds a {type(value).__name__}")
