"""A checkpoint's encoders as llama.cpp's mmproj files have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from omniggml.conversion.encode import ValueSource
from omniggml.conversion.encoder_configs import Encoders
from omniggml.conversion.output_tensors import StackedTensor
from omniggml.spec.encoder_tensors import (
    AUDIO_POSITIONS,
    FRAMES,
    PATCH_KERNEL,
    VISION_POSITIONS,
    VISION_PREFIX,
    audio_encoder_tensors,
    vision_encoder_tensors,
)
from omniggml.spec.llama_names import encoder_name
from omniggml.spec.model_config import AudioEncoderConfig, VisionEncoderConfig
from omniggml.spec.policy import Policy

_LONGEST_PERIOD = 10000.0
_MERGERS = f"{VISION_PREFIX}merger_list."


def mmproj_outputs(encoders: Encoders, policy: Policy) -> list[StackedTensor]:
    """Tensors under llama.cpp's names; kernels in F16 or F32 as it wants them, biases of convolutions [out, 1, 1]."""
    outputs = [] if encoders.audio is None else list(_audio_outputs(encoders.audio, policy))
    return outputs if encoders.vision is None else [*outputs, *_vision_outputs(encoders.vision, policy)]


def _audio_outputs(audio: AudioEncoderConfig, policy: Policy) -> Iterator[StackedTensor]:
    table = (audio.max_source_positions, audio.d_model)
    yield StackedTensor(encoder_name(AUDIO_POSITIONS), table, "F32", (AUDIO_POSITIONS,))
    for name, shape in audio_encoder_tensors(audio):
        kernel = len(shape) == 4
        type_ = _of_kernel(name, shape, policy) if kernel else policy.type_of(name, shape)
        if ".conv2d" in name and not kernel:
            shape = (*shape, 1, 1)
        yield StackedTensor(encoder_name(name), shape, type_, (name,))


def _vision_outputs(vision: VisionEncoderConfig, policy: Policy) -> Iterator[StackedTensor]:
    """The kernel of a patch frame by frame, and mergers by the number of the block that they stand behind."""
    for name, shape in vision_encoder_tensors(vision):
        if name == PATCH_KERNEL:
            one = (shape[0], shape[1], *shape[3:])
            for frame in range(FRAMES):
                ending = f".{frame}" if frame else ""
                stored = encoder_name(name) + ending
                yield StackedTensor(stored, one, _of_kernel(name, one, policy), (f"{PATCH_KERNEL}.{frame}",))
        elif name == VISION_POSITIONS:
            yield StackedTensor(encoder_name(name), shape, "F32", (name,))
        else:
            yield StackedTensor(_stored_name(name, vision), shape, policy.type_of(name, shape), (name,))


def _of_kernel(name: str, shape: tuple[int, ...], policy: Policy) -> str:
    return "F32" if policy.type_of(name, shape) == "F32" else "F16"


def _stored_name(name: str, vision: VisionEncoderConfig) -> str:
    if not name.startswith(_MERGERS):
        return encoder_name(name)
    number, _, rest = name.removeprefix(_MERGERS).partition(".")
    return encoder_name(f"{_MERGERS}{vision.deepstack_visual_indexes[int(number)]}.{rest}")


class EncoderValues:
    """A checkpoint's values, the table of positions that it leaves out, and the frames of a patch's kernel apart."""

    def __init__(self, checkpoint: ValueSource, encoders: Encoders) -> None:
        self._checkpoint = checkpoint
        self._audio, self._vision = encoders.audio, encoders.vision

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        if name == AUDIO_POSITIONS and self._audio is not None:
            yield sinusoids(self._audio.max_source_positions, self._audio.d_model).ravel()
        elif name.startswith(f"{PATCH_KERNEL}.") and self._vision is not None:
            whole = np.concatenate([*self._checkpoint.blocks(PATCH_KERNEL)])
            frame = int(name.rpartition(".")[2])
            yield whole.reshape(-1, FRAMES, self._vision.patch_size**2)[:, frame].ravel()
        else:
            yield from self._checkpoint.blocks(name)


def sinusoids(length: int, channels: int) -> npt.NDArray[np.float32]:
    """Sines, then cosines, of periods up to 10000: transformers' SinusoidsPositionEmbedding, float32
    [length, channels]. Its steps are in float32, but functions of NumPy's float32 are further from torch's than rounded
    ones of float64."""
    step = np.log(_LONGEST_PERIOD) / (channels // 2 - 1)
    exponents = -np.float32(step) * np.arange(channels // 2, dtype=np.float32)
    frequencies = np.exp(exponents.astype(np.float64)).astype(np.float32)
    angles = (np.arange(length, dtype=np.float32)[:, np.newaxis] * frequencies).astype(np.float64)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
