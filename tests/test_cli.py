"""The command as a person runs it: what it writes, its exit codes, and one sentence where it can't."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import Files
from gguf_edit import GgufEdit
from omniggml.cli import main
from processes import written_aside
from sentences import one_sentence

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
DEADLINE = 120


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "omniggml", *map(str, arguments)]


def run(*arguments: object, stdin: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(*arguments), input=stdin, capture_output=True, timeout=DEADLINE, **options)  # type: ignore[call-overload,no-any-return]


def failed(result: subprocess.CompletedProcess[bytes], *parts: str, code: int = 1) -> None:
    error = result.stderr.decode()
    assert result.returncode == code, (result.returncode, error)
    assert error.startswith("omniggml: ") and error.endswith("\n"), error
    one_sentence(error.strip(), *parts)


def done(result: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[bytes]:
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b"", result.stderr
    return result


def cut(result: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Spoken up to --max-frames, as random weights never find an end: the file is kept, and what is missing is told."""
    error = result.stderr.decode()
    assert result.returncode == 3, (result.returncode, error)
    one_sentence(error.strip().splitlines()[-1], "not spoken to its end", "cut within")
    return result


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob(".*"))


@pytest.fixture
def model(tiny_files: Files) -> list[str]:
    """Arguments that name it."""
    return ["-m", str(tiny_files.speech), "--threads", "1"]


@pytest.fixture(scope="module")
def slow_files(tiny_files: Files, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A model that never ends a speech: codec eos is never among the codes that are drawn from."""
    edit = GgufEdit.read(tiny_files.speech)
    settings = {"max_position_embeddings": 2**24, "generation.max_new_tokens": 2**22, "generation.top_k": 4}
    for key, value in settings.items():
        edit.set(f"qwen3omni-speech.talker.{key}", value)
    eos = edit.entry("qwen3omni-speech.talker.codec_eos_token_id").value
    # The largest logit of any code is far above zero, which is what a head of zeros gives.
    head = edit.values("talker.codec_head.weight").reshape(-1, 32)
    head[eos] = 0
    edit.put("talker.codec_head.weight", head)
    speech = edit.write(tmp_path_factory.mktemp("slow") / "slow-speech.gguf")
    return Files(speech, tiny_files.thinker)


# --- what it is for ---------------------------------------------------------------------------------------------------


def test_speak(model: list[str], tmp_path: Path) -> None:
    target = tmp_path / "hello.wav"
    result = cut(run("speak", "hello", "-o", target, *model, "--max-frames", 5, "--seed", 3))
    samples, rate = soundfile.read(target)
    assert rate == 24000 and len(samples) == 24 * 5 - 15
    assert result.stdout.decode().strip() == f"{target}: {len(samples) / rate:.2f} s, cut at the frame limit"
    assert leftovers(tmp_path) == []


def test_the_installed_command(model: list[str], tmp_path: Path) -> None:
    path = shutil.which("omniggml", path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip("not installed as a command")
    result = subprocess.run(
        [path, "speak", "hello", "-o", tmp_path / "x.wav", *model, "--max-frames", "2"], capture_output=True
    )
    assert result.returncode == 3, result.stderr


def test_speak_to_stdout(model: list[str]) -> None:
    result = cut(run("speak", "hello", "-o", "-", *model, "--max-frames", 5))
    samples, rate = soundfile.read(io.BytesIO(result.stdout))
    assert rate == 24000 and len(samples) == 105


def test_speak_from_stdin(model: list[str], tmp_path: Path) -> None:
    options = [*model, "--max-frames", 5]
    text = "grüße\n".encode()
    cut(run("speak", "-", "-o", tmp_path / "a.wav", *options, stdin=text))
    cut(run("speak", text.decode(), "-o", tmp_path / "b.wav", *options))
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_same_seed_same_file(model: list[str], tmp_path: Path) -> None:
    for name, extra in (("a", ["--chunk-frames", 1]), ("b", ["--chunk-frames", 7]), ("c", ["--seed", 5])):
        cut(run("speak", "hello", "-o", tmp_path / f"{name}.wav", *model, "--max-frames", 20, *extra))
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("name", ["x.flac", "x.ogg", "x.WAV", "no ending", "x.aiff"])
def test_formats(model: list[str], tmp_path: Path, name: str) -> None:
    cut(run("speak", "hello", "-o", tmp_path / name, *model, "--max-frames", 5))
    assert soundfile.info(tmp_path / name).samplerate == 24000


def test_what_pillow_thinks_of_an_image_is_for_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its warnings are of tags and offsets; ours are said."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    assert main(["voices"]) == 0
    capsys.readouterr()
    with caplog.at_level("DEBUG", "omniggml.images"), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit("Truncated File Read", UserWarning, "/x/PIL/TiffImagePlugin.py", 982)
        warnings.warn_explicit("it is damaged", UserWarning, "/x/program.py", 1)
    assert capsys.readouterr().err == "omniggml: it is damaged\n"
    assert "Truncated File Read" in caplog.text


def test_a_long_speech_in_vorbis(tmp_path: Path) -> None:
    """libsndfile ended the process where it was given all of it at once."""
    program = """
import sys, numpy, omniggml
omniggml.Audio(numpy.zeros(24000 * 1200, numpy.float32), 24000).save(sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "long.ogg")], check=True)
    assert soundfile.info(tmp_path / "long.ogg").frames == 24000 * 1200


