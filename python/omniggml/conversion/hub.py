"""A checkpoint's directory: the one that is named, or a download from the Hugging Face hub of what is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omniggml.conversion.safetensors_reader import INDEX_NAME, SINGLE_NAME, shards_with
from omniggml.errors import ConversionError
from omniggml.hub_file import is_of_a_download, why_not_fetched, without_log
from omniggml.paths import as_path

SMALL_FILES = ["*.json", "merges.txt", "*.jinja"]
"""Configuration and tokenizer, and the index that says which shard has what."""

_ID = re.compile(r"[\w.-]+/[\w.-]+")


def local_checkpoint(source: str | os.PathLike[str], wanted: Callable[[str], bool]) -> Path:
    """The directory of a checkpoint. From the hub come only the shards that hold a wanted tensor, into the hub's own
    cache, which goes on with interrupted downloads.

    Raises ConversionError where there is neither a directory nor a checkpoint of that name.
    """
    path = as_path(source)
    try:
        is_directory, exists = path.is_dir(), path.exists()
    except OSError as error:  # a name longer than any
        raise ConversionError(f"{path} is not a directory: {error.strerror}") from error
    if is_directory:
        return path
    if exists or not _ID.fullmatch(os.fspath(source)):
        raise ConversionError(f"{path} is not a directory, expected a Hugging Face checkpoint")
    return _downloaded(os.fspath(source), wanted)


def _downloaded(repository: str, wanted: Callable[[str], bool]) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConversionError(
            f"{repository} is not a directory; to download it from the Hugging Face hub, install huggingface_hub"
        ) from error
    directory = _snapshot(huggingface_hub, repository, SMALL_FILES)
    index = directory / INDEX_NAME
    return _snapshot(huggingface_hub, repository, shards_with(index, wanted) if index.exists() else [SINGLE_NAME])


def _snapshot(hub: Any, repository: str, patterns: list[str]) -> Path:
    try:
        with without_log():
            return Path(hub.snapshot_download(repository, allow_patterns=patterns))
    except Exception as error:
        if not is_of_a_download(error):
            raise
        raise ConversionError(f"{repository} is no directory, and {_why_not(repository, error)}") from error


def _why_not(repository: str, error: Exception) -> str:
    nothing_kept = type(error).__name__ == "LocalEntryNotFoundError"  # behind which stands why it was looked for
    why = error.__cause__ if nothing_kept and isinstance(error.__cause__, Exception) else error
    return why_not_fetched(repository, None, why)
