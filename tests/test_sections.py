"""One spelling of the sections of settings, in GGUF keys, overrides, assumed settings and the configuration."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import write_all_in_one
from gguf_edit import GgufEdit
from omniggml.errors import ModelFileError
from omniggml.files.geometry import check_overrides
from omniggml.files.stored_weights import StoredWeights
from omniggml.files.told_settings import settings_of
from omniggml.gguf.header import read_header
from omniggml.spec.model_config import ModelConfig
from omniggml.spec.published import PUBLISHED
from omniggml.spec.sections import SECTIONS, is_of_kind, published_setting, split_setting
from omniggml.spec.speech_file import ARCHITECTURE, speech_metadata
from parity.files import ModelFiles

SOURCE = Path(omniggml.__file__).parent


def settings() -> list[tuple[str, Any]]:
    parts = ((section, dataclasses.asdict(getattr(PUBLISHED, section))) for section in SECTIONS)
    return [(f"{section}.{name}", value) for section, values in parts for name, value in values.items()]


def test_sections_are_those_of_the_configuration() -> None:
    nested = {f.name for f in dataclasses.fields(ModelConfig) if dataclasses.is_dataclass(getattr(PUBLISHED, f.name))}
    assert {name for name in nested if not name.endswith("_sampling")} == set(SECTIONS)


def test_keys_are_settings() -> None:
    keys = [key.removeprefix(f"{ARCHITECTURE}.") for key in speech_metadata(PUBLISHED)]
    for key in keys:
        section, name = split_setting(key)
        if "." in name or not name or name.startswith("speaker_") or name in ("suppressed_tail", "sample_rate"):
            continue
        assert published_setting(section, name) is not None, key
    told = {key.partition(".")[0] for key in keys if key.count(".") == 1}
    assert told == {*SECTIONS} - {"thinker"}


@pytest.mark.parametrize(("setting", "value"), settings())
def test_every_setting_can_be_overridden(setting: str, value: Any) -> None:
    check_overrides({setting: value})
    assert is_of_kind(*split_setting(setting), value)
    with pytest.raises(omniggml.InputError):
        check_overrides({setting: {"no": "setting"}})


def test_what_is_assumed_is_a_setting(tiny_files: Files, tmp_path: Path) -> None:
    path = write_all_in_one(tmp_path / "x.gguf", tiny_files.speech, None, tokenizer=False)
    derived = StoredWeights(path).derived
    assert derived is not None
    for setting, value in derived.assumed.items():
        section, name = split_setting(setting)
        assert getattr(getattr(derived.config, section), name) == value, setting
    assert "token.tts_pad" in derived.assumed


def test_what_follows_from_an_assumed_width_is_assumed(model_files: ModelFiles, tmp_path: Path) -> None:
    """Heads of code2wav are the rows of q over a head's width: what only one of them tells is not told."""
    path = write_all_in_one(tmp_path / "x.gguf", model_files.gguf("mini", "f32")[0], None, tokenizer=True)
    heads = {f"code2wav.{name}" for name in ("head_dim", "num_attention_heads", "num_key_value_heads")}

    def assumed(**overrides: int) -> set[str]:
        derived = StoredWeights(path, {f"code2wav.{name}": value for name, value in overrides.items()}).derived
        assert derived is not None
        return heads & set(derived.assumed)

    assert assumed() == heads
    assert assumed(head_dim=8) == set()
    assert assumed(num_attention_heads=4) == set()


def test_one_reader_of_what_a_file_tells(tiny_files: Files, tmp_path: Path) -> None:
    path = GgufEdit.read(tiny_files.speech).write(tmp_path / "x.gguf")
    weights = StoredWeights(path)
    assert weights.file.family is not None
    told = settings_of(read_header(path), weights.file.family)
    assert told == weights.told and {*SECTIONS} - {"thinker"} == set(told)
    assert told["talker"]["speakers"] and told["code2wav"]["sample_rate"] == 24000
    edit = GgufEdit.read(tiny_files.speech).set(f"{ARCHITECTURE}.code2wav.num_quantizers", [1, 2], V.ARRAY, V.UINT32)
    wrong = edit.write(tmp_path / "y.gguf")
    with pytest.raises(ModelFileError, match=r"code2wav\.num_quantizers is \(1, 2\); expected something like 16"):
        settings_of(read_header(wrong), weights.file.family)
    assert StoredWeights(wrong).told == {} and StoredWeights(wrong).derived is None


def test_nobody_else_lists_them() -> None:
    listed = re.compile(r'"talker",\s*"code_predictor"|"token", PUBLISHED|PUBLISHED\.tokens')
    spelled = [p for p in SOURCE.rglob("*.py") if listed.search(p.read_text(encoding="utf-8"))]
    assert {path.relative_to(SOURCE).as_posix() for path in spelled} <= {"spec/sections.py", "files/geometry.py"}
