"""JSON files of a checkpoint that hold one object."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from omniggml.containers.named_once import named_once
from omniggml.errors import ConversionError
from omniggml.gguf.foreign_bytes import why_not_itself
from omniggml.plain_file import decoded, read_plain


def read_json_object(path: Path) -> dict[str, Any]:
    """Parse a JSON file that holds one object. Raises ConversionError when it is missing or is something else,
    and where a name stands in an object twice."""
    try:
        value = json.loads(decoded(read_plain(path)), object_pairs_hook=named_once)
    except FileNotFoundError:
        raise ConversionError(f"{path} does not exist: {path.parent} is not a Hugging Face checkpoint") from None
    except (OSError, ValueError, RecursionError) as error:
        with suppress(OSError):
            if reason := why_not_itself(path):
                raise ConversionError(reason) from error
        raise ConversionError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConversionError(f"{path} holds {type(value).__name__}, expected a JSON object")
    return value
