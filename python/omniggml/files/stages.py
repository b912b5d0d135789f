"""Which stage a tensor belongs to, and what precision its values need, as tables over our names."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from omniggml._native import block_of

_STAGES = (
    ("talker.code_predictor.*", "code predictor"),
    ("talker.*", "talker"),
    ("code2wav.*", "code2wav"),
    ("thinker.model.embed_tokens.weight", "text table"),
    ("thinker.audio_tower.*", "audio encoder"),
    ("thinker.visual.*", "image encoder"),
    ("thinker.*", "thinker"),
)


def stage_of(name: str) -> str:
    """The stage of a tensor of ours, "unknown" for a name that is none."""
    return next((stage for pattern, stage in _STAGES if fnmatchcase(name, pattern)), "unknown")


@dataclass(frozen=True)
class Need:
    """Tensors whose names fit `pattern` need `bits` for a value, because of `reason`."""

    pattern: str
    bits: float
    reason: str


NEEDS = (
    Need("code2wav.code_embedding.weight", 16, "every sample is made from these rows"),
    Need("*.alpha", 16, "Snake raises it to a power: errors are multiplied"),
    Need("*.beta", 16, "Snake raises it to a power: errors are multiplied"),
    Need("*norm.weight", 16, "scales a whole layer"),
    Need("*layernorm", 16, "scales a whole layer"),
    Need("*.bias", 16, "moves every value of a layer"),
    Need("*_layer_scale.scale", 16, "scales a whole layer"),
    Need("*.gamma", 16, "scales a whole layer"),
    Need("*.mlp.gate.weight", 16, "small differences choose the experts"),
    Need("*.mlp.shared_expert_gate.weight", 16, "opens or shuts a whole expert"),
    Need("code2wav.upsample.*.0.conv.weight", 16, "a convolution of the vocoder: errors are heard directly"),
    Need("code2wav.upsample.*.dwconv.conv.weight", 16, "a convolution of the vocoder: errors are heard directly"),
    Need("code2wav.decoder.*.weight", 16, "a convolution of the vocoder: errors are heard directly"),
    Need("code2wav.*", 8, "the vocoder: errors are heard directly"),
    Need("talker.code_predictor.*", 8, "fifteen codes of sixteen come from here"),
    Need("talker.*.mlp.experts.*", 4, "less than four bits is not known to work"),
    Need("thinker.*.mlp.experts.*", 3, "less than three bits is not known to work"),
    Need("*", 4, "less than four bits is not known to work"),
)
"""What others found and the published gates ask for; the first that fits counts. `docs/files.md` shows it."""


def bits_of(type_: str) -> float:
    """Bits for a value of a type, named as inspection names it."""
    values, size = block_of(_ggml_name(type_))
    return 8 * size / values


def need_of(name: str) -> Need:
    """What a tensor of ours needs."""
    return next(need for need in NEEDS if fnmatchcase(name, need.pattern))


def _ggml_name(type_: str) -> str:
    """ggml writes K-quants with a capital letter and all else small."""
    return type_.lower().replace("_k", "_K")
