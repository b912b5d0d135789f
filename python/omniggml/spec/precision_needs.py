"""What precision the values of each tensor need, as one table over our names.

Conversion, the built-in policies, the search for policies, inspection and the doctor all read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Need:
    """Tensors whose names fit `pattern` need `bits` for a value, because of `reason`.

    `kept`: the list of the built-in policies that has the pattern, "" where none does. `always`: no measurement may
    make it smaller.
    """

    pattern: str
    bits: float
    reason: str
    kept: str = ""
    always: bool = False


KEPT_AS = {"sensitive": "F32", "vocoder_and_heads": "F16", "eight_bits": "Q8_0"}
"""The lists that policies use, and the type in which each keeps its tensors."""

_LAYER = "scales a whole layer"
_HEARD = "errors are heard directly"
_SNAKE = "Snake raises it to a power: errors are multiplied"

NEEDS = (
    # Looked up, not multiplied, so F32 costs no time.
    Need("code2wav.code_embedding.weight", 16, "every sample is made from these rows", "sensitive"),
    Need("*.alpha", 16, _SNAKE, "sensitive", always=True),
    Need("*.beta", 16, _SNAKE, "sensitive", always=True),
    Need("*norm.weight", 16, _LAYER, "sensitive", always=True),
    Need("*layernorm", 16, _LAYER, "sensitive", always=True),
    Need("*.bias", 16, "moves every value of a layer", "sensitive", always=True),
    Need("*_layer_scale.scale", 16, _LAYER, "sensitive", always=True),
    Need("*.gamma", 16, _LAYER, "sensitive", always=True),
    Need("*.positional_embedding.weight", 16, "tells every token where it is", "sensitive", always=True),
    Need("*.pos_embed.weight", 16, "tells every patch where it is", "sensitive", always=True),
    Need("*.patch_embed.proj.weight*", 16, "all that is seen comes through it", "vocoder_and_heads"),
    Need("*.mlp.gate.weight", 16, "small differences choose the experts", "sensitive"),
    Need("*.mlp.shared_expert_gate.weight", 16, "opens or shuts a whole expert", "sensitive"),
    # Tiny, and its output passes F16's range in trained weights.
    Need("*.dwconv.conv.weight", 16, f"a convolution of the vocoder: {_HEARD}", "sensitive", always=True),
    # Rows of convolution kernels are too short for blocks of 32.
    Need("code2wav.upsample.*.0.conv.weight", 16, f"a convolution of the vocoder: {_HEARD}", "vocoder_and_heads"),
    Need("code2wav.decoder.*.weight", 16, f"a convolution of the vocoder: {_HEARD}", "vocoder_and_heads"),
    Need("code2wav.*", 8, f"the vocoder: {_HEARD}", "eight_bits"),
    Need("talker.code_predictor.lm_head.*", 8, "fifteen codes of sixteen come from here", "vocoder_and_heads"),
    Need("talker.code_predictor.*", 8, "fifteen codes of sixteen come from here", "eight_bits"),
    Need("talker.*_projection.*", 4, "less than four bits is not known to work", "eight_bits"),
    Need("talker.*.mlp.experts.*", 4, "less than four bits is not known to work"),
    Need("thinker.*.mlp.experts.*", 3, "less than three bits is not known to work"),
    Need("*", 4, "less than four bits is not known to work"),
)
"""What others found and the published gates ask for; the first that fits counts. `docs/files.md` shows it."""


def need_of(name: str) -> Need:
    """What a tensor of ours needs."""
    return next(need for need in NEEDS if fnmatchcase(name, need.pattern))


def kept_list(name: str) -> list[list[str]]:
    """The rules [pattern, type] of a list that policies use."""
    return [[need.pattern, KEPT_AS[name]] for need in NEEDS if need.kept == name]
