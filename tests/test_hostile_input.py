"""Instances of what was once taken in silence, waited for, or answered by a traceback; each with its sentence."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import write_code2wav
from gguf_edit import GgufEdit
from omniggml import _native
from omniggml.cli import main
from omniggml.cli.exit_codes import CUT
from omniggml.conversion.hub import _snapshot
from omniggml.errors import ConversionError, InputError, ModelFileError, OmniError
from omniggml.gguf.header import read_header
from omniggml.hub_file import HubName, _fetched
from omniggml.printable import LONGEST_SHOWN, printable
from omniggml.quantization.imatrix import read_imatrix
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.text.spans import _segments
from omniggml.text.transliteration import _transliterated
from sentences import one_sentence

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture(scope="module")
def model(tiny_files: Files) -> omniggml.Model:
    return omniggml.load(tiny_files.speech, thinker=tiny_files.thinker, n_threads=1)


# --- messages ---------------------------------------------------------------------------------------------------------


def test_messages_are_one_printable_line() -> None:
    for text in ("a\nb\x1b[31m", "\u202eabc", "\ud800", "x" * 10**6, "\x00" * 10_000):
        shown = str(OmniError(f"{text} is wrong"))
        assert shown.isprintable() and len(shown) <= LONGEST_SHOWN, shown
    assert printable("Zürich, 東京 😀") == "Zürich, 東京 😀"


def test_names_out_of_files_are_shown_with_escapes(
    tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.tensors[3].name = "evil\n\x1b[2Jname"
    path = edit.write(tmp_path / "x.gguf")
    for arguments in (["inspect", path], ["speak", "hi", "-m", path, "-o", tmp_path / "x.wav"]):
        main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err and err.count("\n") <= 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_of_files_are_printed_with_escapes(
    tiny_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command prints of what it made, on standard output as well: a name can't write a line of its own."""
    place = tmp_path / "a\nb\x1b[31m"
    place.mkdir()
    monkeypatch.chdir(place)
    speech = shutil.copy(tiny_files.speech, place / "m\r\x1b[2J-speech.gguf")
    (place / "t\x1b[1m.txt").write_text("hello\n")
    checkpoint = write_random_checkpoint("tiny", place / "c\x1b]0;x")
    np.save(place / "c\x1b.npy", np.ones((4, 3), np.int32))
    short = ["-m", speech, "--threads", 1]
    for arguments, printed in (
        (["speak", "hi", "-o", place / "x\n.wav", "--max-frames", 2, *short], 1),
        (["decode", "c\x1b.npy", "-o", place / "y\n.wav", *short], 1),
        (["plot", "c\x1b.npy", "-o", place / "p\n.png"], 1),
        (["batch", "t\x1b[1m.txt", "-o", place / "b\n", "--max-frames", 2, *short], 1),
        (["imatrix", "-o", place / "i\n.gguf", "--frames", 2, *short], 1),
        (["quantize", speech, place / "q\n.gguf"], 4),
        (["convert", checkpoint, "-o", place / "o\n", "--name", "n"], 2),
        (["inspect", speech], 0),
        (["doctor", speech, "--quiet"], 0),
        (["compare", speech, speech], 0),
        (["bench", "-m", speech, "--frames", 2, "--repetitions", 1, "--threads", 1], 0),
        (["-v", "voices", *short], 0),
    ):
        main(list(map(str, arguments)))
        out, err = capfd.readouterr()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out + err), (arguments, out, err)
        assert not printed or out.count("\n") == printed, (arguments, out, err)


def test_commands_print_in_one_way() -> None:
    """On standard output: by the functions that escape, or as JSON, which does."""
    for path in (Path(omniggml.__file__).parent / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name == "saying.py" or not isinstance(node, ast.Call) or ast.unparse(node.func) != "print":
                continue
            to = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "file"]
            printed = node.args[0] if node.args else None
            made = ast.unparse(printed.func) if isinstance(printed, ast.Call) else ""
            assert to == ["sys.stderr"] or made in ("json.dumps", "strict_json"), (path.name, node.lineno)


# --- exceptions that aren't the file's --------------------------------------------------------------------------------


class _TooLateError(Exception):
    pass


