"""Keys that a checkpoint's `config.json` leaves out stand for what transformers' configuration classes fill in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omniggml.conversion.config_json import read_checkpoint_config
from omniggml.conversion.encoder_configs import Encoders, read_encoders
from omniggml.errors import ConversionError
from omniggml.spec.encoder_tensors import AUDIO_PREFIX, VISION_PREFIX
from omniggml.spec.model_config import ModelConfig
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

Path_ = tuple[str, ...]

# Sections of `ModelConfig` and `Encoders`, where the same are in transformers' configuration.
_SECTIONS = {
    "thinker": ("thinker_config", "text_config"),
    "talker": ("talker_config", "text_config"),
    "code_predictor": ("talker_config", "code_predictor_config"),
    "code2wav": ("code2wav_config",),
    "audio": ("thinker_config", "audio_config"),
    "vision": ("thinker_config", "vision_config"),
}
# Settings that their classes don't have under any name.
_OURS_ALONE = ("speakers", "cut_silence")
_TOKENS = {"audio": ("thinker_config",), "image": ("thinker_config",), "video": ("thinker_config",)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("mini", tmp_path_factory.mktemp("defaults") / "mini")


def keys_of(config: dict[str, Any], path: Path_ = ()) -> Iterator[Path_]:
    """Every key, sections included."""
    for key, value in config.items():
        yield (*path, key)
        if isinstance(value, dict) and key not in ("speaker_id", "rope_scaling"):
            yield from keys_of(value, (*path, key))


def without(config: dict[str, Any], path: Path_) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(config))
    section = changed
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    return changed


def ours(directory: Path) -> tuple[ModelConfig, Encoders]:
    config = read_checkpoint_config(directory)
    assert isinstance(config, ModelConfig)
    return config, read_encoders(directory, [f"{AUDIO_PREFIX}x", f"{VISION_PREFIX}x"])


def differences(model: ModelConfig, encoders: Encoders, theirs: Any) -> list[str]:
    """Settings that aren't what transformers' classes have."""
    found = []
    parts = {**vars(model), "audio": encoders.audio, "vision": encoders.vision}
    for name, path in _SECTIONS.items():
        section = theirs
        for key in path:
            section = getattr(section, key)
        for field, value in vars(parts[name]).items():
            owner = section if hasattr(section, field) else getattr(theirs, path[0])
            expected = expected_value(owner, field, section)
            if expected is not None and list_of(value) != list_of(expected):
                found.append(f"{name}.{field}: {value!r}, {expected!r}")
    for field, value in vars(model.token).items():
        owner = theirs.thinker_config if field in _TOKENS else theirs
        if value != getattr(owner, f"{field}_token_id"):
            found.append(f"token.{field}: {value}")
    if encoders.images.position_id_per_seconds != theirs.thinker_config.position_id_per_seconds:
        found.append("position_id_per_seconds")
    return found


def expected_value(owner: Any, field: str, section: Any) -> Any:
    rope = getattr(section, "rope_parameters", None) or {}
    if field in ("rope_theta", "mrope_section"):
        return rope.get(field, [24, 20, 20] if field == "mrope_section" else None)
    if field == "head_dim":
        return getattr(section, "head_dim", None) or section.hidden_size // section.num_attention_heads
    if field in _OURS_ALONE:
        return None
    return getattr(owner, field)


def list_of(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.reference
def test_every_key_left_out_in_turn(checkpoint: Path, tmp_path: Path) -> None:
    """Ours is what transformers makes of the same file, or a sentence that names the key and says why not."""
    transformers = pytest.importorskip("transformers")
    config = json.loads((checkpoint / "config.json").read_text())
    for file in (*checkpoint.glob("*.json"), checkpoint / "merges.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    read, refused = 0, []
    for path in [(), *keys_of(config)]:
        changed = without(config, path) if path else config
        (tmp_path / "config.json").write_text(json.dumps(changed))
        try:
            model, encoders = ours(tmp_path)
        except ConversionError as error:
            one_sentence(str(error), str(tmp_path))
            refused.append(".".join(path))
            continue
        except AssertionError:
            assert path == ("talker_config",)  # a model without a voice
            continue
        try:
            theirs = transformers.Qwen3OmniMoeConfig(**{k: v for k, v in changed.items() if k != "model_type"})
        except Exception as error:  # their validators have classes of their own
            assert path[-1] == "num_hidden_layers", (path, error)  # of which there are as many as layer_types
            continue
        assert differences(model, encoders, theirs) == [], path
        read += 1
    assert read > 90, refused
    # There is no default, or none that fits a model of this size.
    assert {"model_type", "thinker_config", "talker_config.speaker_id"} <= set(refused)


@pytest.mark.parametrize(
    ("path", "setting", "expected"),
    [
        (("talker_config", "text_config", "rope_theta"), "talker.rope_theta", 1e4),
        (("talker_config", "text_config", "norm_topk_prob"), "talker.norm_topk_prob", False),
        (("code2wav_config", "rms_norm_eps"), "code2wav.rms_norm_eps", 1e-5),
        (("code2wav_config", "sliding_window"), "code2wav.sliding_window", 72),
        (("thinker_config", "text_config", "max_position_embeddings"), "thinker.max_position_embeddings", 32768),
    ],
)
def test_what_stands_for_a_missing_key(
    checkpoint: Path, tmp_path: Path, path: Path_, setting: str, expected: object
) -> None:
    for file in (*checkpoint.glob("*.json"), checkpoint / "merges.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((checkpoint / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(without(config, path)))
    section, name = setting.split(".")
    assert getattr(getattr(ours(tmp_path)[0], section), name) == expected