def test_chat(model: list[str], tiny_files: Files, tmp_path: Path) -> None:
    target = tmp_path / "answer.wav"
    options = ["--max-tokens", 5, "--max-frames", 5, "--thinker", tiny_files.thinker, "--system", "Be brief."]
    result = cut(run("chat", "-", "-o", target, *model, *options, stdin=b"what?"))
    assert str(target) in result.stdout.decode()
    assert soundfile.info(target).samplerate == 24000


def test_chat_to_stdout_leaves_it_to_the_audio(model: list[str]) -> None:
    result = run("chat", "what?", "-o", "-", *model, "--max-tokens", 5, "--max-frames", 5)
    assert result.returncode == 3
    assert soundfile.read(io.BytesIO(result.stdout))[1] == 24000


def test_chat_on_a_narrow_terminal(model: list[str], tmp_path: Path) -> None:
    """Random weights write any letter; a terminal of ASCII alone gets an escape for it."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = run("chat", "what?", "-o", tmp_path / "x.wav", *model, "--max-frames", 2, env=environment)
    assert result.returncode == 3, result.stderr


def test_decode(model: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.ones((4, 10), np.int64))
    done(run("decode", tmp_path / "codes.npy", "-o", tmp_path / "x.wav", *model))
    assert soundfile.info(tmp_path / "x.wav").frames == 24 * 10 - 15


def test_no_frame_is_nothing_to_hear(model: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.ones((4, 0), np.int64))
    failed(run("decode", tmp_path / "codes.npy", "-o", tmp_path / "x.wav", *model), "codes.npy holds no frame")
    assert not (tmp_path / "x.wav").exists()


def test_devices() -> None:
    assert b"CPU" in done(run("devices")).stdout


def test_convert(tmp_path: Path) -> None:
    from omniggml.synthetic.random_checkpoint import write_random_checkpoint

    write_random_checkpoint("tiny", tmp_path / "checkpoint")
    result = done(run("convert", tmp_path / "checkpoint", "-o", tmp_path / "out", "--name", "x", "--type", "q8_0"))
    paths = result.stdout.decode().split()
    assert [Path(path).name for path in paths] == ["x-speech.gguf", "x-thinker.gguf"]
    cut(run("speak", "hi", "-o", tmp_path / "x.wav", "-m", paths[0], "--max-frames", 2))


def test_version() -> None:
    assert done(run("--version")).stdout.startswith(b"omniggml ")


# --- wrong usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["speak"],
        ["speak", "hello"],
        ["speak", "hello", "-o"],
        ["speak", "hello", "-o", "x.wav", "--seed", "many"],
        ["speak", "hello", "-o", "x.wav", "--temperature", "hot"],
        ["speak", "hello", "-o", "x.wav", "--tune", "c"],
        ["convert", "x", "-o", "y", "--type", "q0"],
    ],
)
def test_usage(arguments: list[str], tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2 and b"usage" in result.stderr and b"Traceback" not in result.stderr


# --- one sentence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        (["--speaker", "nobody"], '"nobody"'),
        (["--temperature", "0"], "temperature"),
        (["--temperature", "nan"], "temperature"),
        (["--top-p", "2"], "top_p"),
        (["--seed", "-1"], "seed"),
        (["--chunk-frames", "0"], "chunk_frames"),
        (["--max-frames", "-1"], "max_frames"),
        (["--threads", "-1"], "n_threads"),
        (["--threads", "100000"], "n_threads"),
        (["--device", "abacus"], "abacus"),
        (["--thinker", "none.gguf"], "none.gguf"),
        (["-m", "none.gguf"], "none.gguf"),
        (["-m", "/"], "directory"),
    ],
)
def test_bad_options(model: list[str], tmp_path: Path, extra: list[str], part: str) -> None:
    failed(run("speak", "hello", "-o", tmp_path / "x.wav", *model, *extra), part)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty_text(model: list[str], tmp_path: Path, text: str) -> None:
    failed(run("speak", text, "-o", tmp_path / "x.wav", *model), "no text")
    failed(run("speak", "-", "-o", tmp_path / "x.wav", *model, stdin=text.encode()), "no text")


def test_long_text(model: list[str], tmp_path: Path) -> None:
    failed(
        run("speak", "-", "-o", tmp_path / "x.wav", *model, "--split", "never", stdin=b"word " * 5000),
        "4096",
        "shorter",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["speak", "chat"])
def test_stdin_of_bytes(model: list[str], tmp_path: Path, name: str) -> None:
    """The bytes are looked at, whatever Python's environment says of them."""
    arguments = [name, "-", "-o", tmp_path / "x.wav", *model]
    for encoding in ("utf-8:surrogateescape", "latin-1"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        failed(run(*arguments, stdin=b"caf\xe9", env=environment), "standard input", "byte 3", "Latin-1", "UTF-8")
    failed(run(*arguments, stdin=b"a\0b"), "standard input", "zero byte")


@LINUX
def test_argument_of_bytes(model: list[str], tmp_path: Path) -> None:
    failed(run("speak", os.fsdecode(b"caf\xe9"), "-o", tmp_path / "x.wav", *model), "Unicode")


@LINUX
@pytest.mark.parametrize(("closed", "arguments"), [("<", ["-", "-o", "x.wav"]), (">", ["hello", "-o", "-"])])
def test_closed_streams(model: list[str], tmp_path: Path, closed: str, arguments: list[str]) -> None:
    quoted = " ".join(f"'{word}'" for word in command("speak", *arguments, *model, "--max-frames", 2))
    result = subprocess.run(["sh", "-c", f"{quoted} {closed}&-"], capture_output=True, cwd=tmp_path, timeout=DEADLINE)
    failed(result, "standard", "closed")


@LINUX
@pytest.mark.parametrize("command_", ["inspect", "inspect --json", "doctor", "voices", "devices", "bench --json"])
def test_results_that_nobody_can_read_are_an_error(model: list[str], tmp_path: Path, command_: str) -> None:
    """Before any work is done for them."""
    name, *options = command_.split()
    arguments = command(name, *([model[1]] if name in ("inspect", "doctor") else []), *options)
    result = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *arguments], capture_output=True, cwd=tmp_path, timeout=DEADLINE
    )
    assert result.returncode == (65 if name == "doctor" else 1)
    assert result.stderr == b"omniggml: standard output is closed, and the result goes there\n"


