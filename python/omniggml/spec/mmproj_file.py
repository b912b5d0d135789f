"""`NAME-mmproj.gguf`: the encoders beside the thinker in the layout of llama.cpp's own mmproj files, so that it reads
ours and we read its.

Keys under `qwen3omni.` are extra; llama.cpp passes over keys it doesn't know.
"""

from __future__ import annotations

from omniggml.gguf.metadata import Metadata, count, flag, real, text
from omniggml.spec.model_config import AudioEncoderConfig
from omniggml.spec.thinker_file import EXTRA

ARCHITECTURE = "clip"
AUDIO_PROJECTOR = "qwen3a"
_AUDIO = f"{ARCHITECTURE}.audio."
NOT_SEEN_THROUGH = ("v.", "mm.0.", "mm.2.")
"""Beginnings of the names of a vision encoder's tensors."""

LAYER_NORM_EPSILON = 1e-5
"""Of the audio encoder: torch's own, which no configuration names."""


def audio_metadata(config: AudioEncoderConfig) -> Metadata:
    """llama.cpp's keys of an audio encoder, and the two lengths that they leave out."""
    return {
        f"{ARCHITECTURE}.has_audio_encoder": flag(True),
        f"{ARCHITECTURE}.has_vision_encoder": flag(False),
        f"{ARCHITECTURE}.use_gelu": flag(True),
        f"{_AUDIO}projector_type": text(AUDIO_PROJECTOR),
        f"{_AUDIO}projection_dim": count(config.output_dim),
        f"{_AUDIO}embedding_length": count(config.d_model),
        f"{_AUDIO}feed_forward_length": count(config.encoder_ffn_dim),
        f"{_AUDIO}block_count": count(config.encoder_layers),
        f"{_AUDIO}attention.head_count": count(config.encoder_attention_heads),
        f"{_AUDIO}attention.layer_norm_epsilon": real(LAYER_NORM_EPSILON),
        f"{_AUDIO}num_mel_bins": count(config.num_mel_bins),
        f"{EXTRA}.audio.n_window": count(config.n_window),
        f"{EXTRA}.audio.n_window_infer": count(config.n_window_infer),
    }
