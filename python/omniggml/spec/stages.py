"""Which stage a tensor belongs to, as a table over our names."""

from __future__ import annotations

from fnmatch import fnmatchcase

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
