"""Power cuts and full disks while files are written: under the final name there is a whole file or none, and the same
call finishes what was begun."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import omniggml
from conftest import Files
from omniggml import convert, quantize
from omniggml.errors import ConversionError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

if sys.platform == "win32":
    pytest.skip("processes are killed by signals here", allow_module_level=True)

Write = Callable[..., object]

# In a process of its own: children are forked from it, each doing a little before it is killed.
CHAIN = """
import os, random, resource, signal, sys
from omniggml import convert
from omniggml.errors import ConversionError
from omniggml import quantize

what, source, out, seed = sys.argv[1:]
random.seed(seed)

def work(progress=None):
    if what == "convert":
        convert(source, out, type="q8_0", name="x", progress=progress)
    else:
        os.makedirs(out, exist_ok=True)
        quantize(source, out + "/x-speech.gguf", policy="q4_k", progress=progress)

def child(run):
    pid = os.fork()
    if pid == 0:
        try:
            run()
        except ConversionError as error:
            print(error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def dying(steps):
    def progress(*_):
        nonlocal steps
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    work(progress)

def dying_at(module, name, call):
    original = getattr(module, name)
    def replaced(*arguments, **options):
        nonlocal call
        call -= 1
        if call < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(module, name, replaced)
    work()

def limited(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    work()

def names():
    return sorted(name for name in os.listdir(out) if not name.startswith(".")) if os.path.isdir(out) else []
"""


def chain(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", CHAIN + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(params=["convert", "quantize"])
def case(request: pytest.FixtureRequest, checkpoint: Path, tiny_files: Files, tmp_path: Path) -> tuple[str, Path, Path]:
    """What writes, from what, and a directory with what it writes when nothing happens."""
    whole = tmp_path / "whole"
    if request.param == "convert":
        convert(checkpoint, whole, type="q8_0", name="x")
        return request.param, checkpoint, whole
    whole.mkdir(exist_ok=True)
    quantize(tiny_files.speech, whole / "x-speech.gguf", policy="q4_k")
    return request.param, tiny_files.speech, whole


def same(out: Path, whole: Path) -> None:
    """The files of both directories are equal, and nothing else is left."""
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in whole.iterdir())
    for path in whole.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_killed_again_and_again(case: tuple[str, Path, Path], tmp_path: Path) -> None:
    """Each process does a part of the work only, so there is an end only if the next goes on."""
    what, source, whole = case
    killed = chain(
        """
kills = 0
while (code := child(lambda: dying(random.randrange(5, 40)))) != 0:
    assert code == -signal.SIGKILL and names() == [], (code, names())
    kills += 1
    assert kills < 100
print(kills)
""",
        what,
        source,
        tmp_path / "out",
        7,
    )
    assert int(killed) >= 2
    same(tmp_path / "out", whole)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_at_the_end(case: tuple[str, Path, Path], tmp_path: Path, moment: str) -> None:
    """On the way from a complete part to the final name, of one file and of both."""
    what, source, whole = case
    chain(
        """
module, name = {"fsync": (os, "fsync"), "replace": (__import__("pathlib").Path, "replace")}["MOMENT"]
for call in range(5):
    code = child(lambda: dying_at(module, name, call))
    for file in names():
        import omniggml
        assert omniggml.inspect(f"{out}/{file}").problem == ""
    if code == 0:
        break
assert code == 0
""".replace("MOMENT", moment),
        what,
        source,
        tmp_path / "out",
        7,
    )
    same(tmp_path / "out", whole)


def test_disk_full(case: tuple[str, Path, Path], tmp_path: Path) -> None:
    what, source, whole = case
    size = (whole / "x-speech.gguf").stat().st_size
    said = chain(
        f"""
for part in (0.0, 0.2, 0.5, 0.99):
    code = child(lambda: limited(int(part * {size})))
    assert code == 1 and names() == [], (code, names())
assert child(work) == 0
""",
        what,
        source,
        tmp_path / "out",
        7,
    ).splitlines()
    assert len(said) == 4
    one_sentence(said[-1], "File too large", "is kept", "goes on from there")
    same(tmp_path / "out", whole)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_power_cut_leaves(checkpoint: Path, tiny_files: Files, tmp_path: Path, seed: int) -> None:
    """Blocks that never reached the disk, a part shorter than the journal says, half a line in the journal."""
    rng = random.Random(seed)
    target = tmp_path / "x-speech.gguf"
    part, journal = (tmp_path / f".x-speech.gguf.{kind}" for kind in ("part", "journal"))
    for _ in range(3):
        interrupted_after(rng.randrange(10, 80), tiny_files.speech, target)
        damage = rng.choice(["zeros", "cut", "journal", "other"])
        content = bytearray(part.read_bytes())
        if damage == "zeros":
            at = rng.randrange(len(content))
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
            part.write_bytes(content)
        elif damage == "cut":
            part.write_bytes(content[: rng.randrange(len(content))])
        elif damage == "journal":
            lines = journal.read_bytes()
            journal.write_bytes(lines[: rng.randrange(len(lines))])
        else:
            part.unlink()
    quantize(tiny_files.speech, target, policy="q4_k")
    (tmp_path / "whole").mkdir()
    undisturbed = quantize(tiny_files.speech, tmp_path / "whole" / "x-speech.gguf", policy="q4_k").path
    assert target.read_bytes() == undisturbed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole", "x-speech.gguf"]


def interrupted_after(steps: int, source: Path, target: Path) -> None:
    def progress(*_: object) -> None:
        nonlocal steps
        steps -= 1
        if steps < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(source, target, policy="q4_k", progress=progress)


def test_the_errors_are_those_of_an_undisturbed_run(tiny_files: Files, tmp_path: Path) -> None:
    interrupted_after(50, tiny_files.speech, tmp_path / "x.gguf")
    resumed = quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q4_k")
    assert resumed.changes == quantize(tiny_files.speech, tmp_path / "y.gguf", policy="q4_k").changes


def test_another_source_or_policy_begins_anew(tiny_files: Files, tmp_path: Path) -> None:
    target = tmp_path / "x.gguf"
    interrupted_after(50, tiny_files.speech, target)
    made = quantize(tiny_files.speech, target, policy="q8_0")
    assert made.path.read_bytes() == quantize(tiny_files.speech, tmp_path / "y.gguf", policy="q8_0").path.read_bytes()
    interrupted_after(50, tiny_files.speech, target)
    os.utime(tiny_files.speech)
    seen: list[int] = []
    quantize(tiny_files.speech, target, policy="q4_k", progress=lambda _, done, __: seen.append(done))
    assert seen[0] == 0


def test_two_at_once(tiny_files: Files, tmp_path: Path) -> None:
    refusals: list[str] = []

    def progress(*_: object) -> None:
        if not refusals:
            with pytest.raises(ConversionError) as error:
                quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q4_k")
            refusals.append(str(error.value))

    quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q4_k", progress=progress)
    one_sentence(refusals[0], "x.gguf", "being written by another process")
    assert omniggml.inspect(tmp_path / "x.gguf").problem == ""


def test_a_disk_that_gives_back_something_else(
    tiny_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def spoiling(handle: int) -> None:
        sync(handle)
        if (part := tmp_path / ".x.gguf.part").exists():
            size = part.stat().st_size
            with part.open("r+b") as file:
                file.seek(size - 100)
                file.write(b"\xaa" * 60)

    monkeypatch.setattr(os, "fsync", spoiling)
    with pytest.raises(ConversionError, match="doesn't read as it was written"):
        quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q8_0")
    assert list(tmp_path.iterdir()) == []
