"""The sections of a model's settings: one spelling for GGUF keys, overrides, assumed settings and `ModelConfig`.

A setting is "SECTION.NAME", and is `getattr(getattr(config, SECTION), NAME)`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from omniggml.spec.published import PUBLISHED

SPOKEN_SECTIONS = ("talker", "code_predictor", "code2wav")
"""The stages of a speech file."""

SECTIONS = ("thinker", *SPOKEN_SECTIONS, "token")
"""Every section, in the order in which they are derived from a file."""


def split_setting(setting: str) -> tuple[str, str]:
    """ "talker.rope_theta" -> ("talker", "rope_theta")."""
    section, _, name = setting.partition(".")
    return section, name


def published_setting(section: str, name: str) -> Any:
    """What the published model has for a setting, None where there is no such setting."""
    part = getattr(PUBLISHED, section) if section in SECTIONS else None
    known = part is not None and name in {field.name for field in dataclasses.fields(part)}
    return getattr(part, name) if known else None


def is_of_kind(section: str, name: str, value: Any) -> bool:
    """Whether a value is of the kind that a setting has: a list of numbers, true or false, a whole number, a number."""
    expected = published_setting(section, name)
    if isinstance(expected, tuple):
        return isinstance(value, (list, tuple)) and all(_same_kind(expected[0], one) for one in value)
    return _same_kind(expected, value)


def _same_kind(expected: Any, value: Any) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return isinstance(expected, bool) and isinstance(value, bool)
    if isinstance(expected, tuple):
        return (
            isinstance(value, (list, tuple)) and len(value) == len(expected) and all(map(_same_kind, expected, value))
        )
    return isinstance(value, (int, float) if isinstance(expected, float) else type(expected))
