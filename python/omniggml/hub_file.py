"""GGUF files named as on the Hugging Face hub, `org/repo`, `org/repo@revision` or `org/repo:file`, and found in its
cache or downloaded into it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.errors import InputError, ModelFileError
from omniggml.extras import install_command
from omniggml.paths import as_path

PathLike = str | os.PathLike[str]

_NAMED = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?(?::([\w./-]+\.gguf))?")
_MEMBER = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")
_SPEECH = "-speech"
_MOST_NAMED = 5


@dataclass(frozen=True)
class HubName:
    """`file`: its path in the repository, "" for the speech file there."""

    repository: str
    revision: str | None
    file: str


def hub_name(given: PathLike) -> HubName | None:
    """What a name on the hub stands for; None for the path of a file, and for one that looks like it."""
    text = str(as_path(given))
    found = _NAMED.fullmatch(text)
    if found is None or Path(text).exists() or (found[1].endswith(".gguf") and not found[3]):
        return None
    return HubName(found[1], found[2], found[3] or "")


def local_file(given: PathLike) -> Path:
    """The path of a file, downloaded where it is named as on the hub. What was downloaded once needs no network.

    Raises InputError where `huggingface_hub` is missing, ModelFileError where there is no such file.
    """
    named = hub_name(given)
    if named is None:
        return as_path(given)
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            f"{os.fspath(given)} is no file; to take it from the Hugging Face hub: {install_command('hub')}"
        ) from error
    return _fetched(huggingface_hub, named)


def _fetched(hub: Any, named: HubName) -> Path:
    try:
        files = list(hub.HfApi().list_repo_files(named.repository, revision=named.revision))
    except Exception as error:  # the library documents no common class for what can go wrong on the way
        return _cached(hub, named, error)
    chosen = _chosen(named, files)
    try:
        paths = [
            Path(hub.hf_hub_download(named.repository, file, revision=named.revision))
            for file in _members(chosen, files)
        ]
    except Exception as error:
        raise ModelFileError(f"{named.repository} can't be downloaded: {_reason(error)}") from error
    return paths[0]


def _cached(hub: Any, named: HubName, why: Exception) -> Path:
    """From an earlier download."""
    try:
        directory = Path(hub.snapshot_download(named.repository, revision=named.revision, local_files_only=True))
    except Exception:
        raise ModelFileError(
            f"{named.repository} is no file and was not downloaded before, and the hub can't be asked: {_reason(why)}"
        ) from why
    files = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
    chosen = _chosen(named, files)
    if chosen not in files:
        raise ModelFileError(f"{named.repository}:{chosen} was not downloaded before, and the hub can't be asked")
    return directory / chosen


def _chosen(named: HubName, files: list[str]) -> str:
    """The file asked for, or the one that speaks."""
    if named.file:
        if named.file not in files:
            raise ModelFileError(f"{named.repository} has no file {named.file}{_list(files)}")
        return named.file
    ggufs = [file for file in sorted(files) if file.endswith(".gguf") and not _is_later_member(file)]
    speaking = [file for file in ggufs if f"{_SPEECH}." in file or f"{_SPEECH}-" in file] or ggufs
    if len(speaking) == 1:
        return speaking[0]
    if not ggufs and any(file.endswith(".safetensors") for file in files):
        command = f"omniggml convert {named.repository} -o DIR"
        raise ModelFileError(f"{named.repository} is a checkpoint; make GGUF files of it with `{command}`")
    if not ggufs:
        raise ModelFileError(f"{named.repository} holds no GGUF file")
    raise ModelFileError(
        f"{named.repository} holds several files; name one as {named.repository}:FILE{_list(speaking)}"
    )


def _is_later_member(file: str) -> bool:
    return _MEMBER.fullmatch(file) is not None and "-00001-of-" not in file


def _members(chosen: str, files: list[str]) -> list[str]:
    """The file asked for first, then its siblings where it is one of several."""
    found = _MEMBER.fullmatch(chosen)
    if found is None:
        return [chosen]
    siblings = [file for file in files if (other := _MEMBER.fullmatch(file)) and other.groups() == found.groups()]
    return [chosen, *(file for file in sorted(siblings) if file != chosen)]


def _list(files: list[str]) -> str:
    ggufs = [file for file in sorted(files) if file.endswith(".gguf")]
    shown = ", ".join(ggufs[:_MOST_NAMED])
    more = f" and {len(ggufs) - _MOST_NAMED} more" if len(ggufs) > _MOST_NAMED else ""
    return f"; it holds {shown}{more}" if ggufs else ""


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
