"""The one way in which anything here writes a file: aside, and renamed when it is whole, so that a name never stands
for half of a file.

A link stays a link, and a file keeps its mode. Directories, devices, read-only files and the files that are read are
refused, before any work is done where the caller asks early. A pipe and standard output get the bytes once all are
there. What a killed process leaves is called after its target, and removed by the next that writes it.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from omniggml.errors import InputError
from omniggml.paths import all_members, as_path

if sys.platform != "win32":
    import fcntl

PathLike = str | os.PathLike[str]
Identity = tuple[int, int]
"""A device, and a file's number on it."""

STANDARD_OUTPUT = "-"
"""The name that stands for it; a file of that name is `./-`."""

_LONGEST_NAME = 255  # bytes, in most file systems
_NEW_FILE_MODE = 0o666  # less the umask


@dataclass(frozen=True)
class Target:
    """Where to write. `path`: the file itself, links followed. `mode`: of the file that is there. `is_stream`: a
    pipe or standard output."""

    given: str
    path: Path
    mode: int | None = None
    is_stream: bool = False


def check_target(path: PathLike, inputs: Iterable[object] = (), *, stream: bool = True) -> Target:
    """Where `path` leads, once it is known that a file can be written there. `inputs`: what is read for it, files and
    directories, and None or data for what was left out; it must be none of these, by whatever name.
    `stream`: whether a pipe will do.

    Raises InputError.
    """
    target = check_replaceable(path, files_by_identity(inputs), stream=stream)
    if target.is_stream:
        return target
    try:
        _new_file(beside(target.path, f"{secrets.token_hex(8)}.part")).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    return target


def check_replaceable(path: PathLike, read: Mapping[Identity, Path], *, stream: bool = False) -> Target:
    """Where `path` leads, once it is known that what is there may go. `read`: see `files_by_identity`; nothing is tried
    on the disk. Raises InputError."""
    target = _target(path, stream)
    # A file that isn't there yet is none of those that are read.
    known = None if target.is_stream or target.mode is None else identity(target.path)
    if known is not None and known in read:
        raise InputError(f"{target.given} is read from ({read[known]}); give another name for the result")
    return target


