"""The exact tensors of the encoders beside the thinker: name and shape of each, from the configuration alone.

Names and shapes are those of transformers' `Qwen3OmniMoeForConditionalGeneration` as `save_pretrained` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from omniggml.spec.expected_tensors import Named
from omniggml.spec.model_config import AudioEncoderConfig

AUDIO_PREFIX = "thinker.audio_tower."
AUDIO_POSITIONS = f"{AUDIO_PREFIX}positional_embedding.weight"
"""The table of sines that a checkpoint leaves out and an mmproj file holds."""

AUDIO_LAYER = (
    "self_attn_layer_norm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.out_proj",
    "final_layer_norm",
    "fc1",
    "fc2",
)
"""Modules of a layer that have a weight and a bias."""

_KERNEL = (3, 3)
_CONVOLUTIONS = 3


def audio_encoder_tensors(config: AudioEncoderConfig) -> Iterator[Named]:
    """Tensors of the audio encoder, in the order of its modules."""
    hidden, channels = config.d_model, config.downsample_hidden_size
    for number in range(1, _CONVOLUTIONS + 1):
        path = f"{AUDIO_PREFIX}conv2d{number}"
        yield f"{path}.weight", (channels, 1 if number == 1 else channels, *_KERNEL)
        yield f"{path}.bias", (channels,)
    yield f"{AUDIO_PREFIX}conv_out.weight", (hidden, channels * mels_after_convolutions(config.num_mel_bins))
    for layer in range(config.encoder_layers):
        path = f"{AUDIO_PREFIX}layers.{layer}."
        shapes = {"fc1": (config.encoder_ffn_dim, hidden), "fc2": (hidden, config.encoder_ffn_dim)}
        for name in AUDIO_LAYER:
            plain = (hidden,) if name.endswith("_norm") else (hidden, hidden)
            yield from _both(f"{path}{name}", shapes.get(name, plain))
    yield from _both(f"{AUDIO_PREFIX}ln_post", (hidden,))
    yield from _both(f"{AUDIO_PREFIX}proj1", (hidden, hidden))
    yield from _both(f"{AUDIO_PREFIX}proj2", (config.output_dim, hidden))


def mels_after_convolutions(mels: int) -> int:
    """Each of three convolutions of stride 2 halves them, upwards."""
    for _ in range(_CONVOLUTIONS):
        mels = (mels + 1) // 2
    return mels


def _both(path: str, shape: tuple[int, ...]) -> Iterator[Named]:
    yield f"{path}.weight", shape
    yield f"{path}.bias", shape[:1]
