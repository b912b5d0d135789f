"""Arrays in files of other programs: what decodes, and a sentence for what doesn't."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from conftest import Files
from omniggml.array_file import read_array_file
from omniggml.arrays import codes_by_group, read_codes
from omniggml.errors import InputError
from sentences import one_sentence

CODES = np.arange(20, dtype=np.int64).reshape(4, 5)


def save(path: Path, codes: np.ndarray = CODES) -> Path:  # type: ignore[type-arg]
    if path.suffix == ".npy":
        np.save(path, codes)
    elif path.suffix == ".npz":
        np.savez_compressed(path, codes=codes)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file({"codes": codes}, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save(torch.from_numpy(codes), path)
    return path


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors", "pt"])
def test_every_kind(tmp_path: Path, ending: str) -> None:
    np.testing.assert_array_equal(read_codes(save(tmp_path / f"x.{ending}")), CODES)


def test_column_order(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(CODES))
    np.testing.assert_array_equal(read_codes(tmp_path / "x.npy"), CODES)


@pytest.mark.reference
def test_what_torch_saves(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {
        "a": torch.arange(6).reshape(2, 3).t(),
        "b": [torch.randn(3).bfloat16(), torch.nn.Parameter(torch.randn(2))],
        "c": torch.randn(10)[3:7].double(),
        "d": torch.zeros(0, 4),
        "e": torch.tensor([True, False]),
    }
    torch.save(tensors, tmp_path / "x.pt")
    found = read_array_file(tmp_path / "x.pt")
    expected = {
        "a": tensors["a"],
        "b.0": tensors["b"][0].float(),
        "b.1": tensors["b"][1].detach(),
        **{n: tensors[n] for n in "cde"},
    }
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name].numpy())


def test_no_pickle_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> object:
            return os.system, ("touch " + str(tmp_path / "ran"),)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/data.pkl", pickle.dumps(Evil()))
    (tmp_path / "x.pt").write_bytes(archive.getvalue())
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "z.npy").write_bytes(b"")
    np.save(tmp_path / "z.npy", np.array([Evil()], object), allow_pickle=True)
    for name, part in (("x.pt", "system"), ("y.pt", "a Python pickle"), ("z.npy", "never loaded")):
        with pytest.raises(InputError) as refused:
            read_array_file(tmp_path / name)
        one_sentence(str(refused.value), name, part)
    assert not (tmp_path / "ran").exists()


def test_bombs_are_counted_before_they_expand(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros((300 << 20) // 8))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
        + b"\n"
    )
    (tmp_path / "claim.npy").write_bytes(header + bytes(80))
    for name, part in (("bomb.npz", "would become"), ("claim.npy", "shape")):
        with pytest.raises(InputError) as refused:
            read_array_file(tmp_path / name)
        one_sentence(str(refused.value), name, part)


def test_it_says_what_it_saw(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(10), 24000)
    (tmp_path / "x.npy").write_bytes(b"GGUF" + bytes(30))
    (tmp_path / "x.txt").write_text("1 2 3")
    np.savez(tmp_path / "two.npz", a=CODES, b=CODES)
    for name, part in (("x.wav", "WAV audio"), ("x.npy", "GGUF"), ("x.txt", "text"), ("two.npz", "2 arrays")):
        with pytest.raises(InputError) as refused:
            read_codes(tmp_path / name)
        one_sentence(str(refused.value), name, part)
        assert "pickle" not in str(refused.value)


def _npy(shape: str, data: bytes, version: int = 1, padding: int = 0) -> bytes:
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}{' ' * padding}\n".encode()
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (_npy("(8, -1)", bytes(32)), "shape is [8, -1]"),
        (_npy("(True, 8)", bytes(32)), "shape is [True, 8]"),
        (_npy("(8, 1)", bytes(33)), "goes on behind its array"),
        (_npy("(8, 1)", bytes(32), 2, 70_000), "header"),
        (b"PK\x05\x06" + bytes(18), "nothing in it"),
    ],
    ids=["negative", "bool", "more", "long header", "empty archive"],
)
def test_what_is_wrong_is_said_in_our_words(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_array_file(tmp_path / "x.npy")
    one_sentence(str(refused.value), "x.npy", part)
    assert "pickle" not in str(refused.value)


def test_safetensors_by_another_name(tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors").rename(tmp_path / "x.npy")
    np.testing.assert_array_equal(read_codes(tmp_path / "x.npy"), CODES)


@pytest.mark.skipif(sys.platform != "linux", reason="a log of Linux")
def test_a_stream_that_calls_itself_a_file(tmp_path: Path) -> None:
    """The kernel's log is a regular file of no size, whose reader waits for the next line."""
    log = Path("/proc/kmsg")
    try:
        log.open("rb", buffering=0).close()
    except OSError:
        pytest.skip("only root may open it")
    command = [sys.executable, "-m", "omniggml"]
    for arguments in (["decode", str(log), "-o", "x.wav"], ["chat", "--audio", str(log), "-o", "x.wav"]):
        run = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
        )
        assert run.returncode == 1, run
        one_sentence(run.stderr.removeprefix("omniggml: ").strip(), str(log), "not a regular file")
    run = subprocess.run([*command, "inspect", str(log)], capture_output=True, text=True, check=False, timeout=60)
    assert "can't be loaded" in run.stdout and "Traceback" not in run.stderr


