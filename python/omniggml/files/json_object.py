"""JSON files of a checkpoint that hold one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omniggml.errors import ConversionError
from omniggml.plain_file import read_text


def read_json_object(path: Path) -> dict[str, Any]:
    """Parse a JSON file that holds one object. Raises ConversionError when it is missing or is something else."""
    try:
        value = json.loads(read_text(path))
    except FileNotFoundError:
        raise ConversionError(f"{path} does not exist: {path.parent} is not a Hugging Face checkpoint") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConversionError(f"{path} holds {type(value).__name__}, expected a JSON object")
    return value
