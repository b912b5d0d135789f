"""An mmproj file, opened for the engine."""

from __future__ import annotations

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.files import families
from omniggml.files.opening import File, PathLike, Source, open_file
from omniggml.gguf.every_byte import check_every_byte
from omniggml.gguf.planned_tensor import PlannedTensor
from omniggml.spec.mmproj_file import NOT_SEEN_THROUGH
from omniggml.warning import warn


def open_encoders(path: PathLike) -> Source:
    """The encoders of a file. Raises ModelFileError where it holds none that can be used."""
    file = open_file(path)
    check_every_byte(file.header)
    if file.family is not families.MMPROJ:
        raise ModelFileError(f"{file.header.path} is no mmproj file with an audio encoder of Qwen3-Omni's")
    source = encoders_of(file)
    if source.native is not file.header.native:
        warn(f"{file.header.path} holds an encoder for images, which is not used: this version hears only")
    return source


def encoders_of(file: File) -> Source:
    """The file, without what no encoder here reads."""
    header = file.header
    heard = [tensor for tensor in header.tensors.values() if not tensor.name.startswith(NOT_SEEN_THROUGH)]
    if len(heard) == len(header.tensors):
        return Source(header.native, header.metadata, {})
    plan = [PlannedTensor(tensor.name, tensor.shape, ((tensor.member, tensor.name, 0, 1),)) for tensor in heard]
    return Source(_native.PlannedFile(header.paths, dict(header.metadata), plan), header.metadata, {})
