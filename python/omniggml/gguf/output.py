"""Write GGUF files so that a name never stands for half a file, and that what was written is not written again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.errors import ConversionError
from omniggml.gguf.output_header import OutputTensor
from omniggml.gguf.part_file import PartFile

Progress = Callable[[str, int, int], None]
"""Called with a tensor's name, the bytes written so far, and the bytes of all files; many times for a large tensor."""

Pieces = Generator[bytes | memoryview, None, Any]
"""A tensor's bytes, in order; the generator's return value is a note for `write_files` to return."""


@dataclass(frozen=True)
class FileJob:
    """A file to be written. `header`: its bytes before the values. `pieces`: the values of tensor number i.
    `identity`: of everything that the values depend on, so that a part of the same identity can be gone on with.
    `inputs`: the files that are read for it, none of which it may be."""

    target: Path
    header: bytes
    tensors: Sequence[OutputTensor]
    identity: str
    pieces: Callable[[int], Pieces]
    inputs: Sequence[Path] = ()

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)


def write_files(
    jobs: Sequence[FileJob], progress: Progress | None = None, check: Callable[[Path], None] | None = None
) -> list[list[Any]]:
    """Write the files, read each back, let `check` see it, and only then give them their names. `check` sees each
    before the first value is written, too, in its whole length: what it refuses costs no time.

    Returns the notes of every file's tensors. A full disk or an interruption leaves the parts beside the targets, and
    the same call goes on with them; any error in the source leaves nothing. Raises ConversionError where a directory
    can't be written to, is full, or doesn't give back what was written.
    """
    total, done = sum(job.nbytes for job in jobs), 0
    try:
        with ExitStack() as stack:
            parts = [stack.enter_context(_opened(job)) for job in jobs]
            if check is not None:
                _check_ahead(parts, check)
            for job, part in zip(jobs, parts, strict=True):
                _write(job, part, progress, done, total)
                done += job.nbytes
            for part in parts:
                part.verify()
                if check is not None:
                    check(part.path)
            for part in parts:
                part.publish()
    except OSError as error:
        raise ConversionError(
            f"{jobs[0].target.parent}: {error.strerror or error}; what was written is kept, "
            "and the same command goes on from there"
        ) from error
    return [part.notes for part in parts]


def _opened(job: FileJob) -> PartFile:
    """Raises ConversionError where the directory that the target is named from is gone."""
    try:
        return PartFile(job.target, job.header, job.tensors, job.identity, job.inputs)
    except OSError as error:
        raise ConversionError(f"{job.target} can't be written: {error.strerror or error}") from error


def _check_ahead(parts: Sequence[PartFile], check: Callable[[Path], None]) -> None:
    for part in parts:
        with part.in_whole_length() as path:
            check(path)


def _write(job: FileJob, part: PartFile, progress: Progress | None, done: int, total: int) -> None:
    done += sum(tensor.nbytes for tensor in job.tensors[: part.finished])
    for number in range(part.finished, len(job.tensors)):
        pieces = job.pieces(number)
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                part.finish_tensor(end.value)
                break
            if progress is not None:
                progress(job.tensors[number].name, done, total)
            part.add(piece)
            done += len(piece)


def identity_of(header: bytes, sources: Iterable[Path], *choices: str) -> str:
    """A file's identity: its header, the files that it is made from as they are now, and how it is made."""
    digest = hashlib.sha256(header)
    for path in sources:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    digest.update("\0".join(choices).encode())
    return digest.hexdigest()