def test_damaged_ones(tmp_path: Path) -> None:
    """Every kind, cut and changed at random."""
    rng = np.random.default_rng(3)
    for ending in ("npy", "npz", "safetensors", "pt"):
        content = save(tmp_path / f"x.{ending}").read_bytes()
        for _ in range(150):
            damaged = bytearray(content[: rng.integers(1, len(content) + 1)])
            for position in rng.integers(0, len(damaged), 3):
                damaged[position] = rng.integers(0, 256)
            path = tmp_path / f"damaged.{ending}"
            path.write_bytes(damaged)
            try:
                read_array_file(path)
            except InputError as error:
                one_sentence(str(error), "damaged")


def test_axes() -> None:
    for codes, note in ((CODES, ""), (CODES[np.newaxis], ""), (CODES.T, "[5, 4]")):
        found, said = codes_by_group(codes, 4)
        np.testing.assert_array_equal(found, CODES)
        assert (note in said) and bool(note) == bool(said)
    square = np.arange(16).reshape(4, 4)
    assert codes_by_group(square, 4)[0] is square


def test_decode_takes_what_people_have(tiny_files: Files, tmp_path: Path) -> None:
    outcomes = []
    for name, codes in (
        ("a.npy", CODES),
        ("b.npz", CODES[np.newaxis]),
        ("c.safetensors", np.ascontiguousarray(CODES.T)),
    ):
        path = save(tmp_path / name, codes)
        command = [
            sys.executable,
            "-m",
            "omniggml",
            "decode",
            path,
            "-o",
            tmp_path / f"{name}.wav",
            "-m",
            tiny_files.speech,
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert ("read as [frames, groups]" in done.stderr) == name.startswith("c")
        outcomes.append((tmp_path / f"{name}.wav").read_bytes())
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_timeout_of_the_programs_own(tmp_path: Path) -> None:
    """What a signal's handler raises isn't the file's, even where the file is large and its reading long."""
    path = save(tmp_path / "x.npz", np.random.default_rng(0).integers(0, 2**60, (4, 500_000)))

    def late(*_: object) -> None:
        raise TimeoutError("mine")

    before = signal.signal(signal.SIGALRM, late)
    try:
        for step in range(10):
            signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.004 * step)
            try:
                for _ in range(100):
                    read_array_file(path)
            except TimeoutError as error:
                assert str(error) == "mine"
            else:
                raise AssertionError("no timeout")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _pickled(steps: bytes, *, more: dict[str, bytes] | None = None) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in {"x/data.pkl": steps, **(more or {})}.items():
            file.writestr(name, content)
    return archive.getvalue()


