"""`NAME-thinker.gguf`: the language model in llama.cpp's own `qwen3vlmoe` layout, so that llama.cpp runs it too.

Keys under `qwen3omni.` are extra; llama.cpp passes over keys it doesn't know (but not over tensors).
"""

from __future__ import annotations

from omniggml.gguf.metadata import Metadata, count, fields, flag, real, signed, text
from omniggml.spec.model_config import TEXT_NORMALIZATION_KEY, LanguageModel

ARCHITECTURE = "qwen3vlmoe"
EXTRA = "qwen3omni"
TEXT_NORMALIZATION = f"{EXTRA}.{TEXT_NORMALIZATION_KEY}"
GENERAL_SAMPLING = "general.sampling."
"""Where llama.cpp's files have defaults of sampling."""

HAS_VOICE = f"{EXTRA}.enable_audio_output"
"""False in the file of a model that was published without a talker; absent from every other."""


def thinker_metadata(model: LanguageModel) -> Metadata:
    """Keys of llama.cpp's architecture, and the few of ours."""
    thinker = model.thinker
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
    if model.accept_hidden_layer is None:
        named[HAS_VOICE] = flag(False)
    else:
        named[f"{EXTRA}.accept_hidden_layer"] = count(model.accept_hidden_layer)
    named |= fields(f"{EXTRA}.generation.", model.thinker_sampling)
    if model.text_normalization is not None:
        named[TEXT_NORMALIZATION] = text(model.text_normalization)
    return named
