"""A Hugging Face checkpoint's tensors as `StoredWeights` has a file's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from omniggml.conversion.config_json import read_model_config
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.files.geometry import Derived
from omniggml.spec.expected_tensors import stacked_name
from omniggml.spec.sections import SPOKEN_SECTIONS
from omniggml.spec.speech_file import short_name

FloatArray = npt.NDArray[np.float32]


class CheckpointWeights(Mapping[str, FloatArray]):
    """Our name -> float32 values, experts stacked. Raises ConversionError for a checkpoint that can't be read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.derived = Derived(read_model_config(checkpoint.directory), {})
        self.sections = (*SPOKEN_SECTIONS, "token")
        self._names: dict[str, list[str]] = {}
        for name in checkpoint.tensors:
            self._names.setdefault(short_name(stacked_name(name)), []).append(name)
        for names in self._names.values():
            names.sort(key=lambda name: [int(part) if part.isdigit() else part for part in name.split(".")])

    def __getitem__(self, name: str) -> FloatArray:
        stored = self._names[short_name(name)]
        arrays = [self._read(one) for one in stored]
        return arrays[0] if len(arrays) == 1 and ".experts." not in name else np.stack(arrays)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _read(self, name: str) -> FloatArray:
        return np.concatenate(list(self.checkpoint.blocks(name))).reshape(self.checkpoint.tensors[name].shape)