@LINUX
@pytest.mark.parametrize("door", ["decode", "doctor --audio", "doctor --codes", "plot"])
def test_a_pipe_in_the_place_of_a_file(model: list[str], tmp_path: Path, door: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    name, *option = door.split()
    arguments: list[object] = [*option, tmp_path / "pipe"]
    if name == "doctor":
        arguments.insert(0, model[1])
    else:
        arguments += ["-o", tmp_path / ("x.png" if name == "plot" else "x.wav")]
    result = run(name, *arguments)
    failed(result, f"{tmp_path / 'pipe'} is a pipe", code=65 if name == "doctor" else 1)


CLOSED = ["2>&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&- >&-"]


@LINUX
@pytest.mark.parametrize("closed", CLOSED)
def test_no_message_gets_into_a_file(model: list[str], tmp_path: Path, closed: str) -> None:
    """A file that is opened where a stream was closed gets the stream's number."""
    speaking = ["speak", "hello", *model, "--max-frames", "5", "-o"]
    cut(run(*speaking, tmp_path / "expected.wav"))
    for arguments, code in (
        ([*speaking, "x.wav"], 3),
        (["speak", "hello", "-o", "y.wav", *model, "--speaker", "nobody"], 1),
        (["inspect", "nonsense"], 1),
        (["inspect"], 2),
        (["quantize", tmp_path / "expected.wav", "q.gguf"], 1),
    ):
        quoted = " ".join(f"'{part}'" for part in command(*arguments))
        result = subprocess.run(["sh", "-c", f"{quoted} {closed}"], capture_output=True, cwd=tmp_path, timeout=DEADLINE)
        assert result.returncode == code, arguments
        assert result.stdout.count(b"\n") <= 1 and b"omniggml" not in result.stdout and b"error" not in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.wav", "x.wav"]
    assert (tmp_path / "x.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()


@LINUX
def test_nothing_but_audio_on_stdout_where_stderr_is_closed(model: list[str], tmp_path: Path) -> None:
    arguments = command("speak", "hello", "-o", "-", *model, "--max-frames", 5)
    cut(expected := run(*arguments[3:]))
    result = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *arguments], stdout=subprocess.PIPE, timeout=DEADLINE)
    assert result.returncode == 3 and result.stdout == expected.stdout
    soundfile.read(io.BytesIO(expected.stdout))


