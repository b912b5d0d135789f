"""What a setting may be at all, whoever says it: a file, a checkpoint or a person. Far beyond any model, and near
enough that nothing is counted, listed or allocated for a number that is none."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from omniggml.printable import shown
from omniggml.spec.model_config import ModelConfig
from omniggml.spec.sections import SECTIONS

MOST_LAYERS = 1024
MOST_EXPERTS = 4096
LARGEST = 2**31 - 1

_MOST = {
    "num_hidden_layers": MOST_LAYERS,
    "num_experts": MOST_EXPERTS,
    "num_experts_per_tok": MOST_EXPERTS,
    "num_attention_heads": 4096,
    "num_key_value_heads": 4096,
    "head_dim": 4096,
    "num_code_groups": 256,
    "num_quantizers": 256,
    "codebook_size": 2**20,
    "upsample_rates": 4096,
    "upsampling_ratios": 4096,
}
_LARGEST_NUMBER = 1e12  # of those that are not whole: a rotary base, an epsilon


def why_out_of_bounds(name: str, value: Any) -> str:
    """What a setting of this name must be, where `value` is not; "" where it is. Texts are anything."""
    if isinstance(value, (tuple, list)):
        return next((why for item in value if (why := why_out_of_bounds(name, item))), "")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    if isinstance(value, float):
        sound = math.isfinite(value) and 0 < value <= _LARGEST_NUMBER
        return "" if sound else f"a number above 0 and up to {_LARGEST_NUMBER:g}"
    most = _MOST.get(name, LARGEST)
    return "" if 0 <= value <= most else f"a whole number up to {most}"


def out_of_bounds(config: ModelConfig) -> str:
    """The first setting of a model that is out of its bounds, with what it is and must be; "" where none is."""
    for section in SECTIONS:
        part = getattr(config, section)
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if why := why_out_of_bounds(field.name, value):
                return f"{section}.{field.name} is {shown(value)}; expected {why}"
    return ""
