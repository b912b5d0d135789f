"""What was found, for programs: JSON that every parser takes."""

from __future__ import annotations

import json
import math
from typing import Any


def strict_json(value: Any) -> str:
    """Indented JSON; null stands for NaN and infinity, which JSON has not."""
    return json.dumps(_plain(value), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
