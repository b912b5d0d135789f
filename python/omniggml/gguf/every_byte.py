"""Do a file's tensors account for all of its bytes? A type that was exchanged, or a file that was patched, leaves some
that belong to nobody, and what is read is then not what was written."""

from __future__ import annotations

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.gguf.header import Header

_ALIGNMENT = 32
_KEY = "general.alignment"


def check_every_byte(header: Header) -> None:
    """Raises ModelFileError where more than the padding between tensors belongs to none of them."""
    for member in header.members:
        _check_member(member)


def _check_member(file: _native.GgufFile) -> None:
    stated = file.metadata().get(_KEY)
    alignment = stated if isinstance(stated, int) and stated > 0 else _ALIGNMENT
    places = sorted((entry["offset"], entry["nbytes"], entry["name"]) for entry in file.tensors())
    ends = [offset + nbytes for offset, nbytes, _ in places]
    starts = [offset for offset, _, _ in places[1:]] + [file.size]
    for end, start, (_, _, name) in zip(ends, starts, places, strict=False):
        if start - end >= alignment:
            raise ModelFileError(
                f"{file.path} has {start - end} bytes after tensor {name} that belong to no tensor: its type, its "
                "shape or the file was changed; convert or download it again"
            )
