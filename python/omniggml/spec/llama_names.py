"""llama.cpp's names of tensors beside the checkpoint's: its thinker file has them, and forks' talkers build on them.

The table itself is the engine's (`csrc/models/llama_names.cpp`), which reads thinker files by it.
"""

from __future__ import annotations

from omniggml import _native
from omniggml.spec.expected_tensors import TEXT_EMBEDDING

_IN_LAYER = _native.llama_layer_names()


def _below(*paths: str) -> dict[str, str]:
    """llama.cpp's name -> the checkpoint's, of what lies below these paths of a layer."""
    return {theirs: ours for ours, theirs in _IN_LAYER.items() if ours.startswith(paths)}


ATTENTION = _below("self_attn.", "input_layernorm", "post_attention_layernorm")
IN_ATTENTION = {name.replace("attn_output", "attn_out"): path for name, path in _below("self_attn.").items()}
"""The same without norms before and behind, as upstream's encoders spell it."""

SHARED_EXPERT = _below("mlp.shared_expert")
DENSE = _below("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
EXPERTS = {theirs: ours for theirs, ours in _below("mlp.").items() if theirs not in DENSE | SHARED_EXPERT}


def llama_name(name: str) -> str:
    """llama.cpp's name of a checkpoint tensor of the thinker (experts without their number)."""
    return _native.llama_thinker_name(name)


def encoder_name(name: str) -> str:
    """llama.cpp's name of a checkpoint tensor of the encoders beside the thinker."""
    return _native.llama_encoder_name(name)


MERGED_EXPERTS = "ffn_gate_up_exps"
"""Gate above up, expert by expert, where a converter was told to merge them."""

APART_EXPERTS = ("gate", "up")
"""What stands in its place where they are apart."""

TOKEN_TABLE = llama_name(TEXT_EMBEDDING)

THINKER_WHOLE = {
    llama_name(name): name for name in (TEXT_EMBEDDING, "thinker.model.norm.weight", "thinker.lm_head.weight")
}
"""Tensors of the thinker that belong to no layer."""

THINKER_LAYER = "thinker.model.layers.{n}"
"""What `blk.{n}` of a thinker file is in the checkpoint."""
