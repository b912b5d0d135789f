"""GGUF files named as on the Hugging Face hub, `org/repo`, `org/repo@revision` or `org/repo:file`, and found in its
cache or downloaded into it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.errors import InputError, ModelFileError
from omniggml.extras import install_command
from omniggml.paths import as_path
from omniggml.text.soundness import STUMBLES

PathLike = str | os.PathLike[str]

_NAMED = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?(?::([\w./-]+\.gguf))?")
_MEMBER = re.compile(r"(.*)-\d{5}-of-(\d{5})\.gguf")
_SPEECH = "-speech"
_MOST_NAMED = 5
_TAKING_PART = ("huggingface_hub", "requests", "urllib3", "httpx", "httpcore", "hf_xet", "tqdm")
_TIMEOUT = 10.0
"""Seconds for the hub to say what a repository holds."""


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


def kept_file(given: PathLike) -> Path:
    """The path of a file, in the hub's cache where it is named as on the hub and was downloaded before; the name where
    it wasn't. No network is asked."""
    named = hub_name(given)
    if named is None:
        return as_path(given)
    try:
        import huggingface_hub

        return _cached(huggingface_hub, named, InputError("not asked"))
    except (ImportError, ModelFileError):
        return Path(given)


def is_of_a_download(error: Exception) -> bool:
    """The library documents no common class for what can go wrong on the way; what is raised by none of those who take
    part, as a timeout by a signal's handler, isn't the download's."""
    # By how the names begin: httpx and httpcore have successors of the same name and a figure.
    by_them = type(error).__module__.startswith(_TAKING_PART) or isinstance(error, (OSError, *STUMBLES))
    return by_them and type(error) is not TimeoutError


def _fetched(hub: Any, named: HubName) -> Path:
    try:
        # One request, which isn't tried again and again where there is no network.
        with without_log():
            about = hub.HfApi().model_info(named.repository, revision=named.revision, timeout=_TIMEOUT)
        files = [sibling.rfilename for sibling in about.siblings or ()]
    except Exception as error:
        if not is_of_a_download(error):
            raise
        return _cached(hub, named, error)
    chosen = _chosen(named, files)
    try:
        paths = [
            Path(hub.hf_hub_download(named.repository, file, revision=named.revision))
            for file in _members(chosen, files)
        ]
    except Exception as error:
        if not is_of_a_download(error):
            raise
        raise ModelFileError(why_not_fetched(named.repository, named.revision, error)) from error
    return paths[0]


def _cached(hub: Any, named: HubName, why: Exception) -> Path:
    """From an earlier download."""
    try:
        directory = Path(hub.snapshot_download(named.repository, revision=named.revision, local_files_only=True))
    except Exception as error:
        if not is_of_a_download(error):
            raise
        sentence = why_not_fetched(named.repository, named.revision, why)
        raise ModelFileError(f"{sentence}; there is no file of that name, nor was it downloaded before") from why
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


def why_not_fetched(repository: str, revision: str | None, error: Exception) -> str:
    """Why something of a repository isn't here, by the library's error."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return f"{repository} is gated: accept its terms on its page at the hub, and log in with `hf auth login`"
    if "RepositoryNotFoundError" in kinds:
        return (
            f"the Hugging Face hub has no {repository} that can be read from here: check how it is spelled, or log in "
            "with `hf auth login` where it is private"
        )
    if "RevisionNotFoundError" in kinds:
        return f"{repository} has no revision {revision or 'main'}"
    reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
    return f"{repository} can't be taken from the Hugging Face hub: {reason}"


@contextmanager
def without_log() -> Iterator[None]:
    """The library writes each of its attempts to standard error; what came of them is said here."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
