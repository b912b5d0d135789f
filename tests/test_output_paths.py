"""Where commands and functions write: what must stay stays, a stream gets the bytes, and nothing is left over."""

from __future__ import annotations

import ast
import copy
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from omniggml.cli import main
from omniggml.errors import InputError, OmniError
from omniggml.loading import BUILT_IN, files_of
from omniggml.quantization.imatrix import Statistics, write_imatrix
from omniggml.quantization.policy_file import write_policy
from omniggml.spec.policy import read_policy
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.whole_file import WholeFile, write_whole
from processes import written_aside
from sentences import one_sentence

if sys.platform == "win32":
    pytest.skip("modes, links and pipes are of Unix", allow_module_level=True)

AUDIO = omniggml.Audio(np.zeros(100, np.float32), 24000)
STATISTICS = {"talker.x.weight": Statistics(np.ones((1, 8)), np.ones(1))}

# Everything that writes, each with an ending that it takes.
WRITERS: dict[str, tuple[str, Callable[[Path, Files], object]]] = {
    "write_whole": ("x", lambda path, _: write_whole(path, b"new")),
    "Audio.save": ("x.wav", lambda path, _: AUDIO.save(path)),
    "plot": ("x.png", lambda path, _: omniggml.plot(AUDIO, path)),
    "write_policy": ("x.toml", lambda path, _: write_policy(path, read_policy("q8_0"))),
    "imatrix": ("x.gguf", lambda path, _: write_imatrix(path, STATISTICS, ["x"])),
    "quantize": ("x.gguf", lambda path, files: omniggml.quantize(files.speech, path)),
    "speak": ("x.wav", lambda path, files: command("speak", "hi", "-o", path, "-m", files.speech, "--max-frames", 1)),
    "doctor --html": ("x.html", lambda path, files: command("doctor", "--quiet", files.speech, "--html", path)),
}
STREAMS = [name for name in WRITERS if name not in ("imatrix", "quantize")]
SLOW = ("doctor --html",)


class _FailedError(OmniError):
    pass


def command(*arguments: object) -> None:
    """Runs it here; its sentence becomes an exception, as a function's is."""
    done = subprocess.run([sys.executable, "-m", "omniggml", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode == 3:  # a speech that was cut is kept
        return
    if done.stderr.startswith("omniggml: "):
        raise _FailedError(done.stderr.removeprefix("omniggml: ").strip())
    assert done.stderr == "", done.stderr


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, tiny_files: Files) -> tuple[str, Callable[[Path], object]]:
    name, write = WRITERS[request.param]
    return name, lambda path: write(path, tiny_files)


def hidden(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob(".*"))


def test_links_and_modes_stay(writer: tuple[str, Callable[[Path], object]], tmp_path: Path) -> None:
    name, write = writer
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / name
    real.write_bytes(b"old")
    real.chmod(0o600)
    link = tmp_path / f"link{real.suffix}"
    link.symlink_to(real)
    write(link)
    assert link.is_symlink() and real.read_bytes() != b"old"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert hidden(tmp_path) == hidden(tmp_path / "there") == []


def test_what_must_stay(writer: tuple[str, Callable[[Path], object]], tmp_path: Path) -> None:
    """A read-only file, a directory, a socket; a device by a link with the right ending."""
    name, write = writer
    target = tmp_path / name
    target.write_bytes(b"old")
    target.chmod(0o444)
    with pytest.raises(OmniError) as refused:
        write(target)
    one_sentence(str(refused.value), name, "read-only")
    assert target.read_bytes() == b"old"
    target.unlink()
    target.symlink_to("/dev/null")
    with pytest.raises(OmniError) as refused:
        write(target)
    one_sentence(str(refused.value), "not a regular file")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode) and target.is_symlink()
    target.unlink()
    target.mkdir()
    with pytest.raises(OmniError) as refused:
        write(target)
    one_sentence(str(refused.value), "directory")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("what", STREAMS)
def test_pipes_get_the_bytes(what: str, tiny_files: Files, tmp_path: Path) -> None:
    name, write = WRITERS[what]
    pipe = tmp_path / name
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe, tiny_files)
    reader.join(60)
    assert len(got[0]) > 2 and stat.S_ISFIFO(pipe.stat().st_mode)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("what", ["imatrix", "quantize"])
def test_what_is_read_back_is_no_stream(what: str, tiny_files: Files, tmp_path: Path) -> None:
    name, write = WRITERS[what]
    os.mkfifo(tmp_path / name)
    for path, part in ((tmp_path / name, "pipe"), (Path("-"), "standard output")):
        with pytest.raises(OmniError) as refused:
            write(path, tiny_files)
        one_sentence(str(refused.value), part, "read back")


