"""Files that llama.cpp's tools split: PREFIX-00001-of-0000N.gguf and its siblings, found from any of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.paths import all_members, member_of
from omniggml.printable import shown

SPLIT_NO = "split.no"
SPLIT_COUNT = "split.count"
SPLIT_TENSORS = "split.tensors.count"

_MOST = 99_999


def members_of(path: Path, file: _native.GgufFile, metadata: dict[str, Any]) -> list[_native.GgufFile]:
    """All members of the split that the open file is one of, the first first; the file alone where it is not split.

    Raises ModelFileError where one is missing, or where they don't belong together.
    """
    count = metadata.get(SPLIT_COUNT, 1)
    if type(count) is not int or not 1 <= count <= _MOST:
        raise ModelFileError(f"{path} has {SPLIT_COUNT} = {shown(count)}, expected 1 to {_MOST}")
    if count == 1:
        return [file]
    found = member_of(path.name)
    if found is None or found[2] != count:
        raise ModelFileError(
            f"{path} is one of the {count} files that a model was split into; they have to be called "
            f"NAME-00001-of-{count:05d}.gguf and so on"
        )
    paths = all_members(path)
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