def test_a_timeout_while_a_tokenizer_is_made(tiny_files: Files) -> None:
    """None of many tries becomes the file's fault."""
    metadata = read_header(tiny_files.speech).metadata

    def late(*_: object) -> None:
        raise _TooLateError

    before = signal.signal(signal.SIGALRM, late)
    try:
        for step in range(40):
            with pytest.raises(_TooLateError):
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0007 * step)
                while True:
                    names = ("tokens", "token_type", "merges")
                    _native.TextTokenizer(*(metadata[f"tokenizer.ggml.{name}"] for name in names), "qwen2")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(_TooLateError(), _TooLateError), (TimeoutError(), TimeoutError), (OSError("no net"), ConversionError)],
)
def test_a_download_and_what_interrupts_it(raised: Exception, seen: type[Exception]) -> None:
    class Hub:
        def snapshot_download(self, *_: object, **__: object) -> str:
            raise raised

    with pytest.raises(seen):
        _snapshot(Hub(), "a/b", [])


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(_TooLateError(), _TooLateError), (TimeoutError(), TimeoutError), (OSError("no net"), ModelFileError)],
)
def test_a_download_of_a_gguf_and_what_interrupts_it(raised: Exception, seen: type[Exception]) -> None:
    class Hub:
        def snapshot_download(self, *_: object, **__: object) -> str:
            raise raised

        class HfApi:
            def model_info(self, *_: object, **__: object) -> None:
                raise raised

    with pytest.raises(seen):
        _fetched(Hub(), HubName("a/b", None, ""))


@pytest.mark.parametrize(("raised", "passes"), [(_TooLateError(), True), (TimeoutError(), True), (IndexError(), False)])
def test_a_library_that_stumbles_and_what_interrupts_it(
    raised: Exception, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyascii
    import sentencex

    def stumble(*_: object) -> None:
        raise raised

    monkeypatch.setattr(sentencex, "segment", stumble)
    monkeypatch.setattr(anyascii, "anyascii", stumble)
    for call in (lambda: _segments("One. Two."), lambda: _transliterated("д")):
        with pytest.raises(type(raised)) if passes else contextlib.nullcontext():
            call()


# --- lengths ----------------------------------------------------------------------------------------------------------


def test_texts_longer_than_the_context_are_refused_early(model: omniggml.Model) -> None:
    for text, part in (("word " * 5000, "tokens"), ("a " * 40_000, "in its first"), ("b" * (2 << 20), "bytes")):
        with pytest.raises(InputError) as refused:
            model.speak(text, max_frames=1, split="never")
        one_sentence(str(refused.value), part, "context", 'split="auto"')


def test_a_speech_that_fills_the_context_says_so(tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.set("qwen3omni-speech.talker.max_position_embeddings", 40)
    small = omniggml.load(edit.write(tmp_path / "x.gguf"), n_threads=1)
    assert small.speak("hi", ignore_eos=True).stop_reason == "context_full"
    assert small.speak("hi", ignore_eos=True, max_frames=2).stop_reason == "frame_limit"


# --- silent acceptance ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "type_"),
    [
        ("rope_theta", float("nan"), V.FLOAT32),
        ("rms_eps", -1.0, V.FLOAT32),
        ("sliding_window", 0, V.UINT32),
        ("codebook_size", 2**32 - 1, V.UINT32),
        ("rope_theta", "x", V.STRING),
        ("head_count", 1e308, V.FLOAT64),
    ],
)
def test_foreign_keys_that_can_not_be(tiny_files: Files, tmp_path: Path, key: str, value: Any, type_: V) -> None:
    path = write_code2wav(tmp_path / "c.gguf", tiny_files.speech)
    edit = GgufEdit.read(path)
    architecture = edit.entry("general.architecture").value
    name = architecture if isinstance(architecture, str) else architecture.decode()
    edit.remove(f"{name}.{key}") if any(k == f"{name}.{key}" for k, _ in edit.metadata) else None
    edit.append(f"{name}.{key}", value, type_).write(path)
    with pytest.raises(ModelFileError) as refused:
        omniggml.load(tiny_files.speech, code2wav=path)
    one_sentence(str(refused.value), key)


def test_bytes_that_belong_to_nobody(tiny_files: Files, tmp_path: Path) -> None:
    content = tiny_files.speech.read_bytes()
    for name, extra in (("trailing", 2 << 20), ("little", 64)):
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content + bytes(extra))
        with pytest.raises(ModelFileError) as refused:
            omniggml.load(path)
        one_sentence(str(refused.value), path.name, "belong to no tensor")
        assert "belong to no tensor" in omniggml.inspect(path).problem
    (tmp_path / "padded.gguf").write_bytes(content + bytes(3))
    omniggml.load(tmp_path / "padded.gguf")


