"""Write a speech file with random weights, of any size, without a checkpoint: for measuring speed and memory.

from omniggml.synthetic.random_speech import write_random_speech
write_random_speech("real-speech.gguf", PUBLISHED_GEOMETRY, "q8_0")
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml.conversion.encode import encoded
from omniggml.conversion.output_tensors import speech_file_outputs
from omniggml.errors import InputError
from omniggml.files.tokenizer_metadata import tokenizer_metadata
from omniggml.gguf.bfloat16 import from_bfloat16, to_bfloat16
from omniggml.gguf.file_type import type_entries
from omniggml.gguf.metadata import Metadata, text
from omniggml.gguf.output import FileJob, Pieces, Progress, identity_of, write_files
from omniggml.gguf.output_header import header_bytes
from omniggml.paths import as_path
from omniggml.printable import shown
from omniggml.spec import speech_file
from omniggml.spec.policy import read_policy
from omniggml.synthetic.geometries import GEOMETRIES, PUBLISHED_GEOMETRY, Geometry
from omniggml.synthetic.random_weights import weight_blocks


def write_random_speech(
    path: str | os.PathLike[str],
    geometry: str | Geometry = PUBLISHED_GEOMETRY,
    type: str = "q8_0",
    seed: int = 0,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write random weights of `geometry` to `path` as a speech file, in the types of a quantization policy.

    The file is what `convert` makes of the checkpoint that `write_random_checkpoint` writes with this seed, made and
    quantized in small blocks: the published geometry, 4 GiB in q8_0, needs no more memory than a small one. The same
    arguments give the same bytes, and an interrupted call is gone on with.

    Raises InputError for an unknown geometry or policy, ConversionError where the file can't be written.
    """
    if isinstance(geometry, str):
        if geometry not in GEOMETRIES:
            raise InputError(f"there is no geometry {shown(geometry)}: choose one of {', '.join(GEOMETRIES)}")
        geometry = GEOMETRIES[geometry]
    config = geometry.model_config()
    target = as_path(path)
    tensors = speech_file_outputs(config, read_policy(type))
    outputs = [tensor.as_output() for tensor in tensors]
    general: Metadata = {
        "general.type": text("model"),
        "general.name": text(target.name.removesuffix(".gguf").removesuffix("-speech")),
        **type_entries(outputs),
    }
    metadata = general | speech_file.speech_metadata(config) | _tokenizer(geometry)
    header = header_bytes(speech_file.ARCHITECTURE, metadata, outputs)
    source = _RandomValues(geometry, seed)

    def pieces(number: int) -> Pieces:
        yield from encoded(source, tensors[number])

    identity = identity_of(header, (), "random speech", geometry.name, str(seed))
    write_files([FileJob(target, header, outputs, identity, pieces)], progress)
    return target


class _RandomValues:
    """The values of a random checkpoint, which are bfloat16, without the checkpoint."""

    def __init__(self, geometry: Geometry, seed: int) -> None:
        self._geometry, self._seed = geometry, seed
        self._shapes = dict(speech_file.speech_file_tensors(geometry.model_config()))

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        for values in weight_blocks(self._geometry, self._seed, name, self._shapes[name]):
            yield from_bfloat16(to_bfloat16(values.reshape(-1)))


def _tokenizer(geometry: Geometry) -> Metadata:
    with tempfile.TemporaryDirectory() as directory:
        geometry.tokenizer.write(Path(directory))
        tokens = geometry.tokenizer.special_tokens()
        return tokenizer_metadata(Path(directory), geometry.thinker.vocab_size, tokens)
