"""What `--audio`, `--image` and `--video` name, as a part of a message."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omniggml.array_file import existing_file
from omniggml.errors import InputError
from omniggml.plain_file import is_pipe, read_plain_or_piped

STANDARD_INPUT = "-"
"""The name that stands for it; a file of that name is `./-`."""

_MOST_PIPED = 1 << 30  # bytes
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Shown:
    """`kind`: audio, image or video; `given`: as the command line has it."""

    kind: str
    given: str

    @property
    def path(self) -> Path | None:
        """The file that is read, None where none is. Raises InputError for what names nothing that can be shown."""
        if not self.given:
            raise InputError(f"--{self.kind} names no file; name one, or - for standard input")
        if _ADDRESS.match(self.given):
            raise InputError(f"{self.given!r:.80} is not downloaded; save it to a file, and name that")
        return None if self._is_piped or self.given[:5].lower() == "data:" else existing_file(self.given)

    def content(self) -> str | bytes:
        """A file's path, a data URL, or the bytes that come through a pipe. Raises InputError where none can."""
        if self.given == STANDARD_INPUT:
            return self._from_standard_input()
        if not self._is_piped:
            return self.given
        try:
            return read_plain_or_piped(self.given, _MOST_PIPED)
        except OSError as error:
            raise InputError(f"{self.given} can't be read: {error.strerror or error}") from error

    @property
    def _is_piped(self) -> bool:
        return self.given == STANDARD_INPUT or is_pipe(self.given)

    def _from_standard_input(self) -> bytes:
        if sys.stdin is None:
            raise InputError(f"standard input is closed; name a file with --{self.kind}")
        if sys.stdin.isatty():
            raise InputError(f"standard input is a terminal; pipe the {self.kind} in, or name a file")
        data = sys.stdin.buffer.read(_MOST_PIPED + 1)
        if len(data) > _MOST_PIPED:
            raise InputError(f"more than {_MOST_PIPED >> 20} MiB came through standard input")
        if not data:
            raise InputError("nothing came through standard input")
        return data


def files_shown(shown: Sequence[Shown], question: str | None) -> list[Path]:
    """The files among them. Raises InputError for one that isn't there, and where standard input is to be two."""
    if [*(one.given for one in shown), question].count(STANDARD_INPUT) > 1:
        raise InputError("standard input can be read only once; name a file for what else there is")
    return [path for one in shown if (path := one.path) is not None]