def test_no_type_of_half_the_bytes_loads(tiny_files: Files, tmp_path: Path) -> None:
    tensors = list(read_header(tiny_files.speech).tensors.values())
    large = [number for number, tensor in enumerate(tensors) if tensor.nbytes >= 128]
    for number in large[::7]:
        edit = GgufEdit.read(tiny_files.speech)
        edit.tensors[number].type = 1  # F16 for F32
        with pytest.raises(ModelFileError):
            omniggml.load(edit.write(tmp_path / "x.gguf"))


def test_replacements_are_numbers(model: omniggml.Model) -> None:
    with pytest.raises(InputError, match="NaN"), model.probe(replace={"code2wav": np.full((1, 1, 10), np.nan)}):
        pass


def test_convert_writes_nothing_that_load_refuses(tmp_path: Path) -> None:
    directory = write_random_checkpoint("tiny", tmp_path / "ckpt")
    merges = directory / "merges.txt"
    merges.write_text(merges.read_text() + "zz zz\n")
    with pytest.raises(ConversionError) as refused:
        omniggml.convert(directory, tmp_path / "out")
    one_sentence(str(refused.value), "ckpt")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


# --- files that are none ----------------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("name", ["config.json", "merges.txt", "vocab.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_checkpoints_of_pipes_and_devices(tmp_path: Path, name: str, kind: str) -> None:
    directory = write_random_checkpoint("tiny", tmp_path / "ckpt")
    path = directory / name
    if not path.exists():
        pytest.skip(f"no {name} here")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OmniError) as refused:
        omniggml.convert(directory, tmp_path / "out")
    one_sentence(str(refused.value), name)


