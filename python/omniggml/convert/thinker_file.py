"""`NAME-thinker.gguf`: the language model in llama.cpp's own `qwen3vlmoe` layout, so that llama.cpp runs it too.

Keys under `qwen3omni.` are extra; llama.cpp passes over keys it doesn't know (but not over tensors).
"""

from __future__ import annotations

from omniggml import text_normalization
from omniggml.convert.expected_tensors import TEXT_EMBEDDING, thinker_tensors
from omniggml.convert.metadata import Metadata, count, fields, real, signed, text
from omniggml.convert.model_config import ModelConfig
from omniggml.convert.tensor_plan import PlannedTensor, TypeChoice, plan_tensors

ARCHITECTURE = "qwen3vlmoe"
EXTRA = "qwen3omni"
TEXT_NORMALIZATION = f"{EXTRA}.{text_normalization.KEY}"

_WHOLE = {
    TEXT_EMBEDDING: "token_embd.weight",
    "thinker.model.norm.weight": "output_norm.weight",
    "thinker.lm_head.weight": "output.weight",
}

_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate": "ffn_gate_inp",
    "mlp.experts.gate_proj": "ffn_gate_exps",
    "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.down_proj": "ffn_down_exps",
}

_LAYERS = "thinker.model.layers."


def plan_thinker_file(config: ModelConfig, types: TypeChoice) -> list[PlannedTensor]:
    """Tensors of the file under llama.cpp's names, experts stacked, types by `types`."""
    return plan_tensors(thinker_tensors(config.thinker), types, llama_name)


def llama_name(name: str) -> str:
    """llama.cpp's name of a checkpoint tensor of the thinker (experts without their number)."""
    if name in _WHOLE:
        return _WHOLE[name]
    layer, _, rest = name.removeprefix(_LAYERS).partition(".")
    return f"blk.{layer}.{_IN_LAYER[rest.removesuffix('.weight')]}.weight"


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
