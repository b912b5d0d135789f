"""What transformers' configuration classes fill in where `config.json` leaves a key out, by section: mostly not what
the published model has. Those of 4.57 to 5.24 are of one mind but for the audio encoder's windows, where the later
count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omniggml.spec.published import PUBLISHED

Defaults = Mapping[str, Any]

_IDS = ("im_start", "im_end", "tts_pad", "tts_bos", "tts_eos", "system", "user", "assistant")

ROOT: Defaults = {f"{name}_token_id": getattr(PUBLISHED.token, name) for name in _IDS}
"""The one section whose defaults are the published model's."""

THINKER: Defaults = {
    "audio_token_id": 151646,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "position_id_per_seconds": 25,
}

THINKER_TEXT: Defaults = {
    "vocab_size": 3584,
    "hidden_size": 2048,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "norm_topk_prob": True,
}

TALKER: Defaults = {
    "num_code_groups": 32,
    "thinker_hidden_size": 2048,
    "accept_hidden_layer": 18,
    "codec_eos_token_id": 4198,
    "codec_nothink_id": 4203,
    "codec_think_bos_id": 4204,
    "codec_think_eos_id": 4205,
    "codec_pad_id": 4196,
    "codec_bos_id": 4197,
}

TALKER_TEXT: Defaults = {
    "vocab_size": 3072,
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 20,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
    "moe_intermediate_size": 384,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "norm_topk_prob": False,
}

CODE_PREDICTOR: Defaults = {
    "vocab_size": 2048,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 5,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 32768,
    "max_window_layers": 28,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
    "num_code_groups": 32,
}

CODE2WAV: Defaults = {
    "codebook_size": 2048,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "max_position_embeddings": 8000,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e4,
    "sliding_window": 72,
    "num_quantizers": 16,
    "decoder_dim": 1536,
    "upsample_rates": [8, 5, 4, 3],
    "upsampling_ratios": [2, 2],
}

AUDIO_ENCODER: Defaults = {
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "num_mel_bins": 128,
    "downsample_hidden_size": 480,
    "output_dim": 3584,
    "max_source_positions": 1500,
    "n_window": 50,
    "n_window_infer": 800,
}

VISION_ENCODER: Defaults = {
    "depth": 27,
    "hidden_size": 1152,
    "num_heads": 16,
    "intermediate_size": 4304,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "num_position_embeddings": 2304,
    "out_hidden_size": 3584,
    "deepstack_visual_indexes": [8, 16, 24],
}

MROPE_SECTION = (24, 20, 20)
"""What the model takes where its positions say nothing of sections."""
