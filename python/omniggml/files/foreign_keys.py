"""Metadata of other families: which of their keys is which of our settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omniggml.files.families import BUNDLED, CODE2WAV, MTP_TALKER, Family
from omniggml.gguf.header import Header

# Ending of a key (after the architecture) -> setting.
_TALKER = {
    "attention.layer_norm_rms_epsilon": "talker.rms_norm_eps",
    "rope.freq_base": "talker.rope_theta",
    "context_length": "talker.max_position_embeddings",
    "expert_used_count": "talker.num_experts_per_tok",
    "accept_hidden_layer": "talker.accept_hidden_layer",
}
_KEYS: dict[str, dict[str, str]] = {
    BUNDLED.name: _TALKER,
    MTP_TALKER.name: {**_TALKER, "codec_eos_token_id": "talker.codec_eos_token_id"},
    CODE2WAV.name: {
        "head_count": "code2wav.num_attention_heads",
        "rms_eps": "code2wav.rms_norm_eps",
        "rope_theta": "code2wav.rope_theta",
        "sliding_window": "code2wav.sliding_window",
        "num_quantizers": "code2wav.num_quantizers",
    },
}


def settings_of(header: Header, family: Family) -> dict[str, dict[str, Any]]:
    """Section -> values that the file's own metadata tell. What is no positive number is passed over."""
    told: dict[str, dict[str, Any]] = {}
    for ending, setting in _KEYS.get(family.name, {}).items():
        value = _ending_with(header.metadata, ending)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            section, _, name = setting.partition(".")
            told.setdefault(section, {})[name] = value
    return told


def _ending_with(metadata: Mapping[str, Any], ending: str) -> Any:
    return next((value for key, value in metadata.items() if key.endswith(f".{ending}")), None)