def test_overrides_have_bounds(tiny_files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("talker.num_hidden_layers=1000000000", "talker.rope_theta=1e20", "talker.rope_theta=nan")
    more = ("code2wav.codebook_size=99999999999999999999", "talker.head_dim=-1", "talker.speakers=[1]")
    for setting in (*settings, *more):
        assert main(["speak", "hi", "-o", "x.wav", "-m", str(tiny_files.speech), "--override", setting]) == 1
        one_sentence(capsys.readouterr().err.strip(), setting.split("=")[0])
        assert main(["doctor", str(tiny_files.speech), "--override", setting, "--quiet"]) == 65
        one_sentence(capsys.readouterr().err.strip(), setting.split("=")[0])


@pytest.mark.parametrize(
    "text", ["rules = " + "[" * 20_000, 'rules = [["a", ["Q4_K"]]]', "otherwise = []", "use = [[1]]", "a = 1e308"]
)
def test_policies_that_are_none(tiny_files: Files, tmp_path: Path, text: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError) as refused:
        omniggml.quantize(tiny_files.speech, tmp_path / "x.gguf", policy=str(tmp_path / "p.toml"))
    one_sentence(str(refused.value), "p.toml")


@pytest.mark.parametrize("text", ["[", "{}", '{"rows": 1}', '{"rows": [1]}', '{"rows": ' + "[" * 5000, "\xff"])
@pytest.mark.parametrize(
    "local", ["1", '"x"', '{"nmse": "x"}', '{"nmse": -1}', "{}", '{"nmse": NaN}', '{"nmse": 1e999}']
)
def test_comparisons_that_are_none(tmp_path: Path, text: str, local: str) -> None:
    pytest.importorskip("matplotlib")
    row = f'{{"module": "a", "inside": true, "accumulated": {{"nmse": 1}}, "local": {local}}}'
    for content in (text, f'{{"rows": [{row}]}}'):
        (tmp_path / "rows.json").write_text(content)
        with pytest.raises(InputError) as refused:
            omniggml.plot(tmp_path / "rows.json", tmp_path / "x.png")
        one_sentence(str(refused.value), "rows.json", "compare --json")


def test_conversations_that_go_in_circles(model: omniggml.Model) -> None:
    message: dict[str, Any] = {"role": "user", "content": []}
    message["content"].append(message)
    with pytest.raises(InputError) as refused:
        model.chat([message])
    one_sentence(str(refused.value), "message 1", "part")


def test_ragged_lists(model: omniggml.Model) -> None:
    with pytest.raises(InputError) as refused:
        model.code2wav([[1, 2], [3]])
    one_sentence(str(refused.value), "codes")


def test_devices_by_torchs_names() -> None:
    with pytest.raises(InputError) as refused:
        omniggml.load(device="cuda:7")
    one_sentence(str(refused.value), "cuda7", "CPU")
    assert omniggml.LoadOptions(device="CUDA:0").device == "CUDA0"
    with pytest.raises(InputError, match="RPC"):
        omniggml.load(device="localhost:1")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_standard_input_by_its_mark(tiny_files: Files, tmp_path: Path, encoding: str) -> None:
    command = [sys.executable, "-m", "omniggml", "speak", "-", "-m", str(tiny_files.speech), "--max-frames", "3", "-o"]
    expected, found = tmp_path / "a.wav", tmp_path / "b.wav"
    for path, words in ((expected, "grüße".encode()), (found, "grüße".encode(encoding))):
        done = subprocess.run([*command, str(path)], input=words, check=False, capture_output=True)
        assert done.returncode == CUT, done.stderr
    assert found.read_bytes() == expected.read_bytes()


def test_the_older_importance_matrix(tiny_files: Files, tmp_path: Path) -> None:
    tensors = read_header(tiny_files.speech).tensors
    name, stored = next(
        (n, t) for n, t in tensors.items() if n.endswith("q_proj.weight") and n.startswith("talker.model")
    )
    columns = stored.shape[-1]
    means = np.linspace(1, 2, columns, dtype="<f4")
    data = struct.pack("<ii", 1, len(name)) + name.encode() + struct.pack("<ii", 3, columns) + (means * 3).tobytes()
    path = tmp_path / "imatrix.dat"
    path.write_bytes(data + struct.pack("<ii", 3, 4) + b"text")
    found = read_imatrix(path)[name].importance(0)
    assert found is not None
    np.testing.assert_allclose(found, means, rtol=1e-6)
    omniggml.quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q4_k", imatrix=path)
    twice = struct.pack("<i", 2) + data[4:] * 2
    behind = data + struct.pack("<ii", 3, 4) + b"text and more"
    for damaged, part in ((data[:-5], "values"), (twice, "is in it twice"), (behind, "bytes behind its last tensor")):
        path.write_bytes(damaged)
        with pytest.raises(InputError) as refused:
            read_imatrix(path)
        one_sentence(str(refused.value), "imatrix.dat", part)


def test_messages_of_what_has_no_end(model: omniggml.Model) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for call in (
        lambda: model.chat([{"role": "user", "content": deep}]),
        lambda: model.speak(deep),
        lambda: omniggml.load(overrides={"talker.num_hidden_layers": deep}),
        lambda: omniggml.load(n_threads=10**5000),
    ):
        with pytest.raises(InputError) as refused:
            call()
        one_sentence(str(refused.value))


def test_what_an_array_of_the_callers_raises_is_its_own(model: omniggml.Model) -> None:
    class Own(ValueError):
        pass

    class Odd:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __array__(self, *_: object, **__: object) -> None:
            raise self.error

    for error in (MemoryError("mine"), KeyboardInterrupt(), Own("mine")):
        for call in (model.code2wav, omniggml.log_mel):
            with pytest.raises(type(error)):
                call(Odd(error))  # type: ignore[operator]
    with pytest.raises(InputError, match="can't be made an array: detach it"):
        model.code2wav(Odd(RuntimeError("detach it")))  # type: ignore[arg-type]


def test_devices_that_are_no_text() -> None:
    for device in ("\ud800", "a\udcff", "a\0"):
        with pytest.raises(InputError) as refused:
            omniggml.load(device=device)
        one_sentence(str(refused.value), "device")


def test_audio_that_no_file_holds() -> None:
    zeros = np.zeros(3, np.float32)
    for samples, rate, part in ((zeros, -5, "sample_rate"), (zeros, 0, "sample_rate"), (zeros + np.nan, 24000, "NaN")):
        with pytest.raises(InputError) as refused:
            omniggml.Audio(samples, rate)
        one_sentence(str(refused.value), part)


@pytest.mark.parametrize("sections", [(1, 1), (0, 0, 0), (6, 5, 5, 0), (1,) * 50_000])
def test_sections_that_are_not_half_a_head(tiny_files: Files, sections: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as refused:
        omniggml.load(tiny_files.speech, overrides={"talker.mrope_section": sections})
    one_sentence(str(refused.value), "talker.mrope_section", "three numbers that add up to 16")
