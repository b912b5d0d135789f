"""`omniggml batch`: every text is said once, whatever its id, and whenever the process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from omniggml import InputError
from omniggml.batch.manifest import file_stem
from omniggml.batch.texts import BatchText, read_texts
from processes import below

TEXTS = ["The dog runs.", "Two cats sleep.", "It is warm.", "A bird sings.", "We eat bread.", "She reads a book."]
STRANGE = [
    "../../x",
    "/etc/passwd",
    ".hidden",
    "a/b",
    "con",
    "x" * 200,
    "\u00e9t\u00e9 1",
    "-rf",
    "a\nb",
    "%2F",
    "~",
    " ",
]


def batch(texts: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omniggml", "batch", str(texts), "-o", str(directory), "--threads", "1"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=300)


def manifest(directory: Path) -> list[dict[str, Any]]:
    _, *lines = (directory / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_is_said(tmp_path: Path) -> None:
    """Each text as alone, with its own speaker and seed; strange ids stay inside of the directory."""
    model = omniggml.load(n_threads=1)
    rows: list[dict[str, Any]] = [
        {
            "id": name,
            "text": TEXTS[number % 6],
            "speaker": ("ethan", None)[number % 2],
            "seed": (None, 5, 7)[number % 3],
        }
        for number, name in enumerate(STRANGE)
    ]
    run = batch(write_lines(tmp_path / "t.jsonl", rows), tmp_path / "out", "--format", "wav", "--slots", "3")
    assert run.returncode == 0, run.stderr
    entries = {entry["id"]: entry for entry in manifest(tmp_path / "out")}
    assert set(entries) == set(STRANGE)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"manifest.jsonl", *(entries[name][kind] for name in STRANGE for kind in ("file", "codes"))}
    for row in rows:
        entry = entries[row["id"]]
        alone = model.speak(row["text"], speaker=row["speaker"], seed=row["seed"] or 0)
        samples, rate = soundfile.read(tmp_path / "out" / entry["file"], dtype="int16")
        assert rate == 24000 and len(samples) == len(alone.samples)
        assert np.array_equal(np.load(tmp_path / "out" / entry["codes"]), alone.codes)
        assert entry["stop_reason"] == alone.stop_reason and abs(entry["duration"] - alone.duration) < 1e-5
        assert entry["frames"] == alone.codes.shape[1]


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    texts = tmp_path / "t.txt"
    texts.write_text("\n".join(TEXTS[:2]))
    assert batch(texts, tmp_path / "out").returncode == 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    texts.write_text("\n".join(TEXTS[:3]))
    with (tmp_path / "out" / "manifest.jsonl").open("a") as file:
        file.write('{"id": "3", "text": "half of a li')
    run = batch(texts, tmp_path / "out")
    assert run.returncode == 0 and "1 texts" in run.stdout and "2 before" in run.stdout
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sorted(entry["id"] for entry in manifest(tmp_path / "out")) == ["1", "2", "3"]
    assert {name: time for name, time in after.items() if name in before and name != "manifest.jsonl"} == {
        name: time for name, time in before.items() if name != "manifest.jsonl"
    }
    (tmp_path / "out" / "1.flac").unlink()
    assert "1 texts" in batch(texts, tmp_path / "out").stdout and (tmp_path / "out" / "1.flac").exists()

    texts.write_text("Another text.")
    changed = batch(texts, tmp_path / "out")
    assert changed.returncode == 1 and "another text" in changed.stderr
    other = batch(texts, tmp_path / "out", "--greedy")
    assert other.returncode == 1 and "was begun with greedy False, not True" in other.stderr


def test_killed_at_any_time(tmp_path: Path) -> None:
    """kill -9, again and again: nothing is lost, nothing said twice."""
    rows = [{"id": f"{number:02}", "text": TEXTS[number % 6], "seed": number} for number in range(24)]
    texts = write_lines(tmp_path / "t.jsonl", rows)
    directory = tmp_path / "out"
    one = ["--threads", "1", "--slots", "1"]
    command = [sys.executable, "-m", "omniggml", "batch", str(texts), "-o", str(directory), *one]
    killed = 0
    for goal in (2, 7, 13):
        process = subprocess.Popen(command)
        while process.poll() is None:
            if directory.is_dir() and len(list(directory.glob("*.npy"))) >= goal:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                killed += 1
            time.sleep(0.002)
    assert killed == 3
    assert subprocess.run(command, check=False).returncode == 0
    assert sorted(entry["id"] for entry in manifest(directory)) == [row["id"] for row in rows]
    left = [path.name for path in directory.iterdir() if path.name.startswith(".")]
    assert left == []
    whole = tmp_path / "whole"
    assert batch(texts, whole, *one).returncode == 0
    for row in rows:
        for ending in (".flac", ".codes.npy"):
            name = f"{row['id']}{ending}"
            assert (directory / name).read_bytes() == (whole / name).read_bytes()


def test_texts_that_say_nothing_stop_nobody(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "The dog runs."},
        {"id": 2, "text": " "},
        {"id": 3, "text": "It is warm.", "speaker": "x"},
    ]
    texts = write_lines(tmp_path / "t.jsonl", rows)
    run = batch(texts, tmp_path / "out")
    assert run.returncode == 1 and "2 texts could not be spoken" in run.stderr
    entries = {entry["id"]: entry for entry in manifest(tmp_path / "out")}
    assert entries["1"]["file"] == "1.flac"
    assert "no text" in entries["2"]["error"] and 'speaker "x"' in entries["3"]["error"]
    again = batch(texts, tmp_path / "out")
    assert again.returncode == 1 and "0 texts" in again.stdout and "1 before" in again.stdout


def test_two_at_once_are_one_too_many(tmp_path: Path) -> None:
    from omniggml.batch.manifest import Manifest

    with Manifest(tmp_path / "out", {}), pytest.raises(InputError, match="by another batch"):
        Manifest(tmp_path / "out", {})


def test_a_limit_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXTS[0])
    run = batch(tmp_path / "t.txt", tmp_path / "out", "--max-frames", "3")
    assert run.returncode == 3 and "cut at a limit" in run.stderr
    assert manifest(tmp_path / "out")[0]["stop_reason"] == "frame_limit"


# --- files of texts ---------------------------------------------------------------------------------------------------


def test_kinds_of_files(tmp_path: Path) -> None:
    expected = [BatchText("a", "The dog, runs.", "ethan", 5), BatchText("b", 'He said "no".', None, None)]
    (tmp_path / "t.csv").write_text(
        'id,text,speaker,seed,note\na,"The dog, runs.",ethan,5,x\nb,"He said ""no"".",,,\n', encoding="utf-8-sig"
    )
    (tmp_path / "t.tsv").write_text('id\ttext\tspeaker\tseed\na\tThe dog, runs.\tethan\t5\nb\tHe said "no".\n')
    rows = [{"id": one.id, "text": one.text, "speaker": one.speaker, "seed": one.seed} for one in expected]
    write_lines(tmp_path / "t.jsonl", rows)
    names = ["t.csv", "t.jsonl"]
    if pyarrow := pytest.importorskip("pyarrow"):
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
        names.append("t.parquet")
    for name in names:
        assert read_texts(tmp_path / name) == expected, name
    (tmp_path / "t.txt").write_text("one\n\n two \n")
    assert read_texts(tmp_path / "t.txt") == [BatchText("1", "one"), BatchText("3", "two")]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.exe", b"x", "ending"),
        ("none.txt", None, "none.txt"),
        ("t.csv", b"id,words\n1,x\n", "row 1 has no text"),
        ("t.csv", b"id,text\n1,x\n1,y\n", "row 2: the id '1' was there before"),
        ("t.jsonl", b"[]\n", "line 1 is no JSON object"),
        ("t.jsonl", b'{"text": "x"}\n{"te', "line 2 is no JSON object"),
        ("t.jsonl", b"[" * 100_000, "line 1 is no JSON object"),
        ("t.jsonl", b'{"text": 3}\n', "expected str"),
        ("t.jsonl", b'{"text": "\\ud800"}\n', "Unicode"),
        ("t.jsonl", b'{"text": "x", "id": [1]}\n', "the id is [1]"),
        ("t.jsonl", b'{"text": "x", "id": ""}\n', "the id is ''"),
        ("t.jsonl", b'{"text": "x", "seed": -1}\n', "the seed is -1"),
        ("t.jsonl", b'{"text": "x", "seed": true}\n', "the seed is True"),
        ("t.jsonl", b'{"text": "x", "speaker": 1}\n', "the speaker is 1"),
        ("t.csv", b"id,text,seed\n1,x,one\n", "the seed is 'one'"),
        ("t.parquet", b"PAR1" + b"x" * 100, "Parquet"),
        ("t.txt", b"\xff\xfe\xff", "t.txt"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as raised:
        read_texts(tmp_path / name)
    assert said in str(raised.value)


def test_names_of_files_differ() -> None:
    stems = [file_stem(name) for name in [*STRANGE, "x" * 199, "x" * 201]]
    assert len(set(stems)) == len(stems)
    for stem in stems:
        assert "/" not in stem and not stem.startswith(".") and len(stem) < 150 and stem


# --- many machines ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ray_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """Two workers on a cluster of this machine, one of them killed in the middle: all texts are said once."""
    pytest.importorskip("ray")
    rows = [{"id": str(number), "text": TEXTS[number % 6], "seed": number} for number in range(60)]
    texts = write_lines(tmp_path / "t.jsonl", rows)
    command = [sys.executable, "-m", "omniggml", "batch", str(texts), "-o", str(tmp_path / "out"), "--threads", "1"]
    process = subprocess.Popen([*command, "--slots", "1", "--ray", "local", "--workers", "2"])
    try:
        manifest_file = tmp_path / "out" / "manifest.jsonl"
        while process.poll() is None and not (manifest_file.exists() and manifest_file.read_bytes().count(b"\n") > 1):
            time.sleep(0.05)
        workers = below(process.pid, b"RaySpeaker")
        assert process.poll() is None and workers, "it still speaks"
        os.kill(workers[0], signal.SIGKILL)
        assert process.wait(240) == 0
    finally:
        process.kill()
        process.wait()
    assert sorted(entry["id"] for entry in manifest(tmp_path / "out")) == sorted(row["id"] for row in rows)
    assert batch(texts, tmp_path / "alone", "--slots", "1").returncode == 0
    for row in rows:
        name = f"{row['id']}.flac"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
def test_a_directory_that_no_system_has_is_refused(name: str) -> None:
    from omniggml.batch.manifest import Manifest

    with pytest.raises(InputError, match="no path has"):
        Manifest(Path(name), {})
