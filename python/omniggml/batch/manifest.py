"""What of a batch is done: a line of JSON for each text, written when its audio is on the disk.

A process may be killed at any time: audio without a line is said again, half a line is cut off. A text that is tried
again gets another line; the last one counts, and those before it go when a run ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from omniggml.batch.texts import BatchText, is_made_up
from omniggml.errors import InputError
from omniggml.whole_file import check_target, write_whole

if sys.platform != "win32":
    import fcntl

_NAME = "manifest.jsonl"
_BEGIN = b'{"batch":'
_LONGEST_NAME = 120


class Manifest:
    """The manifest of a directory, locked as long as it is open. `done`: its lines, by id; those with an "error" are
    of texts that could not be spoken."""

    def __init__(self, directory: Path, settings: dict[str, Any], inputs: Iterable[object] = ()) -> None:
        """`settings`: what every text is spoken with, written into the first line. `inputs`: the files that are read
        for the batch, none of which the manifest may be. Raises InputError where the directory can't be used, is used
        by another process, or holds what was spoken with other settings."""
        self.directory, self.path = directory, directory / _NAME
        self.done: dict[str, dict[str, Any]] = {}
        self._settings, self._lines, self._inputs = settings, 0, list(inputs)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            check_target(self.path, self._inputs, stream=False)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise InputError(f"{self.path} can't be written: {error.strerror or error}") from error
        except ValueError as error:
            raise InputError(f"{str(directory)!r} holds letters that no path has") from error
        try:
            self._lock()
            self._read(settings)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.directory} is being written by another batch") from None
            if not os.path.samestat(os.fstat(self._file), self.path.stat()):  # it was set in order meanwhile
                raise InputError(f"{self.directory} is being written by another batch")

    def _read(self, settings: dict[str, Any]) -> None:
        self._check_begin()
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        head, *lines = whole.splitlines() or [b""]
        if not head:
            os.truncate(self._file, 0)
            self._write({"batch": settings})
            return
        try:
            begun = json.loads(head)["batch"]
            entries = [json.loads(line) for line in lines]
            self.done = {entry["id"]: entry for entry in entries}
            self._lines = len(entries)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is no manifest of a batch: {error}") from error
        os.truncate(self._file, len(whole))
        changed = [name for name in {**begun, **settings} if begun.get(name) != settings.get(name)]
        if changed and all("error" in entry for entry in self.done.values()):
            # Where nothing was spoken, nothing was begun.
            os.truncate(self._file, 0)
            self.done, self._lines = {}, 0
            self._write({"batch": settings})
        elif changed:
            told = ", ".join(f"{name} {begun.get(name)!r}, not {settings.get(name)!r}" for name in changed)
            raise InputError(f"{self.directory} was begun with {told}; name another directory")

    def _check_begin(self) -> None:
        """Raises InputError for a file that is no manifest, nor the beginning of one: none of it is read or cut off."""
        with self.path.open("rb") as file:
            begin = file.read(len(_BEGIN))
        if begin != _BEGIN[: len(begin)]:
            raise InputError(f"{self.path} is no manifest of a batch, and is left as it is; name another directory")

    def left(self, texts: list[BatchText]) -> list[BatchText]:
        """Those that are still to be spoken. Raises InputError where an id was another text before."""
        left = []
        for text in texts:
            entry = self.done.get(text.id)
            spoken = entry is not None and "error" not in entry
            if entry is not None and spoken and entry["text_sha256"] != digest(text):
                raise InputError(f"{self.directory} has another text, speaker or seed for {text.id!r:.80} already")
            if entry is None or not spoken or not (self.directory / entry["file"]).is_file():
                left.append(text)
        return left

    def add(self, entry: dict[str, Any]) -> None:
        """One text is done."""
        self._write(entry)
        self.done[entry["id"]] = entry
        self._lines += 1

    def set_in_order(self, texts: Iterable[BatchText]) -> None:
        """A line a text: what was told of it before goes, and so do complaints of rows that there are none of any more.
        The manifest is closed then."""
        names = {text.id for text in texts}
        kept = {
            name: entry
            for name, entry in self.done.items()
            if name in names or "error" not in entry or not is_made_up(name)
        }
        if len(kept) == self._lines:
            return
        data = b"".join(_line(entry) for entry in ({"batch": self._settings}, *kept.values()))
        if sys.platform == "win32":
            self.close()  # an open file has no other put in its place there
        write_whole(self.path, data, self._inputs)

    def _write(self, entry: dict[str, Any]) -> None:
        data = _line(entry)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("the disk is full")
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"{self.path} can't be written: {error.strerror or error}") from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(entry: dict[str, Any]) -> bytes:
    # A file's name may hold what is no letter; its escape is JSON's.
    return json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def digest(text: BatchText) -> str:
    """What is said, and how, in one word."""
    parts = json.dumps([text.text, text.speaker, text.seed], ensure_ascii=False)
    return hashlib.sha256(parts.encode()).hexdigest()


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """The names of texts' files by their ids. Those that some file system takes for the same are told apart."""
    stems = {name: file_stem(name) for name in names}
    count = Counter(stem.casefold() for stem in stems.values())
    return {name: stem if count[stem.casefold()] == 1 else _marked(name, stem) for name, stem in stems.items()}


def file_stem(name: str) -> str:
    """The name of a text's files: its id, with what no path should have escaped."""
    quoted = quote(name, safe=" ").strip()
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) <= _LONGEST_NAME and quoted:
        return quoted
    return _marked(name, quoted)


def _marked(name: str, stem: str) -> str:
    """A beginning, and what no other id has."""
    return f"{stem[: _LONGEST_NAME // 2].rstrip('%')}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
