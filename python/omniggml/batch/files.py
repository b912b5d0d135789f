"""The files of a batch's texts: their names are made up from ids, and a link may lie at any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omniggml.errors import InputError
from omniggml.whole_file import check_replaceable, files_by_identity


class BatchFiles:
    """Where the audio and the codes of each text go: nowhere but to files that are that text's alone."""

    def __init__(
        self,
        manifest: Path,
        done: Mapping[str, Mapping[str, Any]],
        stems: Mapping[str, str],
        audio_format: str,
        inputs: Iterable[object],
    ) -> None:
        """`done`: the manifest's lines of texts that are not said again, by id. `stems`: of the names of those that
        are. `inputs`: what is read for it.

        Raises InputError where a file can't be written, or belongs to something else; nothing has to be said before.
        """
        self._directory = Path(os.path.realpath(manifest.parent))
        self._stems, self._format = stems, audio_format
        self.protect(inputs)
        self._owners = {self._end(manifest.name): "the manifest"}
        for name, entry in done.items():
            for kind, file in (("audio", entry.get("file")), ("codes", entry.get("codes"))):
                if isinstance(file, str):
                    self._owners.setdefault(self._end(file), _of(kind, name))
        # A file is whose it is called after, before it is whose link leads there.
        files = [(path, owner) for name in stems for path, owner in self._owned(name)]
        for path, owner in files:
            self._owners.setdefault(str(path), owner)
        for path, owner in files:
            self._owners.setdefault(self._end(path.name), owner)
        for name in stems:
            self.check(name)

    def protect(self, inputs: Iterable[object]) -> None:
        """From now on these are what is read, too."""
        self._read = files_by_identity(inputs)

    def of(self, name: str) -> tuple[Path, Path]:
        """A text's audio, and its codes."""
        stem = self._stems[name]
        return self._directory / f"{stem}.{self._format}", self._directory / f"{stem}.codes.npy"

    def check(self, name: str) -> None:
        """Raises InputError where the files of a text can't be written, or what is written would be another's."""
        for path, owner in self._owned(name):
            check_replaceable(path, self._read)
            other = self._owners.get(self._end(path.name), owner)
            if other != owner:
                raise InputError(f"{path} leads to {other}; take the link away")

    def _owned(self, name: str) -> list[tuple[Path, str]]:
        """A text's files, and whose they are in words."""
        sound, codes = self.of(name)
        return [(sound, _of("audio", name)), (codes, _of("codes", name))]

    def _end(self, name: str) -> str:
        """Where what is written under a name ends up."""
        path = self._directory / name
        return os.path.realpath(path) if path.is_symlink() else str(path)


def _of(kind: str, name: str) -> str:
    return f"the {kind} of {name!r:.80}"
