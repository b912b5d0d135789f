"""`NAME-thinker.gguf`: the language model in llama.cpp's own `qwen3vlmoe` layout, so that llama.cpp runs it too.

Keys under `qwen3omni.` are extra; llama.cpp passes over keys it doesn't know (but not over tensors).
"""

from __future__ import annotations

from omniggml.gguf.metadata import Metadata, count, fields, real, signed, text
from omniggml.spec.model_config import TEXT_NORMALIZATION_KEY, ModelConfig

ARCHITECTURE = "qwen3vlmoe"
EXTRA = "qwen3omni"
TEXT_NORMALIZATION = f"{EXTRA}.{TEXT_NORMALIZATION_KEY}"


def thinker_metadata(config: ModelConfig) -> Metadata:
    """Keys of llama.cpp's architecture, and the few of ours."""
    thinker = config.thinker
    entries: Metadata = {
        "block_count": count(thinker.num_hidden_layers),
        "context_length": count(thinker.max_position_embeddings),
        "embedding_length": count(thinker.hidden_size),
        "feed_forward_length": count(thinker.intermediate_size),
        "attention.head_count": count(thinker.num_attention_heads),
        "attention.head_count_kv": count(thinker.num_key_value_heads),
        "attention.key_length": count(thinker.head_dim),
        "attention.value_length": count(thinker.head_dim),
        "attention.layer_norm_rms_epsilon": real(thinker.rms_norm_eps),
        # llama.cpp knows a fourth axis, which this model doesn't use.
        "rope.dimension_sections": signed([*thinker.mrope_section, 0]),
        "rope.freq_base": real(thinker.rope_theta),
        "expert_count": count(thinker.num_experts),
        "expert_used_count": count(thinker.num_experts_per_tok),
        "expert_feed_forward_length": count(thinker.moe_intermediate_size),
        # Qwen3-VL feeds image features into its first layers; Qwen3-Omni's file has no such layers.
        "n_deepstack_layers": count(0),
    }
    named = {f"{ARCHITECTURE}.{key}": entry for key, entry in entries.items()}
    named[f"{EXTRA}.accept_hidden_layer"] = count(config.talker.accept_hidden_layer)
    named |= fields(f"{EXTRA}.generation.", config.thinker_sampling)
    if config.text_normalization is not None:
        named[TEXT_NORMALIZATION] = text(config.text_normalization)
    return named
