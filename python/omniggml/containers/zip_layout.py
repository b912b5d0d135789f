"""Does an archive consist of its members, and of nothing else? Bytes before, between and behind them, and members of
one name, are what readers pass over, each in its own way."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import IO

from omniggml.containers.named_once import first_twice

_LOCAL, _LOCAL_SIZE = b"PK\x03\x04", 30
_END, _END_SIZE = b"PK\x05\x06", 22
_LOCATOR, _END64_SIZE = b"PK\x06\x07", 20 + 56
_HAS_DESCRIPTOR, _LARGEST_DESCRIPTOR = 0x08, 24


def check_layout(file: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Raises ValueError where a name is there twice, or bytes belong to no member."""
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    twice = first_twice([member.filename for member in members])
    if twice is not None:
        raise ValueError(f"{twice!r:.80} is in it twice")
    at = spare = 0
    for member in members:
        if not at <= member.header_offset <= at + spare:
            raise ValueError(f"bytes before {member.filename!r:.80} belong to none of its members")
        at = _data_of(file, member) + member.compress_size
        spare = _LARGEST_DESCRIPTOR if member.flag_bits & _HAS_DESCRIPTOR else 0
    if not at <= archive.start_dir <= at + spare:
        raise ValueError("bytes behind its last member belong to none")
    _check_end(file, archive.start_dir)


def _data_of(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its header has extras of its own."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_SIZE)
    if len(header) < _LOCAL_SIZE or not header.startswith(_LOCAL):
        raise ValueError(f"{member.filename!r:.80} is not where its directory says")
    name, extra = struct.unpack_from("<2H", header, 26)
    return member.header_offset + _LOCAL_SIZE + int(name) + int(extra)


def _check_end(file: IO[bytes], directory: int) -> None:
    """The directory is followed by where it is, and by no more than that."""
    end = file.seek(0, os.SEEK_END) - _END_SIZE
    file.seek(max(end, 0))
    record = file.read(_END_SIZE)
    size = int(struct.unpack_from("<L", record, 12)[0]) if record.startswith(_END) else -1
    file.seek(max(end - 20, 0))
    further = _END64_SIZE if file.read(4) == _LOCATOR else 0
    if directory + size + further != end:
        raise ValueError("it goes on behind its last member")