@LINUX
def test_interrupted_with_stderr_closed(model: list[str], tmp_path: Path) -> None:
    """The handler writes by number."""
    code = "import sys, os, signal; from omniggml.cli import program; import omniggml.cli.command_line as line"
    code += "; line.run = lambda _: (open('kept', 'w'), os.kill(os.getpid(), signal.SIGINT)); program()"
    result = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", code], cwd=tmp_path, timeout=DEADLINE)
    assert result.returncode == 130 and (tmp_path / "kept").read_bytes() == b""


@LINUX
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["speak", "--help"], ["devices"]])
def test_help_that_nobody_can_read_is_an_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE)
    assert result.returncode == 1 and result.stderr == b"omniggml: No space left on device\n"


def test_damaged_weights(tiny_files: Files, tmp_path: Path) -> None:
    """ggml's own check would write a second line."""
    edit = GgufEdit.read(tiny_files.speech)
    values = edit.values("talker.model.norm.weight")
    values[0] = np.nan
    path = edit.put("talker.model.norm.weight", values).write(tmp_path / "nan.gguf")
    failed(run("speak", "hello", "-o", tmp_path / "x.wav", "-m", path), "nan.gguf", "talker.model.norm.weight")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "codes.npy"),
        (b"hello", "codes.npy"),
        (b"\x93NUMPY\x01\x00", "codes.npy"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': <<<<  \n", "codes.npy"),
        (b"PK\x03\x04" + bytes(50), "codes.npy"),
    ],
)
def test_damaged_codes(model: list[str], tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "codes.npy").write_bytes(content)
    failed(run("decode", tmp_path / "codes.npy", "-o", tmp_path / "x.wav", *model), part)


@pytest.mark.parametrize(
    ("codes", "part"),
    [
        (np.zeros((5, 7), int), "shape"),
        (np.zeros(7, int), "shape"),
        (np.zeros((4, 5)), "float64"),
        (np.full((4, 5), 64), "outside of 0 to 63"),
        (np.array([{}]), "codes.npy"),
    ],
    ids=["shape", "flat", "float", "range", "object"],
)
def test_wrong_codes(model: list[str], tmp_path: Path, codes: np.ndarray, part: str) -> None:  # type: ignore[type-arg]
    np.save(tmp_path / "codes.npy", codes)
    failed(run("decode", tmp_path / "codes.npy", "-o", tmp_path / "x.wav", *model), part)


def test_codes_missing_or_several(model: list[str], tmp_path: Path) -> None:
    failed(run("decode", tmp_path / "none.npy", "-o", tmp_path / "x.wav", *model), "none.npy", "no such file")
    failed(run("decode", tmp_path, "-o", tmp_path / "x.wav", *model), str(tmp_path), "is a directory")
    np.savez(tmp_path / "several.npz", a=np.zeros(3), b=np.zeros(3))
    failed(run("decode", tmp_path / "several.npz", "-o", tmp_path / "x.wav", *model), "several.npz")


def test_chat_without_thinker(tiny_files: Files, tmp_path: Path) -> None:
    alone = shutil.copy(tiny_files.speech, tmp_path / "alone.gguf")
    failed(run("chat", "hi", "-o", tmp_path / "x.wav", "-m", alone), "without a thinker")


