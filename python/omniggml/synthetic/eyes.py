"""Small vision encoders by name, to go with the thinkers of `geometries.py`."""

from __future__ import annotations

from typing import Any

from omniggml.spec.model_config import VisionEncoderConfig
from omniggml.synthetic.geometries import Geometry

_PLAIN: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 64,
    "num_heads": 4,
    "intermediate_size": 96,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": (0, 2),
}

EYES: dict[str, dict[str, Any]] = {
    "plain": _PLAIN,
    "odd": {
        **_PLAIN,
        "depth": 4,
        "hidden_size": 60,
        "num_heads": 3,
        "intermediate_size": 70,
        "patch_size": 6,
        "num_position_embeddings": 25,
        "deepstack_visual_indexes": (1,),
    },
    "wide-heads": {**_PLAIN, "num_heads": 1, "hidden_size": 72, "depth": 2, "deepstack_visual_indexes": (0, 1)},
    "small-patches": {**_PLAIN, "hidden_size": 48, "patch_size": 8, "num_position_embeddings": 2304},
}
"""Name -> sizes but for the output's, which is the thinker's. No row of "odd" is a multiple of 32."""


PUBLISHED_EYES = VisionEncoderConfig(
    depth=27,
    hidden_size=1152,
    num_heads=16,
    intermediate_size=4304,
    patch_size=16,
    spatial_merge_size=2,
    num_position_embeddings=2304,
    out_hidden_size=2048,
    deepstack_visual_indexes=(8, 16, 24),
)
"""The published model's."""


def eyes_for(geometry: Geometry, name: str = "plain") -> VisionEncoderConfig:
    """A vision encoder whose rows a geometry's thinker reads."""
    return VisionEncoderConfig(**EYES[name], out_hidden_size=geometry.thinker.hidden_size)
