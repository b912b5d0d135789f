"""Server-sent events."""

from __future__ import annotations

import json
from typing import Any

from omniggml.server.api_error import ApiError

MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"


def event(data: dict[str, Any]) -> bytes:
    """One event; its JSON is a single line."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def error_event(error: ApiError) -> bytes:
    """What went wrong behind the first event."""
    return event({"type": "error", **error.body()})
