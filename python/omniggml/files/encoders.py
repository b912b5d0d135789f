"""An mmproj file, opened for the engine."""

from __future__ import annotations

from omniggml.errors import ModelFileError
from omniggml.files import families
from omniggml.files.opening import File, PathLike, Source, open_file
from omniggml.gguf.every_byte import check_every_byte
from omniggml.spec.mmproj_file import DEEPSTACK_TENSORS, HAS_VISION
from omniggml.warning import warn


def open_encoders(path: PathLike) -> Source:
    """The encoders of a file. Raises ModelFileError where it holds none that can be used."""
    file = open_file(path)
    check_every_byte(file.header)
    if file.family is not families.MMPROJ:
        raise ModelFileError(f"{file.header.path} is no mmproj file with encoders of Qwen3-Omni's")
    header = file.header
    if header.metadata.get(HAS_VISION) and not any(name.startswith(DEEPSTACK_TENSORS) for name in header.tensors):
        warn(
            f"{header.path} holds an encoder for images without {DEEPSTACK_TENSORS}*, what it adds behind the "
            "thinker's first layers: images are seen less well; convert the checkpoint with omniggml for all of it"
        )
    return encoders_of(file)


def encoders_of(file: File) -> Source:
    """The file as it is."""
    return Source(file.header.native, file.header.metadata, {})
