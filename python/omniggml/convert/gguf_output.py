"""Write GGUF files so that a name never stands for half a file: under a temporary name, renamed when all is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from omniggml.convert.encode import encode, encoded_size
from omniggml.convert.metadata import Metadata
from omniggml.convert.safetensors_reader import Checkpoint
from omniggml.convert.tensor_plan import PlannedTensor
from omniggml.errors import ConversionError

Progress = Callable[[str, int, int], None]
"""Called with a tensor's name before it is written, the bytes written so far, and the bytes of all files."""


@contextmanager
def renamed_at_the_end(targets: list[Path]) -> Iterator[list[Path]]:
    """Temporary paths beside `targets`; they take the targets' names when the block ends, and vanish if it fails.

    Raises ConversionError when the directory can't be made or written to.
    """
    temporary = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in targets]
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError(f"{target} is a directory")
        yield temporary
        for source in temporary:
            _sync(source)
        for source, target in zip(temporary, targets, strict=True):
            source.replace(target)
    except OSError as error:
        raise ConversionError(f"{targets[0].parent} can't be written to: {error}") from error
    finally:
        for path in temporary:
            with suppress(OSError):  # a directory that couldn't be made holds no file to remove
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """On the disk, so that a power cut after the renaming finds all of it there."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def write_gguf(
    path: Path,
    architecture: str,
    metadata: Metadata,
    tensors: list[PlannedTensor],
    checkpoint: Checkpoint,
    announce: Callable[[PlannedTensor], None],
) -> None:
    """Write one file to `path`: metadata in its order, then the tensors in theirs, one in memory at a time."""
    writer = GGUFWriter(path, architecture)
    for key, (value, type_, element_type) in metadata.items():
        writer.add_key_value(key, value, type_, element_type)
    for tensor in tensors:
        # The NumPy type only has to differ from uint8, which would make the shape one of bytes; the raw type counts.
        size = encoded_size(tensor)
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=tensor.type)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            announce(tensor)
            writer.write_tensor_data(encode(checkpoint, tensor))
    finally:
        writer.close()