def test_convert_nothing(tmp_path: Path) -> None:
    failed(run("convert", tmp_path / "none", "-o", tmp_path / "out"), "none")


# --- output that can't be written -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("none/x.wav", "No such file or directory"),
        ("x.xyz", "'.xyz'"),
        (".", "directory"),
        ("file/x.wav", "Not a directory"),
        ("n" * 300 + ".wav", "too long"),
    ],
)
def test_unwritable(model: list[str], tmp_path: Path, target: str, part: str) -> None:
    (tmp_path / "file").touch()
    failed(run("speak", "hello", "-o", target, *model, cwd=tmp_path), part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@LINUX
@pytest.mark.parametrize("device", ["/dev/full", "/dev/null", "/proc/self/x.wav"])
def test_devices_stay_what_they_are(model: list[str], device: str) -> None:
    failed(run("speak", "hello", "-o", device, *model), device)
    assert not Path(device).is_file()


def test_the_longest_name(model: list[str], tmp_path: Path) -> None:
    name = "n" * 251 + ".wav"
    cut(run("speak", "hello", "-o", tmp_path / name, *model, "--max-frames", 2))
    assert (tmp_path / name).stat().st_size > 44


def test_a_link_stays_a_link(model: list[str], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "there" / "x.wav")
    cut(run("speak", "hello", "-o", tmp_path / "link.wav", *model, "--max-frames", 2))
    assert (tmp_path / "link.wav").is_symlink() and (tmp_path / "there" / "x.wav").stat().st_size > 44


@LINUX
@pytest.mark.parametrize(
    ("size", "ending"),
    [*((size, ".wav") for size in (0, 20, 44, 100, 4096)), *((size, ".flac") for size in (0, 20, 100)), (20, ".ogg")],
)
def test_disk_full(model: list[str], tmp_path: Path, size: int, ending: str) -> None:
    """A limit on the size of files stands for the full disk: the old file is kept, nothing is left over."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    target = tmp_path / f"x{ending}"
    target.write_bytes(b"the old one")
    result = run("speak", "hello", "-o", target, *model, "--max-frames", 300, "--chunk-frames", 5, preexec_fn=limit)
    failed(result, f"x{ending} can't be written: File too large")
    assert target.read_bytes() == b"the old one"
    assert leftovers(tmp_path) == []


@LINUX
def test_full_stdout(model: list[str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = subprocess.run(
            command("speak", "hello", "-o", "-", *model, "--max-frames", 5), stdout=full, stderr=subprocess.PIPE
        )
        failed(result, "standard output", "No space left")
        listing = subprocess.run(command("devices"), stdout=full, stderr=subprocess.PIPE)
        failed(listing, "No space left")


@LINUX
def test_nobody_reads_stdout(model: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        command("speak", "hello", "-o", "-", *model, "--max-frames", 5), stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert result.returncode == 1 and result.stderr == b""


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def spoken_until_interrupted(
    arguments: Sequence[object], directory: Path, stdout: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[bytes]:
    """Interrupts the command once it has written some audio aside."""
    process = subprocess.Popen(command(*arguments), stdout=stdout, stderr=subprocess.PIPE)
    deadline = time.monotonic() + DEADLINE
    while written_aside(directory) <= 2000:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was spoken"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_interrupted_in_mid_speech(slow_files: Files, tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    arguments = ["speak", "hello", "-o", target, "-m", slow_files.speech, "--threads", 1, "--chunk-frames", 10]
    result = spoken_until_interrupted(arguments, tmp_path)
    assert result.returncode == 130
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 2 and str(target) in lines[0] and lines[1] == "interrupted", lines
    samples, rate = soundfile.read(target)
    assert rate == 24000 and len(samples) > 900
    assert leftovers(tmp_path) == []


def test_interrupted_speech_is_the_beginning_of_the_whole(slow_files: Files, tmp_path: Path) -> None:
    target = tmp_path / "part.wav"
    options = ["-m", slow_files.speech, "--threads", 1, "--seed", 4]
    spoken_until_interrupted(["speak", "hello", "-o", target, *options, "--chunk-frames", 10], tmp_path)
    part = soundfile.read(target, dtype="int16")[0][:5000]
    cut(run("speak", "hello", "-o", tmp_path / "whole.wav", *options, "--max-frames", 300))
    whole = soundfile.read(tmp_path / "whole.wav", dtype="int16")[0][: len(part)]
    np.testing.assert_array_equal(part, whole)


@pytest.fixture
def waiting(model: list[str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that waits for its text."""
    process = subprocess.Popen(
        command("speak", "-", "-o", tmp_path / "x.wav", *model), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def test_interrupted_before_it_speaks(waiting: subprocess.Popen[bytes], tmp_path: Path) -> None:
    time.sleep(4)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(timeout=DEADLINE) == 130
    assert waiting.stderr is not None and waiting.stderr.read() == b"interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_interrupted_in_the_first_piece(slow_files: Files, tmp_path: Path) -> None:
    """Its end is far away, and the interruption ends it early: what there is of it is kept."""
    target = tmp_path / "x.wav"
    arguments = ["speak", "hello", "-o", target, "-m", slow_files.speech, "--threads", 1, "--chunk-frames", 10**6]
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    while not leftovers(tmp_path):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert soundfile.info(target).frames > 0
    assert leftovers(tmp_path) == []


def test_interrupted_on_stdout(slow_files: Files) -> None:
    """What was spoken goes to standard output, as one sound file."""
    arguments = ["speak", "hello", "-o", "-", "-m", slow_files.speech, "--threads", 1, "--chunk-frames", 10]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    spoken = b""
    while len(spoken) < 100 and (more := process.stdout.read(100)):  # a header, and the beginning of a sound
        spoken += more
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130 and err == b"interrupted\n", err
    assert soundfile.info(io.BytesIO(spoken + out)).frames > 0


def test_interrupted_decoding(model: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.ones((4, 500_000), np.int32))
    process = subprocess.Popen(
        command("decode", tmp_path / "codes.npy", "-o", tmp_path / "x.wav", *model), stderr=subprocess.PIPE
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    err = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 130 and err == b"interrupted\n", err
    assert time.monotonic() - start < 10
    assert not (tmp_path / "x.wav").exists() and leftovers(tmp_path) == []


# --- as a pipe --------------------------------------------------------------------------------------------------------


def test_the_first_piece_comes_before_the_last_is_spoken(slow_files: Files) -> None:
    """A speech without an end: only what is written while it goes on can be read."""
    arguments = ["speak", "hello", "-o", "-", "-m", slow_files.speech, "--threads", 1]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    head = process.stdout.read(100)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert head[:4] == b"RIFF" and head[36:44] == b"data\xff\xff\xff\xff"
    assert process.returncode == 130


def test_pipe_and_file_hold_the_same(model: list[str], tmp_path: Path) -> None:
    options = ["speak", "hello", *model, "--max-frames", 5]
    cut(run(*options, "-o", tmp_path / "x.wav"))
    samples = soundfile.read(tmp_path / "x.wav", dtype="int16")[0]
    piped, raw = cut(run(*options, "-o", "-")).stdout, cut(run(*options, "-o", "-", "--raw")).stdout
    assert np.array_equal(np.frombuffer(piped[44:], "<i2"), samples) and raw == piped[44:]
    with (tmp_path / "y.wav").open("wb") as redirected:
        subprocess.run(command(*options, "-o", "-"), stdout=redirected, stderr=subprocess.DEVNULL, timeout=DEADLINE)
    # Into a file, the header gets the length.
    assert soundfile.info(tmp_path / "y.wav").frames == len(samples)
    assert (tmp_path / "y.wav").read_bytes()[40:44] == (2 * len(samples)).to_bytes(4, "little")


@LINUX
def test_named_pipe(model: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    arguments = command("speak", "hello", "-o", tmp_path / "pipe.wav", *model, "--max-frames", 5)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    data = (tmp_path / "pipe.wav").read_bytes()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 3 and len(soundfile.read(io.BytesIO(data))[0]) == 105


@LINUX
def test_a_named_pipe_whose_reader_leaves(model: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    arguments = command("speak", "hello " * 200, "-o", tmp_path / "pipe", *model, "--max-frames", 2000)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (tmp_path / "pipe").open("rb").close()
    _, error = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert error.decode() == f"omniggml: {tmp_path / 'pipe'} can't be written: its reader went away\n"


@LINUX
def test_a_terminal_can_not_hear(model: list[str]) -> None:
    import pty

    main, terminal = pty.openpty()
    try:
        result = subprocess.run(
            command("speak", "hello", "-o", "-", *model), stdout=terminal, stderr=subprocess.PIPE, timeout=DEADLINE
        )
        failed(result, "terminal", "--play")
        failed(run("speak", "hello", "-o", os.ttyname(terminal), *model), "terminal")
    finally:
        os.close(main)
        os.close(terminal)


def test_play(model: list[str], tmp_path: Path) -> None:
    """A module of that name stands for the library: what is written to it is what a file would hold."""
    (tmp_path / "sounddevice.py").write_text(
        "class PortAudioError(Exception): pass\n"
        "class OutputStream:\n"
        "    def __init__(self, **options): print(sorted(options.items()))\n"
        "    def start(self): print('start')\n"
        "    def write(self, samples): print(len(samples), samples.shape[1], samples.dtype)\n"
        "    def stop(self): print('stop')\n"
        "    def close(self): print('close')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    lines = (
        cut(run("speak", "hello", "--play", *model, "--max-frames", 5, env=environment)).stdout.decode().splitlines()
    )
    assert lines[:2] == ["[('channels', 1), ('dtype', 'float32'), ('samplerate', 24000)]", "start"]
    assert lines[-3:] == ["stop", "close", "played: 0.00 s, cut at the frame limit"]
    assert sum(int(line.split()[0]) for line in lines[2:-3]) == 105
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    failed(run("speak", "hello", "--play", *model, env=environment), "PortAudio")


def test_subtitles(model: list[str], tmp_path: Path) -> None:
    for name, first in (("x.srt", "1"), ("x.vtt", "WEBVTT")):
        options = ["--max-frames", 5, "--subtitles", tmp_path / name]
        cut(run("speak", "hello there", "-o", tmp_path / "x.wav", *model, *options))
        lines = (tmp_path / name).read_text().splitlines()
        assert lines[0] == first and "hello there [cut off]" in lines
    for name in ("x.txt", "none/x.srt"):
        failed(run("speak", "hi", "-o", tmp_path / "y.wav", *model, "--subtitles", tmp_path / name), name)


def test_text_from_a_file(model: list[str], tmp_path: Path) -> None:
    """Named as a text it is asked about; with --file its bytes are decoded as standard input's are."""
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-16")
    arguments = ["-o", tmp_path / "x.wav", *model, "--max-frames", 5]
    failed(run("speak", "notes.txt", *arguments, cwd=tmp_path), "notes.txt is a file", "--file")
    cut(run("speak", "--file", "notes.txt", *arguments, cwd=tmp_path))
    by_file = (tmp_path / "x.wav").read_bytes()
    cut(run("speak", "hello", *arguments, cwd=tmp_path))
    assert (tmp_path / "x.wav").read_bytes() == by_file
    for name in ("-", "/dev/stdin"):
        cut(run("speak", "--file", name, *arguments, stdin=(tmp_path / "notes.txt").read_bytes()))
        assert (tmp_path / "x.wav").read_bytes() == by_file
    failed(run("speak", "--file", "none.txt", *arguments, cwd=tmp_path), "none.txt")


@pytest.mark.parametrize("arguments", [["-40 degrees"], ["--", "-hello"], ["--", "--help"], ["- one"]])
def test_text_that_begins_with_a_dash(model: list[str], tmp_path: Path, arguments: list[str]) -> None:
    cut(run("speak", "-o", tmp_path / "x.wav", *model, "--max-frames", 2, *arguments))


def test_voices(model: list[str]) -> None:
    lines = done(run("voices", *model)).stdout.decode().split("\n")
    assert len([line for line in lines if line.endswith(" (default)")]) == 1 and len(lines) > 2


def test_what_a_limit_cut_is_told(tmp_path: Path) -> None:
    """With the built-in voice: the sentence that was cut, and what was never begun."""
    text = "The cat sleeps. The dog runs. Good night!"
    result = run("speak", text, "-o", tmp_path / "x.wav", "--split", "sentence", "--max-frames", 30, "--threads", 1)
    error = cut(result).stderr.decode()
    assert 'cut within "The dog runs."' in error and '2 words not spoken, from "Good night!" on' in error
    assert soundfile.info(tmp_path / "x.wav").frames > 0
