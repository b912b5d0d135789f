"""A checkpoint's encoders as llama.cpp's mmproj files have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from omniggml.conversion.encode import ValueSource
from omniggml.conversion.output_tensors import StackedTensor
from omniggml.spec.encoder_tensors import AUDIO_POSITIONS, audio_encoder_tensors
from omniggml.spec.llama_names import encoder_name
from omniggml.spec.model_config import AudioEncoderConfig
from omniggml.spec.policy import Policy

_LONGEST_PERIOD = 10000.0


def mmproj_outputs(audio: AudioEncoderConfig, policy: Policy) -> list[StackedTensor]:
    """Tensors under llama.cpp's names; kernels in F16 or F32 as it wants them, biases of convolutions [out, 1, 1]."""
    table = (audio.max_source_positions, audio.d_model)
    outputs = [StackedTensor(encoder_name(AUDIO_POSITIONS), table, "F32", (AUDIO_POSITIONS,))]
    for name, shape in audio_encoder_tensors(audio):
        kernel = len(shape) == 4
        type_ = policy.type_of(name, shape)
        if kernel and type_ != "F32":
            type_ = "F16"
        if ".conv2d" in name and not kernel:
            shape = (*shape, 1, 1)
        outputs.append(StackedTensor(encoder_name(name), shape, type_, (name,)))
    return outputs


class EncoderValues:
    """A checkpoint's values, and the table of positions that it leaves out."""

    def __init__(self, checkpoint: ValueSource, audio: AudioEncoderConfig) -> None:
        self._checkpoint = checkpoint
        self._audio = audio

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        if name == AUDIO_POSITIONS:
            yield sinusoids(self._audio.max_source_positions, self._audio.d_model).ravel()
        else:
            yield from self._checkpoint.blocks(name)


def sinusoids(length: int, channels: int) -> npt.NDArray[np.float32]:
    """Sines, then cosines, of periods up to 10000: transformers' SinusoidsPositionEmbedding, float32
    [length, channels]."""
    step = np.log(_LONGEST_PERIOD) / (channels // 2 - 1)
    frequencies = np.exp(-np.float32(step) * np.arange(channels // 2, dtype=np.float32))
    angles = np.arange(length, dtype=np.float32)[:, np.newaxis] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
