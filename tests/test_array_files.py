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