def test_pictures_and_pages_on_standard_output(tiny_files: Files, tmp_path: Path) -> None:
    AUDIO.save(tmp_path / "x.wav")
    for arguments, begin in (
        (["plot", tmp_path / "x.wav", "-o", "-"], b"\x89PNG"),
        (["doctor", tiny_files.speech, "--html", "-"], b"<!doctype html>"),
    ):
        done = subprocess.run([sys.executable, "-m", "omniggml", *map(str, arguments)], capture_output=True)
        assert done.stdout.startswith(begin), done.stderr
        assert b"suspicious" not in done.stdout[:20]


@pytest.mark.parametrize("kind", ["itself", "symbolic", "hard"])
def test_inputs_stay(tiny_files: Files, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is read isn't written, by whatever name."""
    model = tmp_path / "m.gguf"
    model.write_bytes(tiny_files.speech.read_bytes())
    np.save(tmp_path / "codes.npy", np.ones((4, 3), np.int32))
    AUDIO.save(tmp_path / "a.wav")

    def alias(path: Path, ending: str) -> Path:
        other = path.with_name(f"other-{path.stem}{ending}")
        if kind == "itself" and path.suffix == ending:
            return path
        if not other.exists():
            other.symlink_to(path) if kind == "symbolic" else other.hardlink_to(path)
        return other

    codes, audio = tmp_path / "codes.npy", tmp_path / "a.wav"
    for target, arguments in (
        (alias(model, ".html"), ["doctor", model, "--html"]),
        (alias(codes, ".htm"), ["doctor", model, "--codes", codes, "--html"]),
        (alias(audio, ".png"), ["plot", audio, "-o"]),
        (alias(model, ".wav"), ["speak", "hi", "-m", model, "-o"]),
        (alias(codes, ".wav"), ["decode", codes, "-m", model, "-o"]),
        (alias(model, ".gguf"), ["quantize", model]),
        (alias(model, ".gguf"), ["imatrix", "-m", model, "-o"]),
        (alias(model, ".toml"), ["quantize", "--search", model]),
    ):
        before = target.read_bytes()
        failed = 65 if arguments[0] == "doctor" else 1
        assert main([str(word) for word in (*arguments, target)]) == failed
        one_sentence(capsys.readouterr().err.strip(), "is read from", "another name")
        assert target.read_bytes() == before
    assert hidden(tmp_path) == []


@pytest.fixture
def voice_files(tmp_path: Path) -> dict[str, Path]:
    """The built-in voice's files by what they are, where they may come to harm."""
    files = {}
    for path in BUILT_IN.parent.glob("voice-*.gguf"):
        files[path.stem.removeprefix("voice-")] = Path(shutil.copy(path, tmp_path / path.name))
    assert set(files) == {"speech", "thinker", "mmproj"}
    return files


def test_inputs_that_are_found_beside_others_stay(
    voice_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no argument names: thinker, ears, the speech file beside a thinker."""
    speech, thinker, mmproj = (voice_files[what] for what in ("speech", "thinker", "mmproj"))
    before = {path: path.read_bytes() for path in voice_files.values()}
    np.save(tmp_path / "codes.npy", np.ones((8, 3), np.int32))

    def link(path: Path, ending: str) -> Path:
        (tmp_path / f"{path.stem}{ending}").symlink_to(path.name)
        return tmp_path / f"{path.stem}{ending}"

    wav, other, html = link(thinker, ".wav"), link(mmproj, ".wav"), link(thinker, ".html")
    for arguments in (
        ["speak", "hi", "-m", speech, "-o", wav],
        ["speak", "hi", "-m", speech, "-o", tmp_path / "x.wav", "--subtitles", link(thinker, ".srt")],
        ["speak", "hi", "-m", thinker, "-o", link(speech, ".wav")],
        ["chat", "hi", "-m", speech, "-o", wav],
        ["chat", "hi", "-m", speech, "-o", tmp_path / "x.wav", "--subtitles", link(mmproj, ".vtt")],
        ["decode", tmp_path / "codes.npy", "-m", speech, "-o", other],
        ["imatrix", "-m", speech, "-o", thinker],
        ["imatrix", "-m", speech, "-o", mmproj],
        ["imatrix", "-m", thinker, "-o", speech],
        ["doctor", speech, "--html", html],
        ["doctor", speech, "--html", mmproj],
        ["quantize", "--search", speech, link(thinker, ".toml")],
    ):
        failed = 65 if arguments[0] == "doctor" else 1
        assert main(list(map(str, arguments))) == failed, arguments
        one_sentence(capsys.readouterr().err.strip(), "is read from", "another name")
    assert {path: path.read_bytes() for path in before} == before
    assert hidden(tmp_path) == [] and not (tmp_path / "x.wav").exists()


def test_the_built_in_voice_is_read_where_no_model_is_named(voice_files: dict[str, Path]) -> None:
    assert {path.name for path in files_of()} == {path.name for path in voice_files.values()}
    assert set(omniggml.load(n_threads=1).files) == set(files_of())
    assert files_of(voice_files["speech"], thinker=False, mmproj=False) == [voice_files["speech"]]


def test_all_parts_of_a_split_model_stay(tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = omniggml.quantize(tiny_files.speech, tmp_path / "m.gguf", policy="f32", split_max_size=400_000).path
    parts = {path: path.read_bytes() for path in tmp_path.glob("m-*.gguf")}
    assert len(parts) > 1
    for last in sorted(parts)[1:]:
        assert main(["imatrix", "-m", str(first), "-o", str(last)]) == 1
        one_sentence(capsys.readouterr().err.strip(), "is read from", "another name")
    with pytest.raises(OmniError) as refused:
        omniggml.quantize(first, tmp_path / "m.gguf", policy="f32", split_max_size=400_000)
    one_sentence(str(refused.value), "is read from", "another name")
    assert {path: path.read_bytes() for path in parts} == parts


def test_a_checkpoint_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its smaller files, too; what was made in its directory before may be made again."""
    checkpoint = write_random_checkpoint("tiny", tmp_path / "c")
    (tmp_path / "x-speech.gguf").symlink_to("c/merges.txt")
    before = {path: path.read_bytes() for path in checkpoint.iterdir()}
    assert main(["convert", str(checkpoint), "-o", str(tmp_path), "--name", "x"]) == 1
    one_sentence(capsys.readouterr().err.splitlines()[-1], "is read from")
    assert {path: path.read_bytes() for path in before} == before
    for _ in range(2):
        assert main(["convert", str(checkpoint), "-o", str(checkpoint), "--name", "x"]) == 0


def test_a_link_in_the_place_of_a_part_is_not_written_through(tiny_files: Files, tmp_path: Path) -> None:
    model = Path(shutil.copy(tiny_files.speech, tmp_path / "m.gguf"))
    for ending in ("part", "journal"):
        (tmp_path / f".q.gguf.{ending}").symlink_to("m.gguf")
        with pytest.raises(OmniError) as refused:
            omniggml.quantize(model, tmp_path / "q.gguf")
        one_sentence(str(refused.value), "is read from")
        assert model.read_bytes() == tiny_files.speech.read_bytes()
        (tmp_path / f".q.gguf.{ending}").unlink()


@pytest.mark.parametrize("there", [True, False])
def test_audio_and_subtitles_are_two_files(tmp_path: Path, there: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if there:
        (tmp_path / "x.wav").touch()
    (tmp_path / "x.srt").symlink_to("x.wav")
    assert main(["speak", "hi", "-o", str(tmp_path / "x.wav"), "--subtitles", str(tmp_path / "x.srt")]) == 1
    one_sentence(capsys.readouterr().err.strip(), "the same file")


def test_an_importance_matrix_is_called_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imatrix", "-o", str(tmp_path / "x.wav")]) == 1
    one_sentence(capsys.readouterr().err.strip(), "x.wav", ".gguf")
    assert list(tmp_path.iterdir()) == []


EMPTY = {
    "speak": ["speak", "hi", "-o", ""],
    "subtitles": ["speak", "hi", "-o", "x.wav", "--subtitles", ""],
    "doctor": ["doctor", str(BUILT_IN), "--html", ""],
    "imatrix": ["imatrix", "-o", ""],
    "batch": ["batch", "t.txt", "-o", ""],
    "plot": ["plot", "x.wav", "-o", ""],
    "convert": ["convert", "c", "-o", ""],
    "quantize": ["quantize", str(BUILT_IN), ""],
    "search": ["quantize", "--search", str(BUILT_IN), ""],
}


@pytest.mark.parametrize("what", EMPTY)
def test_an_empty_name_is_none(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("hello\n")
    assert main(EMPTY[what]) == (65 if what == "doctor" else 1)
    one_sentence(capsys.readouterr().err.strip(), "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


def test_where_the_directory_is_gone_nothing_was_kept(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint("tiny", tmp_path / "c")
    (tmp_path / "gone").mkdir()
    code = (
        "import os, sys; from omniggml.cli import main; os.chdir('gone'); os.rmdir('../gone'); "
        f"sys.exit(main(['convert', {str(checkpoint)!r}, '-o', 'q']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 1
    one_sentence(run.stderr.splitlines()[-1], "q/c-speech.gguf can't be written: No such file")


def test_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with WholeFile(target) as file:
        assert stat.S_IMODE(file.aside.stat().st_mode) == 0o600
        file.publish()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_leftovers_are_swept_and_living_writers_are_not(tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    code = f"from omniggml.whole_file import WholeFile; import os; WholeFile({str(target)!r}); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code])
    (left,) = hidden(tmp_path)
    assert left.startswith(".x.wav.")
    with WholeFile(target) as living, WholeFile(tmp_path / "y.wav") as other:
        assert left not in hidden(tmp_path)
        AUDIO.save(target)
        assert living.aside.exists() and other.aside.exists()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("path", ["a\0b.wav", "\0", "n" * 300 + ".wav", "x/" * 3000 + "y.wav"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(InputError) as refused:
        AUDIO.save(path)
    one_sentence(str(refused.value))


def test_the_longest_names(tiny_files: Files, tmp_path: Path) -> None:
    for name in ("n" * 250 + ".gguf", "ë" * 125 + ".gguf"):
        omniggml.quantize(tiny_files.speech, tmp_path / name)
        assert omniggml.inspect(tmp_path / name).problem == ""


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_was_spoken_is_kept(tiny_files: Files, tmp_path: Path, number: signal.Signals) -> None:
    """Two signals, as a terminal that closes sends them."""
    target = tmp_path / "x.wav"
    arguments = ["speak", "hello", "-o", target, "-m", tiny_files.speech, "--threads", 1, "--chunk-frames", 10]
    code = f"""
import sys
from omniggml.cli import program
from omniggml.options import SpeechOptions
original = SpeechOptions.params
def endless(self, model):
    params = original(self, model)
    params.ignore_eos = True
    return params
SpeechOptions.params = endless
sys.argv[1:] = {list(map(str, arguments))!r}
sys.exit(program())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while written_aside(tmp_path) <= 2000:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (128 + number, 128 + signal.SIGTERM)
    assert "Traceback" not in said and "spoken so far are in" in said, said
    assert soundfile.info(target).frames > 900
    assert hidden(tmp_path) == []


def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    """At twenty moments of the first half second: one line, or none where it had ended."""
    for step in range(20):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from omniggml.cli import program; print(1, flush=True); program()",
                "devices",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.001 + step * 0.025)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert said in (b"interrupted\n", b"") and process.returncode in (130, 0), (step, said)


def test_nothing_is_imported_before_ctrl_c_is_quiet() -> None:
    """Until `program` runs, Ctrl-C is a traceback: what is imported until then must be what Python has anyway."""
    package = Path(omniggml.__file__).parent
    light = {"__future__", "_signal", "os", "sys", "omniggml.cli.leave", "omniggml.cli.standard_streams"}
    for name in ("__init__.py", "cli/__init__.py", "cli/leave.py", "cli/standard_streams.py"):
        tree = ast.parse((package / name).read_text())
        imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        assert imported <= light, (name, imported - light)
    assert {"os", "sys", "_signal"} <= set(sys.modules)


@pytest.mark.parametrize(
    "arguments", [["speak", "-f", "."], ["speak", "-f", ""], ["chat", "--audio", "."], ["chat", "--audio", ""]]
)
def test_an_input_that_is_no_file_is_what_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """Not the output, because it lies in the directory that was given."""
    (tmp_path / "in.wav").write_bytes(b"")
    command = [sys.executable, "-m", "omniggml", *arguments, "-o", "in.wav"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode != 0 and "in.wav" not in run.stderr, run
    one_sentence(run.stderr.removeprefix("omniggml: ").strip())


def test_a_warning_that_is_made_an_error_is_one_sentence(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "omniggml",
        "speak",
        "h\u00e9llo \u4f60",
        "-o",
        str(tmp_path / "x.wav"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), "no sounds")
    assert list(tmp_path.iterdir()) == []


def test_whose_reader_goes_away_hears_of_it_as_of_any_pipe() -> None:
    """From Python, standard output is the program's own; the command ends with it in silence."""
    code = (
        "import sys, numpy as np\nfrom omniggml import Audio\n"
        "try:\n    Audio(np.zeros(500_000, np.float32), 24000).save('-')\n"
        "except BrokenPipeError:\n    sys.stderr.write('gone'); sys.stderr.flush(); import os; os._exit(0)"
    )
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert run.stderr == "gone", run


def test_what_can_not_be_copied_says_so() -> None:
    model = omniggml.load()
    for thing in (model, model.tokenizer):
        for copied in (copy.deepcopy, pickle.dumps):
            with pytest.raises(InputError) as refused:
                copied(thing)
            one_sentence(str(refused.value), "can't be pickled or copied")
