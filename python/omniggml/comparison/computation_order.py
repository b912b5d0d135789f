"""Module paths in the order in which they are computed, what a module consists of before the module itself."""

from __future__ import annotations

_RANKS = {
    name: rank
    for rank, names in enumerate(
        (
            ("thinker", "embed_tokens", "codec_embedding", "code_embedding"),
            ("text_projection", "hidden_projection", "input_layernorm", "linear_fc1"),
            ("pre_transformer", "linear_fc2", "self_attn"),
            ("upsample", "q_proj", "dwconv", "act1"),
            ("decoder", "k_proj", "norm_before"),
            ("v_proj", "conv1"),
            ("q_norm", "act2"),
            ("k_norm", "conv2"),
            ("o_proj",),
            ("self_attn_layer_scale",),
            ("post_attention_layernorm",),
            ("gate", "gate_proj"),
            ("up_proj", "experts"),
            ("shared_expert",),
            ("shared_expert_gate", "down_proj"),
            ("mlp",),
            ("mlp_layer_scale",),
            ("layers",),
            ("norm",),
            ("pwconv1",),
            ("act",),
            ("pwconv2",),
            ("talker", "model"),
            ("codec_head",),
            ("code_predictor",),
            ("lm_head",),
            ("code2wav",),
        )
    )
    for name in names
}
_UNKNOWN, _END = 1000, 10**6


def order_of(path: str) -> tuple[int, ...]:
    """A key to sort by."""
    return (*(int(part) if part.isdigit() else _RANKS.get(part, _UNKNOWN) for part in path.split(".")), _END)