def identity(path: PathLike) -> Identity | None:
    """What the system knows a file by, whatever its names and the links to it; None where there is none."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def place_of(path: PathLike) -> Identity | str:
    """The same for all names and links that lead to one file, be it there or not."""
    return identity(path) or os.path.realpath(path)


def files_by_identity(inputs: Iterable[object]) -> dict[Identity, Path]:
    """What is read, by what the system knows it by: files, with the others of a model that was split, and those in
    directories; what is no path is passed over."""
    files = [file for given in inputs for file in _files_of(given)]
    return {known: file for file in reversed(files) if (known := identity(file)) is not None}


class WholeFile:
    """A file while it is being written. Write to `aside`, then `publish`; leaving the block without that, or by an
    error, removes it."""

    def __init__(self, path: PathLike, inputs: Iterable[object] = (), *, stream: bool = True) -> None:
        """Raises InputError where nothing can be written to `path`; arguments as in `check_target`."""
        self.target = check_target(path, inputs, stream=stream)
        self._lock: IO[bytes] | None = None
        try:
            if self.target.is_stream:
                handle, name = tempfile.mkstemp(prefix="omniggml-", suffix=".part")
                os.close(handle)
                self.aside = Path(name)
            else:
                self._sweep()
                self.aside = self._locked_file()
        except OSError as error:
            raise _unwritable(self.target, error) from error

    def publish(self) -> None:
        """Give the file its name; or pass its bytes on, where that is a pipe or standard output."""
        try:
            if self.target.is_stream:
                _copy(self.aside, self.target)
                self.aside.unlink()
            else:
                with self.aside.open("rb") as file:
                    os.fsync(file.fileno())
                publish(self.aside, self.target)
        except BrokenPipeError as error:
            self.discard()
            if self.target.given == STANDARD_OUTPUT:
                raise
            raise InputError(f"{self.target.given} can't be written: its reader went away") from error
        except OSError as error:
            self.discard()
            raise _unwritable(self.target, error) from error
        except BaseException:  # what a signal's handler raises
            self.discard()
            raise
        finally:
            self._unlock()

    def discard(self) -> None:
        """Remove what was written."""
        self.aside.unlink(missing_ok=True)
        self._unlock()

    @property
    def is_open(self) -> bool:
        """Neither published nor discarded."""
        return self.aside.exists()

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.is_open:
            self.discard()

    def _sweep(self) -> None:
        """Remove what killed processes left of the same target: a living one holds a lock."""
        path = self.target.path
        pattern = f"{glob.escape(beside(path, '').name)}{'[0-9a-f]' * 16}.part"
        for left in path.parent.glob(pattern):
            with suppress(OSError):
                handle = os.open(left, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
                try:
                    if _try_lock(handle):
                        left.unlink()
                finally:
                    os.close(handle)

    def _locked_file(self) -> Path:
        """A new file beside the target, kept locked so that nobody takes it for a leftover."""
        while True:
            aside = beside(self.target.path, f"{secrets.token_hex(8)}.part")
            # What replaces a private file is private from the first byte.
            _new_file(aside, _NEW_FILE_MODE if self.target.mode is None else 0o600)
            # An object, which is closed with this one: a living process's leftover is swept, too.
            self._lock = aside.open("rb", buffering=0)
            if _try_lock(self._lock.fileno()) and aside.exists():
                return aside
            self._unlock()  # another process swept it before it was locked

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None


def write_whole(path: PathLike, data: bytes, inputs: Iterable[object] = ()) -> Path:
    """Write `data`, and return where it is. Raises InputError where it can't be written; `inputs` as in
    `check_target`."""
    with WholeFile(path, inputs) as file:
        try:
            file.aside.write_bytes(data)
        except OSError as error:
            raise _unwritable(file.target, error) from error
        file.publish()
    return as_path(path)


def publish(aside: Path, target: Target) -> None:
    """Give a file beside the target, whole and on the disk, its name, and the mode of the file that it replaces."""
    if target.mode is not None:
        aside.chmod(target.mode)
    aside.replace(target.path)
    sync_directory(target.path.parent)


def beside(path: Path, ending: str) -> Path:
    """A hidden file in the same directory, called after the file: `.NAME.ending`, NAME shortened where it has to be."""
    name = os.fsencode(path.name)
    longest = _LONGEST_NAME - 24 - len(".journal")
    if len(name) > longest:
        name = name[: longest - 9] + b"." + hashlib.sha256(name).hexdigest()[:8].encode()
    return path.with_name(f".{os.fsdecode(name)}.{ending}")


def sync_directory(directory: Path) -> None:
    """The new name too has to be on the disk."""
    if sys.platform != "win32":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems have nothing to sync a directory with
                raise
        finally:
            os.close(handle)


def _target(path: PathLike, stream: bool) -> Target:
    given = os.fsdecode(os.fspath(path))
    if not given:
        raise InputError("the name of the file to write is empty; give one")
    if "\0" in given:
        raise InputError(f"the path {given!r} holds a zero byte")
    if given == STANDARD_OUTPUT:
        if not stream:
            raise InputError("what is written here is read back, which standard output can't be; name a file")
        if sys.stdout is None:
            raise InputError("standard output is closed")
        return Target(given, Path(given), is_stream=True)
    try:
        status = _status(given)
        real = Path(os.path.realpath(given))
    except OSError as error:
        raise _unwritable(Target(given, Path(given)), error) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{given!r} holds letters that no path has") from error
    if status is None:
        return Target(given, real)
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{given} is a directory; name a file to write")
    if stat.S_ISFIFO(status.st_mode):
        if not stream:
            raise InputError(f"{given} is a pipe, and what is written here is read back; name a regular file")
        return Target(given, Path(given), is_stream=True)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{given} is not a regular file; name one, or write to standard output with -")
    # Root may write whatever is there; a file that nobody is to write is meant to stay, all the same.
    if not status.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise InputError(f"{given} can't be written: it is read-only")
    return Target(given, real, stat.S_IMODE(status.st_mode))


def _status(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _files_of(given: object) -> list[Path]:
    """A file, with the others where it is one of several, or the files of a directory; none for what is no path."""
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
        return []
    path = Path(given)
    with suppress(OSError, ValueError):
        return [entry for entry in path.iterdir() if entry.is_file()] if path.is_dir() else all_members(path)
    return []


def _new_file(path: Path, mode: int = _NEW_FILE_MODE) -> Path:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    return path


def _try_lock(handle: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _copy(source: Path, target: Target) -> None:
    with source.open("rb") as file:
        if target.given == STANDARD_OUTPUT:
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with target.path.open("wb") as pipe:
                shutil.copyfileobj(file, pipe)


def _unwritable(target: Target, error: OSError) -> InputError:
    name = "standard output" if target.given == STANDARD_OUTPUT else target.given
    return InputError(f"{name} can't be written: {error.strerror or error}")
