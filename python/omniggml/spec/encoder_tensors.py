"""The exact tensors of the encoders beside the thinker: name and shape of each, from the configuration alone.

Names and shapes are those of transformers' `Qwen3OmniMoeForConditionalGeneration` as `save_pretrained` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from omniggml.spec.expected_tensors import Named
from omniggml.spec.model_config import AudioEncoderConfig, VisionEncoderConfig

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

VISION_PREFIX = "thinker.visual."
PATCH_KERNEL = f"{VISION_PREFIX}patch_embed.proj.weight"
"""[hidden, 3, 2, patch, patch]: of two frames, which an mmproj file holds apart."""

VISION_POSITIONS = f"{VISION_PREFIX}pos_embed.weight"
FRAMES = 2
"""That a patch covers: `temporal_patch_size`."""

VISION_BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.linear_fc1", "mlp.linear_fc2")
MERGER = ("ln_q", "mlp.0", "mlp.2")
"""Modules of a block and of a merger that have a weight and a bias."""

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


def vision_encoder_tensors(config: VisionEncoderConfig) -> Iterator[Named]:
    """Tensors of the vision encoder, in the order of its modules."""
    hidden, inner = config.hidden_size, config.intermediate_size
    joined = hidden * config.spatial_merge_size**2
    yield PATCH_KERNEL, (hidden, 3, FRAMES, config.patch_size, config.patch_size)
    yield f"{VISION_PREFIX}patch_embed.proj.bias", (hidden,)
    yield VISION_POSITIONS, (config.num_position_embeddings, hidden)
    shapes = {
        "attn.qkv": (3 * hidden, hidden),
        "attn.proj": (hidden, hidden),
        "mlp.linear_fc1": (inner, hidden),
        "mlp.linear_fc2": (hidden, inner),
    }
    for block in range(config.depth):
        for name in VISION_BLOCK:
            yield from _both(f"{VISION_PREFIX}blocks.{block}.{name}", shapes.get(name, (hidden,)))
    mergers = [("merger", hidden)]
    mergers += [(f"merger_list.{number}", joined) for number in range(len(config.deepstack_visual_indexes))]
    for path, normed in mergers:
        layers = {"ln_q": (normed,), "mlp.0": (joined, joined), "mlp.2": (config.out_hidden_size, joined)}
        for name in MERGER:
            yield from _both(f"{VISION_PREFIX}{path}.{name}", layers[name])


def mels_after_convolutions(mels: int) -> int:
    """Each of three convolutions of stride 2 halves them, upwards."""
    for _ in range(_CONVOLUTIONS):
        mels = (mels + 1) // 2
    return mels


def _both(path: str, shape: tuple[int, ...]) -> Iterator[Named]:
    yield f"{path}.weight", shape
    yield f"{path}.bias", shape[:1]
