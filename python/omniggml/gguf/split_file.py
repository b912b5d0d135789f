"""Files that llama.cpp's tools split: PREFIX-00001-of-0000N.gguf and its siblings, found from any of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.printable import shown

SPLIT_NO = "split.no"
SPLIT_COUNT = "split.count"
SPLIT_TENSORS = "split.tensors.count"

_NAME = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.gguf")
_MOST = 99_999


def member_name(stem: str, number: int, count: int) -> str:
    """The name of a member; `number` counts from 1."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf"


def members_of(path: Path, file: _native.GgufFile, metadata: dict[str, Any]) -> list[_native.GgufFile]:
    """All members of the split that the open file is one of, the first first; the file alone where it is not split.

    Raises ModelFileError where one is missing, or where they don't belong together.
    """
    count = metadata.get(SPLIT_COUNT, 1)
    if type(count) is not int or not 1 <= count <= _MOST:
        raise ModelFileError(f"{path} has {SPLIT_COUNT} = {shown(count)}, expected 1 to {_MOST}")
    if count == 1:
        return [file]
    found = _NAME.fullmatch(path.name)
    if found is None or int(found[3]) != count:
        raise ModelFileError(
            f"{path} is one of the {count} files that a model was split into; they have to be called "
            f"NAME-00001-of-{count:05d}.gguf and so on"
        )
    paths = [path.with_name(member_name(found[1], number, count)) for number in range(1, count + 1)]
    if lacking := [other.name for other in paths if not other.exists()]:
        names = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise ModelFileError(f"{path} is one of {count} files, and {names} is not beside it: download all of them")
    files = [file if other == path else _native.GgufFile(os.fsencode(other)) for other in paths]
    _check_belong_together(files, count)
    return files


def _check_belong_together(files: list[_native.GgufFile], count: int) -> None:
    seen: set[str] = set()
    for number, file in enumerate(files):
        metadata = file.metadata()
        if (metadata.get(SPLIT_NO), metadata.get(SPLIT_COUNT)) != (number, count):
            raise ModelFileError(
                f"{file.path} says that it is part {metadata.get(SPLIT_NO)} of {metadata.get(SPLIT_COUNT)}, counted "
                f"from 0; its name says {number} of {count}"
            )
        for entry in file.tensors():
            if entry["name"] in seen:
                raise ModelFileError(f"{file.path} has tensor {entry['name']}, which another part has too")
            seen.add(entry["name"])
    expected = files[0].metadata().get(SPLIT_TENSORS, len(seen))
    if expected != len(seen):
        raise ModelFileError(f"{files[0].path} and its siblings hold {len(seen)} tensors, expected {shown(expected)}")
