"""Write an mmproj file with random encoders of any size, without a checkpoint: for measuring."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml.conversion.encode import encoded
from omniggml.conversion.encoder_configs import Encoders
from omniggml.conversion.mmproj_file import EncoderValues, mmproj_outputs
from omniggml.gguf.bfloat16 import from_bfloat16, to_bfloat16
from omniggml.gguf.file_type import type_entries
from omniggml.gguf.metadata import Metadata, text
from omniggml.gguf.output import FileJob, Pieces, identity_of, write_files
from omniggml.gguf.output_header import header_bytes
from omniggml.paths import as_path
from omniggml.spec import mmproj_file
from omniggml.spec.encoder_tensors import audio_encoder_tensors, vision_encoder_tensors
from omniggml.spec.policy import read_policy
from omniggml.synthetic.ears import PUBLISHED_EARS
from omniggml.synthetic.eyes import PUBLISHED_EYES
from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY
from omniggml.synthetic.random_weights import weight_blocks

EARS = Encoders(audio=PUBLISHED_EARS)
"""The published model's audio encoder alone."""

EYES = Encoders(vision=PUBLISHED_EYES)
"""The published model's vision encoder alone."""


def write_random_encoders(path: str | os.PathLike[str], encoders: Encoders, type: str = "q8_0", seed: int = 0) -> Path:
    """Write random weights of `encoders` to `path`, in the types of a quantization policy: what `convert` makes of a
    checkpoint with the values of RandomEncoders. Raises ConversionError where the file can't be written."""
    target = as_path(path)
    tensors = mmproj_outputs(encoders, read_policy(type))
    outputs = [tensor.as_output() for tensor in tensors]
    general: Metadata = {
        "general.type": text("mmproj"),
        "general.name": text(target.stem),
        **type_entries(outputs),
    }
    encoder_keys = mmproj_file.encoders_metadata(encoders.audio, encoders.vision, encoders.images)
    header = header_bytes(mmproj_file.ARCHITECTURE, general | encoder_keys, outputs)
    source = EncoderValues(RandomEncoders(encoders, seed), encoders)

    def pieces(number: int) -> Pieces:
        yield from encoded(source, tensors[number])

    identity = identity_of(header, (), "random encoders", str(seed))
    write_files([FileJob(target, header, outputs, identity, pieces)])
    return target


class RandomEncoders:
    """Values of encoders under the names of a checkpoint; they are bfloat16."""

    def __init__(self, encoders: Encoders, seed: int = 0) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        if encoders.audio is not None:
            self.shapes.update(audio_encoder_tensors(encoders.audio))
        if encoders.vision is not None:
            self.shapes.update(vision_encoder_tensors(encoders.vision))
        self._seed = seed

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """Float32, flat."""
        for values in weight_blocks(PUBLISHED_GEOMETRY, self._seed, name, self.shapes[name]):
            yield from_bfloat16(to_bfloat16(values.reshape(-1)))
