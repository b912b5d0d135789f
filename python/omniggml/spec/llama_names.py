"""llama.cpp's names of tensors beside the checkpoint's: its thinker file has them, and forks' talkers build on them."""

from __future__ import annotations

from omniggml.spec.expected_tensors import TEXT_EMBEDDING

ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
}

DENSE = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}

EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
}

SHARED_EXPERT = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}

TOKEN_TABLE = "token_embd.weight"

THINKER_WHOLE = {
    TOKEN_TABLE: TEXT_EMBEDDING,
    "output_norm.weight": "thinker.model.norm.weight",
    "output.weight": "thinker.lm_head.weight",
}
"""Tensors of the thinker that belong to no layer."""

THINKER_LAYER = "thinker.model.layers.{n}"
"""What `blk.{n}` of a thinker file is in the checkpoint."""

_WHOLE = {ours: theirs for theirs, ours in THINKER_WHOLE.items()}
_IN_LAYER = {ours: theirs for theirs, ours in (ATTENTION | EXPERTS).items()}


def llama_name(name: str) -> str:
    """llama.cpp's name of a checkpoint tensor of the thinker (experts without their number)."""
    if name in _WHOLE:
        return _WHOLE[name]
    layer, _, rest = name.removeprefix(THINKER_LAYER.removesuffix("{n}")).partition(".")
    return f"blk.{layer}.{_IN_LAYER[rest.removesuffix('.weight')]}.weight"