# torch.save of a tensor of two floats by hand: {"a": it}, and "a" again.
_TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85tR"
)
_NAMED_A = b"X\x01\x00\x00\x00a" + _TENSOR + b"s"
_NESTED = b"X\x01\x00\x00\x00a}X\x01\x00\x00\x00b" + _TENSOR + b"ss"
_VALUES = {"x/data/0": bytes(8)}


def refused(path: Path, content: bytes, *parts: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_array_file(path)
    one_sentence(str(error.value), path.name, *parts)


@pytest.mark.parametrize(
    "steps",
    [
        b"\x80\x02Nr\x00\x00\x00\x08.",  # LONG_BINPUT: a memo of 128 million places
        b"\x80\x02Np134217728\n.",  # PUT, the same in digits
        b"\x80\x05\x96" + (1 << 31).to_bytes(8, "little") + b".",  # BYTEARRAY8
        b"\x80\x05\x96" + (1 << 62).to_bytes(8, "little") + b".",
        b"\x80\x05\x8e" + (1 << 31).to_bytes(8, "little") + b".",  # BINBYTES8
        b"\x80\x05\x8d" + (1 << 31).to_bytes(8, "little") + b".",  # BINUNICODE8
        b"\x80\x02\x8b\xff\xff\xff\x7f.",  # LONG4
        b"\x80\x02" + b"]" * 12_000_000 + b".",  # objects that compress to nothing
    ],
    ids=["memo", "memo in digits", "bytearray", "huge bytearray", "bytes", "text", "number", "many"],
)
def test_a_pickle_takes_no_more_than_it_has(tmp_path: Path, steps: bytes) -> None:
    """In a process of its own, whose memory is bounded, and which says nothing but the sentence."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", steps)
    code = (
        "import sys, resource; from omniggml.array_file import read_array_file; from omniggml import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_array_file(sys.argv[1])\n"
        "except InputError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    said, grown = run.stdout.splitlines()
    one_sentence(said, "x.pt")
    assert run.stderr == "" and resource
    if sys.platform == "linux":  # whose figures are in KiB
        assert int(grown) < 300 << 10


def test_values_that_are_named_again_and_again(tmp_path: Path) -> None:
    """Each of 3,000 tensors shares a storage of 1 MB: as copies they would take 3 GB."""
    one = _TENSOR.replace(b"K\x02tQK\x00K\x02\x85", b"J\x00\x00\x04\x00tQK\x00J\x00\x00\x04\x00\x85")
    steps = b"\x80\x02}" + b"".join(b"X\x04\x00\x00\x00%04d" % n + one + b"s" for n in range(3000)) + b"."
    refused(tmp_path / "x.pt", _pickled(steps, more={"x/data/0": bytes(1 << 20)}), "would become more than")
    few = b"\x80\x02}" + b"".join(b"X\x04\x00\x00\x00%04d" % n + one + b"s" for n in range(30)) + b"."
    (tmp_path / "y.pt").write_bytes(_pickled(few, more={"x/data/0": bytes(1 << 20)}))
    assert len(read_array_file(tmp_path / "y.pt")) == 30


@pytest.mark.parametrize(
    ("steps", "more", "part"),
    [
        (_NAMED_A + _NAMED_A, _VALUES, "no name leads to"),
        (_NAMED_A + b"X\x01\x00\x00\x00b" + _TENSOR + b"0K\x01" + b"s", _VALUES, "expected tensors"),
        (_NAMED_A, _VALUES | {"x/data/1": bytes(8)}, "'x/data/1' in it is no tensor's"),
        (_NAMED_A, _VALUES | {"more": b""}, "'more' in it is no tensor's"),
        (_NAMED_A, {"x/data/0": bytes(12)}, "3 of 2 values"),
        (_NAMED_A, _VALUES | {"x/byteorder": b"big"}, "another byte order"),
        (_NAMED_A.replace(b"\x01\x00\x00\x00a", b"\x03\x00\x00\x00a.b") + _NESTED, _VALUES, "'a.b' is in it twice"),
    ],
    ids=["twice", "dropped", "values of none", "foreign member", "more values", "byte order", "twice by path"],
)  # fmt: skip
def test_what_a_torch_file_holds_is_all_read(tmp_path: Path, steps: bytes, more: dict[str, bytes], part: str) -> None:
    (tmp_path / "ok.pt").write_bytes(_pickled(b"\x80\x02}" + _NAMED_A + b".", more=_VALUES | {"x/version": b"3\n"}))
    assert read_array_file(tmp_path / "ok.pt").keys() == {"a"}
    refused(tmp_path / "x.pt", _pickled(b"\x80\x02}" + steps + b".", more=more), part)


def test_a_pickle_changes_nothing_of_its_reader(tmp_path: Path) -> None:
    """BUILD sets attributes of whatever stands before it, functions too."""
    steps = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x07\x00\x00\x00__doc__X\x01\x00\x00\x00xs\x86b."
    refused(tmp_path / "x.pt", _pickled(steps), "changes what it is read by")


@pytest.mark.reference
def test_a_module_s_state(tmp_path: Path) -> None:
    """Its dictionary has attributes; and two names of one tensor are two names."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2)
    torch.save(layer.state_dict(), tmp_path / "x.pt")
    found = read_array_file(tmp_path / "x.pt")
    np.testing.assert_array_equal(found["weight"], layer.weight.detach().numpy())
    assert found.keys() == {"weight", "bias"}
    torch.save({"a": layer.bias, "b": layer.bias}, tmp_path / "y.pt")
    assert read_array_file(tmp_path / "y.pt").keys() == {"a", "b"}


def test_names_that_are_there_twice(tmp_path: Path) -> None:
    """Readers keep the last, or the first."""
    npy = _npy("(8, 1)", bytes(32))
    archive = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", npy)
        file.writestr("a.npy", npy)
    refused(tmp_path / "x.npz", archive.getvalue(), "'a.npy' is in it twice")
    entry = b'"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    for entries, part in (
        (entry + b"," + entry, "'a' stands in it twice"),
        (entry[:-1] + b',"dtype":"I8"}', "dtype"),
        (entry[:-1] + b',"more":1}', "the key 'more'"),
    ):
        refused(
            tmp_path / "x.safetensors",
            (len(entries) + 2).to_bytes(8, "little") + b"{" + entries + b"}" + bytes(4),
            part,
        )


def test_bytes_of_an_archive_that_are_no_member_s(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", a=CODES, b=CODES)
    whole = (tmp_path / "whole.npz").read_bytes()
    second = whole.index(b"PK\x03\x04", 4)
    directory = whole.index(b"PK\x01\x02")
    behind = "goes on behind its last member"
    refused(tmp_path / "x.npz", whole + bytes(2), behind)
    refused(tmp_path / "x.npz", whole[:-2] + b"\x02\x00hi", behind)
    refused(tmp_path / "x.npz", whole + whole, "belong to none")
    for at in (second, directory):
        refused(tmp_path / "x.npz", whole[:at] + bytes(40) + whole[at:], "x.npz")
    hidden = bytearray(whole)
    hidden[directory : directory + 46 + 5] = b""  # the directory forgets the first member
    hidden[-14:-10] = bytes([1, 0, 1, 0])
    hidden[-10:-6] = (len(hidden) - directory - 22).to_bytes(4, "little")
    refused(tmp_path / "x.npz", bytes(hidden), "bytes before 'b.npy' belong to none of its members")
