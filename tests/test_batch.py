"""`omniggml batch`: every text is said once, whatever its id, and whenever the process is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from omniggml import InputError
from omniggml.batch.manifest import file_stem, file_stems
from omniggml.batch.running import run_batch
from omniggml.batch.speaking import SpokenText
from omniggml.batch.texts import BatchText, read_texts
from processes import below
from sentences import one_sentence

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
    assert run.returncode == 0 and "1 text" in run.stdout and "2 before" in run.stdout
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert sorted(entry["id"] for entry in manifest(tmp_path / "out")) == ["1", "2", "3"]
    assert {name: time for name, time in after.items() if name in before and name != "manifest.jsonl"} == {
        name: time for name, time in before.items() if name != "manifest.jsonl"
    }
    (tmp_path / "out" / "1.flac").unlink()
    assert "1 text" in batch(texts, tmp_path / "out").stdout and (tmp_path / "out" / "1.flac").exists()

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
    assert "no text" in entries["2"]["error"] and "no voice 'x'" in entries["3"]["error"]
    again = batch(texts, tmp_path / "out")
    assert again.returncode == 1 and "0 texts" in again.stdout and "1 before" in again.stdout


def test_what_is_left_out_is_in_its_line(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "t.jsonl", [{"text": "Hello \u4f60 world."}, {"text": "The dog runs."}])
    run = batch(texts, tmp_path / "out")
    assert run.returncode == 0 and "\u4f60" in run.stderr
    entries = {entry["id"]: entry for entry in manifest(tmp_path / "out")}
    assert len(entries["1"]["warnings"]) == 1 and "\u4f60" in entries["1"]["warnings"][0]
    assert "warnings" not in entries["2"]


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
        ("t.csv", b"id,words\n1,x\n", "no column text; it has 'id', 'words'"),
        ("t.tsv", b"id\twords\n1\tx\n", "no column text"),
        ("t.csv", b"id,text,text\n1,x,y\n", "the column text twice"),
        ("t.csv", b'id,text\n1,"never closed\n2,hi\n3,ok\n', "the row of line 2"),
        ("t.csv", b'id,text\n1,a\n2,"b\nc"\n3,"x\n4,"y"\n', "the row of line 5"),
        ("t.csv", b'id,text\n1,"Hello" she said\n', "the row of line 2"),
        ("t.jsonl", b"[]\n", "no JSON objects"),
        ("t.jsonl", b"[" * 100_000, "no JSON objects"),
        ("t.csv", b"", "no column text"),
        ("t.csv", b"id,text\n", "no texts"),
        ("t.tsv", b"id\ttext\n\n", "no texts"),
        ("t.txt", b"\n \n", "no texts"),
        ("t.jsonl", b"\n", "no texts"),
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


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("t.jsonl", b'{"te', "no JSON object"),
        ("t.jsonl", b"[1]", "no JSON object"),
        ("t.jsonl", b'{"text": null}', "it has no text"),
        ("t.jsonl", b'{"text": ""}', "it has no text"),
        ("t.jsonl", b'{"text": NaN}', "it has no text"),
        ("t.jsonl", b"{}", "it has no text"),
        ("t.jsonl", b'{"words": "x"}', "it has no text, only 'words'"),
        ("t.jsonl", b'{"text": 3}', "expected str"),
        ("t.jsonl", b'{"text": "\\ud800"}', "Unicode"),
        ("t.jsonl", b'{"text": "x\\u0000"}', "zero byte"),
        ("t.jsonl", b'{"text": "x", "id": [1]}', "the id is [1]"),
        ("t.jsonl", b'{"text": "x", "id": true}', "the id is True"),
        ("t.jsonl", b'{"text": "x", "id": 1.5}', "the id is 1.5"),
        ("t.jsonl", b'{"text": "x", "id": ""}', "the id is ''"),
        ("t.jsonl", b'{"text": "x", "id": "first"}', "the id 'first' was there before"),
        ("t.jsonl", b'{"text": "x", "seed": -1}', "the seed is -1"),
        ("t.jsonl", b'{"text": "x", "seed": true}', "the seed is True"),
        ("t.jsonl", b'{"text": "x", "seed": 1.5}', "the seed is 1.5"),
        ("t.jsonl", b'{"text": "x", "seed": Infinity}', "the seed is inf"),
        ("t.jsonl", b'{"text": "x", "speaker": 1}', "the speaker is 1"),
        ("t.csv", b"2,x,,one", "the seed is 'one'"),
        ("t.csv", b"2,,,", "it has no text"),
        ("t.csv", b"2", "it has no text"),
        ("t.csv", b"2,Hello, world,ethan,3", "5 fields"),
        ("t.tsv", b"2\tx\t\tone", "the seed is 'one'"),
        ("t.tsv", b"2\ta\tb\t3\tc", "5 fields"),
    ],
)
def test_a_row_that_is_wrong_stops_no_other(tmp_path: Path, name: str, row: bytes, said: str) -> None:
    head, around = {
        "t.jsonl": (b"", b'{"text": "x", "id": "%s"}'),
        "t.csv": (b"id,text,speaker,seed\n", b"%s,x,,"),
        "t.tsv": (b"id\ttext\tspeaker\tseed\n", b"%s\tx"),
    }[name]
    (tmp_path / name).write_bytes(head + around % b"first" + b"\n" + row + b"\n" + around % b"last" + b"\n")
    first, wrong, last = read_texts(tmp_path / name)
    assert (first, last) == (BatchText("first", "x"), BatchText("last", "x"))
    assert wrong.error.startswith("row 2: ") and said in wrong.error and wrong.text == ""


def test_quotes_in_lines_apart_by_tabs(tmp_path: Path) -> None:
    """A quote is a letter, wherever it is; around a whole field it is how spreadsheets write one."""
    (tmp_path / "t.tsv").write_text('id\ttext\n1\t"quoted\n2\ttab ok\r\n3\t"so ""it"" is"\n4\ta "b" c\n5\tend"\n')
    texts = [(one.id, one.text, one.error) for one in read_texts(tmp_path / "t.tsv")]
    said = ['"quoted', "tab ok", 'so "it" is', 'a "b" c', 'end"']
    assert texts == [(str(number), text, "") for number, text in enumerate(said, 1)]


def test_lines_end_where_other_programs_end_them(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("one\u2028still\vone\r\ntwo\rthree\x85".encode())
    assert [one.text for one in read_texts(tmp_path / "t.txt")] == ["one\u2028still\vone", "two", "three"]


def test_missing_values_as_pandas_has_them(tmp_path: Path) -> None:
    """A column of integers with a hole in it is one of floats."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    nan = float("nan")
    table = {"id": [1.0, 2.0, nan], "text": ["a", "b", "c"], "seed": [7.0, nan, 0.0], "speaker": ["ethan", None, None]}
    parquet.write_table(pyarrow.table(table), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("id,text,seed,speaker\n1,a,7.0,ethan\n2,b,,\n,c,0.0,\n")
    expected = [BatchText("1", "a", "ethan", 7), BatchText("2", "b"), BatchText("3", "c", None, 0)]
    assert read_texts(tmp_path / "t.parquet") == read_texts(tmp_path / "t.csv") == expected


def test_rows_without_text_are_told_and_can_be_mended(tmp_path: Path) -> None:
    texts = tmp_path / "t.csv"
    texts.write_text("id,text,speaker\n1,The dog runs.,alloy\n2,,\nB,It is warm.,\nb,A bird sings.,\n")
    run = batch(texts, tmp_path / "out")
    assert run.returncode == 1 and "3 texts" in run.stdout and "1 text could not be spoken" in run.stderr
    entries = {entry["id"]: entry for entry in manifest(tmp_path / "out")}
    assert "row 2: it has no text" in entries["2"]["error"]
    assert entries["B"]["file"].casefold() != entries["b"]["file"].casefold()
    alone = omniggml.load(n_threads=1).speak("The dog runs.", speaker="chelsie")
    assert np.array_equal(np.load(tmp_path / "out" / entries["1"]["codes"]), alone.codes)
    texts.write_text(texts.read_text().replace("2,,", "2,Two cats sleep.,"))
    mended = batch(texts, tmp_path / "out")
    assert mended.returncode == 0 and "1 text" in mended.stdout and "3 before" in mended.stdout


def test_files_are_told_apart_where_letters_have_no_size() -> None:
    names = ["B", "b", "a", "a ", "x" * 200, "X" * 200, "\u00e9", "\u00c9", "alone"]
    stems = file_stems(names)
    assert len({stem.casefold() for stem in stems.values()}) == len(names) and stems["alone"] == "alone"


def test_names_of_files_differ() -> None:
    stems = [file_stem(name) for name in [*STRANGE, "x" * 199, "x" * 201]]
    assert len(set(stems)) == len(stems)
    for stem in stems:
        assert "/" not in stem and not stem.startswith(".") and len(stem) < 150 and stem


def test_made_up_ids_are_nobody_elses(tmp_path: Path) -> None:
    """Whether a row that has one comes before or behind one that hasn't, and whatever it is."""
    (tmp_path / "t.csv").write_text("id,text\nrow 4,hello\n3,a\n,the cat\n,b\n4,the dog\n")
    texts = read_texts(tmp_path / "t.csv")
    assert [(one.text, one.error) for one in texts] == [(w, "") for w in ("hello", "a", "the cat", "b", "the dog")]
    assert [one.id for one in texts] == ["row 4", "3", "row 3", "row 4'", "4"]
    (tmp_path / "t.csv").write_text("id,text\n1,hello\n,\n2,the cat\n3,the dog\n")
    assert [one.id for one in read_texts(tmp_path / "t.csv") if not one.error] == ["1", "2", "3"]
    (tmp_path / "t.jsonl").write_text('{"id": [], "text": "x"}\n{"id": "row 1", "text": "y"}\n')
    assert [(one.id, one.text) for one in read_texts(tmp_path / "t.jsonl")] == [("row 1'", ""), ("row 1", "y")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", "id;text\n1;a, b\n2;c\n"),
        ("t.csv", "sep=;\r\nid;text\r\n1;a, b\r\n2;c\r\n"),
        ("t.csv", 'ID,Text\n1,"a, b"\n2,c\n'),
        ("t.csv", '"id"\t"text"\n1\ta, b\n2\tc\n'),
        ("t.csv", 'id,text\n1.0,"a, b"\n2.0,c\n'),
        ("t.tsv", "Id\tTEXT\n1\ta, b\n2\tc\n"),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, name: str, data: str) -> None:
    (tmp_path / name).write_text(data)
    assert read_texts(tmp_path / name) == [BatchText("1", "a, b"), BatchText("2", "c")]


def test_ids_that_are_no_numbers_stay(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text\n1.0,a\n1.10,b\n")
    assert [one.id for one in read_texts(tmp_path / "t.csv")] == ["1.0", "1.10"]


def test_the_manifest_has_a_line_a_text(tmp_path: Path) -> None:
    """However often they were tried."""
    texts = tmp_path / "t.jsonl"
    texts.write_text('{"id": "a", "text": "..."}\n{"id": [], "text": "b"}\n{"id": "c", "text": "It is warm."}\n')
    for _ in range(2):
        assert batch(texts, tmp_path / "out").returncode == 1
        assert sorted(entry["id"] for entry in manifest(tmp_path / "out")) == ["a", "c", "row 2"]
    write_lines(texts, [{"id": name, "text": "It is warm."} for name in "abc"])
    assert batch(texts, tmp_path / "out").returncode == 0
    entries = manifest(tmp_path / "out")
    assert sorted(entry["id"] for entry in entries) == ["a", "b", "c"] and not any("error" in one for one in entries)


@pytest.mark.parametrize("wrong", [("--speaker", "bob"), ("--temperature", "-1")])
def test_what_spoke_nothing_has_begun_nothing(tmp_path: Path, wrong: tuple[str, str]) -> None:
    (tmp_path / "t.txt").write_text(TEXTS[0])
    refused = batch(tmp_path / "t.txt", tmp_path / "out", *wrong)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert batch(tmp_path / "t.txt", tmp_path / "out").returncode == 0
    assert [entry["id"] for entry in manifest(tmp_path / "out")] == ["1"]


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


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A table of two texts, and a directory for what is made of them in which links may lie."""
    (tmp_path / "out").mkdir()
    texts = write_lines(tmp_path / "t.jsonl", [{"id": "a", "text": TEXTS[0]}, {"id": "b", "text": TEXTS[1]}])
    return texts, tmp_path / "out"


@pytest.mark.skipif(sys.platform == "win32", reason="links")
@pytest.mark.parametrize("name", ["b.flac", "b.codes.npy", "manifest.jsonl"])
@pytest.mark.parametrize("what", ["t.jsonl", "m-speech.gguf", "m-thinker.gguf"])
@pytest.mark.parametrize("hard", [False, True])
def test_what_is_read_is_not_written(
    tiny_files: Files, linked: tuple[Path, Path], name: str, what: str, hard: bool
) -> None:
    """By no link that lies where a file of a text would be: nothing is spoken before that is known."""
    texts, directory = linked
    shutil.copy(tiny_files.speech, texts.with_name("m-speech.gguf"))
    shutil.copy(tiny_files.thinker, texts.with_name("m-thinker.gguf"))
    read = texts.with_name(what)
    before = read.read_bytes()
    link = directory / name
    link.hardlink_to(read) if hard else link.symlink_to(read)
    run = batch(texts, directory, "-m", str(texts.with_name("m-speech.gguf")), "--max-frames", "2")
    assert run.returncode == 1
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), name, "is read from")
    assert read.read_bytes() == before
    assert {path.name for path in directory.iterdir()} <= {name, "manifest.jsonl"}


@pytest.mark.skipif(sys.platform == "win32", reason="links")
@pytest.mark.parametrize("to", ["a.flac", "b.codes.npy", "manifest.jsonl"])
@pytest.mark.parametrize("link", ["b.flac", "a.codes.npy"])
def test_no_file_is_two(linked: tuple[Path, Path], link: str, to: str) -> None:
    texts, directory = linked
    (directory / link).symlink_to(to)
    run = batch(texts, directory)
    assert run.returncode == 1
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), link, "leads to the")
    assert {path.name for path in directory.iterdir()} == {link, "manifest.jsonl"}


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_what_was_said_before_stays(linked: tuple[Path, Path]) -> None:
    texts, directory = linked
    assert batch(write_lines(texts, [{"id": "a", "text": TEXTS[0]}]), directory).returncode == 0
    before = (directory / "a.flac").read_bytes()
    (directory / "b.flac").symlink_to("a.flac")
    run = batch(write_lines(texts, [{"id": "b", "text": TEXTS[1]}]), directory)
    assert run.returncode == 1
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), "b.flac", "leads to the audio of 'a'")
    assert (directory / "a.flac").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_link_that_is_laid_meanwhile_stops_one_text(linked: tuple[Path, Path]) -> None:
    texts, directory = linked
    before = texts.read_bytes()

    def speak(left: Sequence[BatchText]) -> Iterator[SpokenText]:
        for text in left:
            if text.id == "a":
                (directory / "a.flac").symlink_to(texts)
            yield SpokenText(text, omniggml.Audio(np.zeros(100, np.float32), 24000))

    counts = run_batch(read_texts(texts), directory, speak, {}, inputs=lambda: [texts])
    assert (counts.said, counts.failed) == (1, 1)
    first, second = manifest(directory)
    one_sentence(first["error"], "a.flac", "is read from")
    assert second["file"] == "b.flac" and texts.read_bytes() == before


@pytest.mark.parametrize("data", [b"mine\nhalf a line", b"half a line", b'{"other": 1}\nhalf'])
def test_a_file_that_is_no_manifest_stays(linked: tuple[Path, Path], data: bytes) -> None:
    texts, directory = linked
    (directory / "manifest.jsonl").write_bytes(data)
    run = batch(texts, directory)
    assert run.returncode == 1
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), "is no manifest of a batch")
    assert (directory / "manifest.jsonl").read_bytes() == data


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_pipe_is_no_manifest(linked: tuple[Path, Path]) -> None:
    texts, directory = linked
    os.mkfifo(directory / "manifest.jsonl")
    run = batch(texts, directory)
    assert run.returncode == 1
    one_sentence(run.stderr.removeprefix("omniggml: ").strip(), "is a pipe")
