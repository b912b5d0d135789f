"""What `vocoder_precision="auto"` is, is measured once, kept, and never less exact for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from native_module import internals
from omniggml.benchmark.vocoder_choice import vocoder_choice_text
from omniggml.loading import BUILT_IN

_TELL = "import json; from omniggml import _native; print(json.dumps(_native.vocoder_choice()))"
_SPEAK = (
    "import sys, numpy, omniggml;"
    "numpy.save(sys.argv[1], omniggml.load(vocoder_precision=sys.argv[2]).speak('hello', max_frames=6).samples)"
)


def run(cache: Path, program: str, *arguments: object) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def told(cache: Path) -> dict[str, Any]:
    choice: dict[str, Any] = json.loads(run(cache, _TELL))
    return choice


def spoken(cache: Path, precision: str, tmp_path: Path) -> np.ndarray:
    run(cache, _SPEAK, tmp_path / "spoken.npy", precision)
    return np.asarray(np.load(tmp_path / "spoken.npy"))


def keep(path: str, f32: float, bf16: float) -> None:
    head = Path(path).read_text().splitlines()[0]
    Path(path).write_text(f"{head}\n{f32}\n{bf16}\n")


@pytest.mark.parametrize(
    ("f32", "bf16", "expected"),
    [(10, 5, "bf16"), (10, 9.4, "bf16"), (10, 9.6, "f32"), (10, 10, "f32"), (10, 20, "f32"), (0, 0, "f32")],
)
def test_the_more_exact_one_unless_the_other_is_plainly_faster(f32: float, bf16: float, expected: str) -> None:
    assert internals().faster_form(f32, bf16) == expected


def has_bf16() -> bool:
    return any(kind.startswith("bf16") for kind in internals().kinds())


@pytest.mark.skipif(sys.platform == "win32", reason="another cache directory")
def test_where_there_is_no_choice_nothing_is_measured(tmp_path: Path) -> None:
    choice = told(tmp_path)
    if has_bf16():
        assert choice["f32"] > 0 and choice["bf16"] > 0 and Path(choice["kept_in"]).parent == tmp_path / "omniggml"
    else:
        assert (choice["f32"], choice["bf16"], choice["auto"], choice["kept_in"]) == (0, 0, "f32", "")
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="another cache directory")
def test_measured_once(tmp_path: Path) -> None:
    if not has_bf16():
        pytest.skip("this CPU has one form only")
    first = told(tmp_path)
    (note,) = (tmp_path / "omniggml").iterdir()
    assert str(note) == first["kept_in"]
    assert told(tmp_path) == first
    keep(first["kept_in"], 3.5, 1.5)
    assert told(tmp_path) == {"f32": 3.5, "bf16": 1.5, "auto": "bf16", "kept_in": first["kept_in"]}

    head = note.read_text().splitlines()[0]
    for damaged in ("", "another machine\n1\n2\n", f"{head}\n1\n", f"{head}\n-1\n2\n", f"{head}\n0\n0\n", "\0\xff"):
        note.write_text(damaged)
        again = told(tmp_path)
        assert again["f32"] > 0 and note.read_text().count("\n") == 3, damaged


@pytest.mark.skipif(sys.platform == "win32", reason="another cache directory")
def test_speech_is_in_what_was_chosen(tmp_path: Path) -> None:
    if not has_bf16():
        pytest.skip("this CPU has one form only")
    path = told(tmp_path)["kept_in"]
    exact, fast = (spoken(tmp_path, precision, tmp_path) for precision in ("f32", "bf16"))
    assert not np.array_equal(exact, fast)
    keep(path, 1, 2)
    assert np.array_equal(spoken(tmp_path, "auto", tmp_path), exact)
    keep(path, 2, 1)
    assert np.array_equal(spoken(tmp_path, "auto", tmp_path), fast)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(sys.platform == "win32", reason="another cache directory")
@pytest.mark.parametrize("put", [_pipe, _zeros, Path.mkdir])
def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path: Path, put: Callable[[Path], None]) -> None:
    if not has_bf16():
        pytest.skip("this CPU has one form only")
    told(tmp_path)
    (note,) = (tmp_path / "omniggml").iterdir()
    note.unlink()
    put(note)
    before = note.lstat()
    choice = told(tmp_path)
    assert choice["f32"] > 0 and choice["kept_in"] == "" and note.lstat().st_ino == before.st_ino


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no text")
def test_a_directory_whose_name_is_no_text(tmp_path: Path) -> None:
    if not has_bf16():
        pytest.skip("this CPU has one form only")
    odd = tmp_path / os.fsdecode(b"bad\xff")
    assert Path(told(odd)["kept_in"]).parent == odd / "omniggml"


@pytest.mark.skipif(sys.platform == "win32", reason="another cache directory")
def test_a_cache_that_can_t_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    choice = told(tmp_path / "file")
    assert choice["auto"] in ("f32", "bf16")


def test_devices_tell_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    from omniggml.cli import main

    assert main(["devices"]) == 0
    short = capsys.readouterr().out
    assert main(["devices", "-v"]) == 0
    verbose = capsys.readouterr().out
    assert verbose.startswith(short) and "vocoder      auto is " in verbose
    choice = omniggml._native.vocoder_choice()
    assert vocoder_choice_text(choice) in verbose


def test_a_command_chooses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from omniggml.cli import main

    speak = ["speak", "hi", "--threads", "1", "-o"]
    for precision in ("f32", "bf16", "plain"):
        assert main([*speak, str(tmp_path / f"{precision}.wav"), "--vocoder-precision", precision]) == 0
    exact, fast = ((tmp_path / f"{name}.wav").read_bytes() for name in ("f32", "bf16"))
    assert len(exact) == len(fast) and (exact != fast or not has_bf16())
    capsys.readouterr()
    assert main([*speak, str(tmp_path / "x.wav"), "--vocoder-precision", "f33"]) == 1
    assert "vocoder_precision is 'f33'" in capsys.readouterr().err
    bench = ["bench", "-m", str(BUILT_IN), "--frames", "4", "--repetitions", "1", "--threads", "1"]
    assert main([*bench, "--vocoder-precision", "f32"]) == 0
    assert "vocoder precision f32" in capsys.readouterr().out
