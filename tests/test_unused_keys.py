"""Keys that nothing reads are named; of files that are made here, there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import write_bundled, write_code2wav
from gguf_edit import GgufEdit
from omniggml.cli.command_line import run
from omniggml.loading import BUILT_IN
from parity.files import ModelFiles


def test_our_own_files_have_none(tiny_files: Files) -> None:
    for path in (*tiny_files, BUILT_IN, BUILT_IN.with_name("voice-thinker.gguf")):
        assert omniggml.inspect(path).unused == (), path


def test_foreign_files(model_files: ModelFiles, tmp_path: Path) -> None:
    """What they are read by is used, whatever its prefix."""
    speech, _ = model_files.gguf("mini", "f32")
    assert omniggml.inspect(write_code2wav(tmp_path / "c.gguf", speech)).unused == ()
    bundled = omniggml.inspect(write_bundled(tmp_path / "b.gguf", speech))
    assert not any("rope.freq_base" in key or "expert_used_count" in key for key in bundled.unused)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("speech", "qwen3omni-speech.talker.rope_scaling"),
        ("speech", "qwen3omni-speech.code2wav.latent_dim"),
        ("speech", "somebody.else"),
        ("thinker", "qwen3vlmoe.attention.sliding_window"),
        ("thinker", "qwen3omni.generation.min_p"),
    ],
)
def test_a_key_that_nothing_reads_is_named(
    tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, key: str
) -> None:
    edit = GgufEdit.read(getattr(tiny_files, file))
    path = edit.append(key, 3, V.UINT32).append("general.remark", "fine", V.STRING).write(tmp_path / f"x-{file}.gguf")
    assert omniggml.inspect(path).unused == (key,)
    assert run(["inspect", str(path)]) == 0
    assert f"keys that nothing here reads:\n  {key}\n" in capsys.readouterr().out + "\n"
