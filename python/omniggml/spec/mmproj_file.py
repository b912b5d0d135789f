"""`NAME-mmproj.gguf`: the encoders beside the thinker in the layout of llama.cpp's own mmproj files, so that it reads
ours and we read its.

Keys under `qwen3omni.` are extra; llama.cpp passes over keys it doesn't know.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from omniggml.gguf.metadata import Metadata, count, flag, flags, real, reals, text
from omniggml.spec.model_config import AudioEncoderConfig, VisionEncoderConfig, VisionInputConfig
from omniggml.spec.thinker_file import EXTRA

ARCHITECTURE = "clip"
AUDIO_PROJECTOR = "qwen3a"
VISION_PROJECTOR = "qwen3vl_merger"
HAS_AUDIO, HAS_VISION = f"{ARCHITECTURE}.has_audio_encoder", f"{ARCHITECTURE}.has_vision_encoder"
DEEPSTACK_TENSORS = "v.deepstack."
"""Beginning of the names of what is added behind the thinker's first layers; some files leave it out."""

_AUDIO, _VISION = f"{ARCHITECTURE}.audio.", f"{ARCHITECTURE}.vision."
_OWN_VISION = f"{EXTRA}.vision."

CUT_SILENCE = f"{EXTRA}.audio.cut_silence"

WIDTHS = (f"{_AUDIO}projection_dim", f"{_VISION}projection_dim")
"""Keys of the width of what each encoder makes."""

AUDIO_NORM_EPSILON = 1e-5
"""Torch's own, which no configuration names."""

VISION_NORM_EPSILON = 1e-6
"""A constant of the reference."""


def encoders_metadata(
    audio: AudioEncoderConfig | None, vision: VisionEncoderConfig | None, images: VisionInputConfig
) -> Metadata:
    """llama.cpp's keys of the encoders that there are, and what they leave out. `images`: what the vision encoder's
    input is."""
    entries = {
        HAS_AUDIO: flag(audio is not None),
        HAS_VISION: flag(vision is not None),
        f"{ARCHITECTURE}.use_gelu": flag(True),
    }
    if audio is not None:
        entries |= _audio_metadata(audio)
    if vision is not None:
        entries |= _vision_metadata(vision) | _input_metadata(images)
    return entries


def _audio_metadata(config: AudioEncoderConfig) -> Metadata:
    return {
        f"{_AUDIO}projector_type": text(AUDIO_PROJECTOR),
        f"{_AUDIO}projection_dim": count(config.output_dim),
        f"{_AUDIO}embedding_length": count(config.d_model),
        f"{_AUDIO}feed_forward_length": count(config.encoder_ffn_dim),
        f"{_AUDIO}block_count": count(config.encoder_layers),
        f"{_AUDIO}attention.head_count": count(config.encoder_attention_heads),
        f"{_AUDIO}attention.layer_norm_epsilon": real(AUDIO_NORM_EPSILON),
        f"{_AUDIO}num_mel_bins": count(config.num_mel_bins),
        f"{EXTRA}.audio.n_window": count(config.n_window),
        f"{EXTRA}.audio.n_window_infer": count(config.n_window_infer),
        **({CUT_SILENCE: flag(True)} if config.cut_silence else {}),
    }


def _vision_metadata(config: VisionEncoderConfig) -> Metadata:
    deep = [block in config.deepstack_visual_indexes for block in range(config.depth)]
    return {
        f"{_VISION}projector_type": text(VISION_PROJECTOR),
        f"{_VISION}projection_dim": count(config.out_hidden_size),
        f"{_VISION}embedding_length": count(config.hidden_size),
        f"{_VISION}feed_forward_length": count(config.intermediate_size),
        f"{_VISION}block_count": count(config.depth),
        f"{_VISION}attention.head_count": count(config.num_heads),
        f"{_VISION}attention.layer_norm_epsilon": real(VISION_NORM_EPSILON),
        f"{_VISION}image_size": count(isqrt(config.num_position_embeddings) * config.patch_size),
        f"{_VISION}patch_size": count(config.patch_size),
        f"{_VISION}spatial_merge_size": count(config.spatial_merge_size),
        f"{_VISION}is_deepstack_layers": flags(deep),
    }


def _input_metadata(config: VisionInputConfig) -> Metadata:
    return {
        f"{_VISION}image_mean": reals(list(config.image_mean)),
        f"{_VISION}image_std": reals(list(config.image_std)),
        f"{_OWN_VISION}min_pixels": count(config.min_pixels),
        f"{_OWN_VISION}max_pixels": count(config.max_pixels),
        f"{_OWN_VISION}position_id_per_seconds": count(config.position_id_per_seconds),
    }


def known_keys() -> frozenset[str]:
    """All that an mmproj file may say of its encoders."""
    audio = AudioEncoderConfig(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, cut_silence=True)
    vision = VisionEncoderConfig(1, 1, 1, 1, 1, 1, 1, 1, ())
    return frozenset((*encoders_metadata(audio, vision, VisionInputConfig()), f"{ARCHITECTURE}.projector_type"))


def vision_input(metadata: Mapping[str, Any]) -> VisionInputConfig:
    """What a file says of the vision encoder's input; the published model's where it says nothing sensible."""
    default = VisionInputConfig()

    def triple(key: str, otherwise: tuple[float, ...]) -> tuple[float, ...]:
        value = metadata.get(f"{_VISION}{key}")
        known = isinstance(value, list) and len(value) == 3 and all(isinstance(one, float) for one in value)
        return tuple(value) if known and value is not None and (key != "image_std" or min(value) > 0) else otherwise

    def number(key: str, otherwise: int) -> int:
        value = metadata.get(f"{_OWN_VISION}{key}")
        return value if isinstance(value, int) and 0 < value < 1 << 31 else otherwise

    return VisionInputConfig(
        triple("image_mean", default.image_mean),
        triple("image_std", default.image_std),
        number("min_pixels", default.min_pixels),
        number("max_pixels", default.max_pixels),
        number("position_id_per_seconds", default.position_id_per_seconds),
    )
