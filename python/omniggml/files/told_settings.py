"""What a file's metadata say of its settings, whatever family it is of: the one reader of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omniggml.errors import ModelFileError
from omniggml.files.families import BUNDLED, MTP_TALKER, SPEECH, VOCODERS, Family
from omniggml.gguf.header import Header
from omniggml.printable import shown
from omniggml.spec.bounds import why_out_of_bounds
from omniggml.spec.sections import SECTIONS, is_of_kind, published_setting, split_setting

Told = dict[str, dict[str, Any]]

# Ending of a key (after the architecture) -> setting.
_TALKER = {
    "attention.layer_norm_rms_epsilon": "talker.rms_norm_eps",
    "rope.freq_base": "talker.rope_theta",
    "context_length": "talker.max_position_embeddings",
    "expert_used_count": "talker.num_experts_per_tok",
    "accept_hidden_layer": "talker.accept_hidden_layer",
}
_CODE2WAV = {
    "head_count": "code2wav.num_attention_heads",
    "rms_eps": "code2wav.rms_norm_eps",
    "rope_theta": "code2wav.rope_theta",
    "sliding_window": "code2wav.sliding_window",
    "num_quantizers": "code2wav.num_quantizers",
    "codebook_size": "code2wav.codebook_size",
    "sample_rate": "code2wav.sample_rate",
}
_KEYS: dict[str, dict[str, str]] = {
    BUNDLED.name: _TALKER,
    MTP_TALKER.name: {**_TALKER, "codec_eos_token_id": "talker.codec_eos_token_id"},
    **dict.fromkeys((family.name for family in VOCODERS), _CODE2WAV),
}


def settings_of(header: Header, family: Family) -> Told:
    """Section -> name -> value, under our names. Names that are no setting of the geometry are kept, too.

    In a speech file a value of the wrong kind raises ModelFileError; in a file of another family, whose keys need not
    mean what ours do, it is passed over.
    """
    told = _spelled_as_ours(header.metadata)
    for section, values in told.items():
        for name, value in [*values.items()]:
            if published_setting(section, name) is not None and not is_of_kind(section, name, value):
                if family is SPEECH:
                    raise ModelFileError(
                        f"{header.path} can't be used: its {section}.{name} is {shown(value)}; expected something like "
                        f"{shown(published_setting(section, name))}"
                    )
                del values[name]
    for ending, setting in _KEYS.get(family.name, {}).items():
        value = _ending_with(header.metadata, ending)
        if value is None:
            continue
        section, name = split_setting(setting)
        why = why_out_of_bounds(name, value) or ("" if value else "a number above 0")
        if why or not is_of_kind(section, name, value):
            raise ModelFileError(
                f"{header.path} can't be used: its {ending} is {shown(value)}; expected {why or 'a number'}"
            )
        told.setdefault(section, {})[name] = value
    return told


def is_setting(key: str, family: Family) -> bool:
    """Whether `settings_of` takes something from a key of a file of this family."""
    parts = key.split(".")
    if len(parts) == 3 and parts[1] in SECTIONS:
        return published_setting(parts[1], parts[2]) is not None or parts[2] in ("speaker_names", "speaker_ids")
    return any(key.endswith(f".{ending}") for ending in _KEYS.get(family.name, {}))


def _spelled_as_ours(metadata: Mapping[str, Any]) -> Told:
    """Keys ARCHITECTURE.SECTION.NAME."""
    told: Told = {}
    for key, value in metadata.items():
        parts = key.split(".")
        if len(parts) == 3 and parts[1] in SECTIONS:
            told.setdefault(parts[1], {})[parts[2]] = tuple(value) if isinstance(value, list) else value
    names, ids = (told.get("talker", {}).get(f"speaker_{what}") for what in ("names", "ids"))
    if isinstance(names, tuple) and isinstance(ids, tuple):
        told["talker"]["speakers"] = tuple(zip(names, ids, strict=False))
    return told


def _ending_with(metadata: Mapping[str, Any], ending: str) -> Any:
    return next((value for key, value in metadata.items() if key.endswith(f".{ending}")), None)
