"""A file while it is being written: `.NAME.part` beside its target, and `.NAME.journal`, which has a line for each
finished tensor. Whatever ends the writing, the next one of the same file goes on behind the last tensor that reads
back as it was written, so the journal need not be on the disk before the values that it tells of."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from zlib import crc32

from omniggml.errors import ConversionError, InputError, OmniError
from omniggml.gguf.output_header import OutputTensor, offsets
from omniggml.whole_file import beside, check_target, publish

if sys.platform != "win32":
    import fcntl

_READ_BYTES = 1 << 24


class PartFile:
    """Open for writing, locked against other processes. `notes`: what was noted with every finished tensor."""

    def __init__(
        self,
        target: Path,
        header: bytes,
        tensors: Sequence[OutputTensor],
        identity: str,
        inputs: Iterable[object] = (),
    ) -> None:
        """`identity`: of the source and of how it is written; a part of another identity is begun anew. `inputs`: the
        files that are read for it, which it must not be."""
        if "\0" in str(target):
            raise ConversionError(f"the path {str(target)!r} holds a zero byte")
        self.target = Path(os.path.realpath(target))
        self.path = beside(self.target, "part")
        self.notes: list[Any] = []
        self._given, self._inputs = target, inputs
        self._journal_path = beside(self.target, "journal")
        self._header, self._tensors, self._identity = header, tensors, identity
        self._offsets = offsets(header, tensors)
        self._sums: list[int] = []
        self._sum = self._written = 0

    # --- opening ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> PartFile:
        """Raises ConversionError where the target can't be written, or where another process writes this file."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            check_target(self._given, self._inputs, stream=False)
            for path in (self.path, self._journal_path):  # links that somebody laid there are followed, too
                check_target(path, self._inputs, stream=False)
            self._journal = self._journal_path.open("a+b")
        except OSError as error:
            raise ConversionError(f"{self.target.parent} can't be written to: {error.strerror}") from error
        except InputError as error:
            raise ConversionError(str(error)) from error
        _lock(self._journal, self.target)
        self.path.touch()
        self._file = self.path.open("r+b")
        self._go_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """After an error in what is written, going on would meet it again: nothing is kept."""
        self._file.close()
        if isinstance(error, OmniError):
            self._remove(self.path)
        if not self.path.exists():
            self._remove(self._journal_path)
        self._journal.close()

    def _remove(self, path: Path) -> None:
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def _go_on(self) -> None:
        """Find what is there, and put the file's end behind it."""
        entries = _entries(self._journal)
        if entries and entries[0] == {"identity": self._identity} and self._begins_with_header():
            for tensor, offset, entry in zip(self._tensors, self._offsets, entries[1:], strict=False):
                if _sum_of(self._file, offset, tensor.nbytes) != entry.get("sum"):
                    break
                self._sums.append(entry["sum"])
                self.notes.append(entry.get("note"))
        self._journal.truncate(0)
        self._note({"identity": self._identity})
        for sum_, note in zip(self._sums, self.notes, strict=True):
            self._note({"sum": sum_, "note": note})
        self._file.truncate(self._offsets[len(self._sums)] if self._sums else 0)
        self._file.seek(0, os.SEEK_END)
        if not self._sums:
            self._file.write(self._header)

    def _begins_with_header(self) -> bool:
        self._file.seek(0)
        return self._file.read(len(self._header)) == self._header

    def _note(self, entry: dict[str, Any]) -> None:
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()

    @contextmanager
    def in_whole_length(self) -> Iterator[Path]:
        """The file as long as it will be, with holes in the place of values that are not written yet: what can be
        judged without them."""
        self._file.flush()
        end = self._file.tell()
        self._file.truncate(self._offsets[-1])
        try:
            yield self.path
        finally:
            self._file.truncate(end)

    # --- writing ----------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> int:
        """How many tensors are written."""
        return len(self._sums)

    def add(self, piece: bytes | memoryview) -> None:
        """More bytes of the tensor number `finished`."""
        self._file.write(piece)
        self._sum = crc32(piece, self._sum)
        self._written += len(piece)

    def finish_tensor(self, note: Any = None) -> None:
        """All of its bytes were added. `note`: something that JSON can hold, kept for who goes on."""
        expected = self._tensors[self.finished].nbytes
        if self._written != expected:
            raise ValueError(f"{self._tensors[self.finished].name}: {self._written} bytes, expected {expected}")
        self._file.write(bytes(self._offsets[self.finished + 1] - self._offsets[self.finished] - expected))
        self._file.flush()
        self._sums.append(self._sum)
        self.notes.append(note)
        self._note({"sum": self._sum, "note": note})
        self._sum = self._written = 0

    # --- the end ----------------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Bring everything to the disk and read it back from there.

        Raises ConversionError where a byte differs from what was written.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):  # out of the memory, so that the disk answers
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        wrong = None if self._begins_with_header() and self.path.stat().st_size == self._offsets[-1] else "its header"
        for tensor, offset, expected in zip(self._tensors, self._offsets, self._sums, strict=False):
            if wrong is None and _sum_of(self._file, offset, tensor.nbytes) != expected:
                wrong = f"tensor {tensor.name}"
        if wrong is not None:
            raise ConversionError(f"{self.path} doesn't read as it was written, at {wrong}: the disk may be failing")

    def publish(self) -> None:
        """Give the file its name."""
        self._file.close()
        try:
            publish(self.path, check_target(self._given, self._inputs, stream=False))
        except InputError as error:
            raise ConversionError(str(error)) from error


def _entries(journal: BinaryIO) -> list[dict[str, Any]]:
    """Lines of the journal up to the first that was cut."""
    journal.seek(0)
    entries = []
    for line in journal.read().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict):
            break
        entries.append(entry)
    return entries


def _sum_of(file: BinaryIO, offset: int, size: int) -> int | None:
    """The check sum of a stretch of the file, None where the file is shorter."""
    file.seek(offset)
    total = 0
    while size > 0:
        piece = file.read(min(size, _READ_BYTES))
        if not piece:
            return None
        total = crc32(piece, total)
        size -= len(piece)
    return total


def _lock(journal: BinaryIO, target: Path) -> None:
    """For as long as the journal is open."""
    if sys.platform != "win32":
        try:
            fcntl.flock(journal.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            journal.close()
            raise ConversionError(f"{target} is being written by another process; wait for it to end") from error
