"""Arguments of the right type that make no sense, and options that would change nothing: said, never passed over."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from omniggml.audio import read_audio
from omniggml.cli.command_line import run
from omniggml.cli.exit_codes import CUT
from omniggml.options import LoadOptions
from sentences import one_sentence


@pytest.fixture(scope="module")
def model(tiny_files: Files) -> omniggml.Model:
    return omniggml.load(tiny_files.speech, n_threads=1)


ODD: dict[str, tuple[Callable[[omniggml.Model, Path], Any], tuple[str, ...]]] = {
    "no device": (lambda m, p: LoadOptions(device=""), ("device is ''",)),
    "no tokenizer": (lambda m, p: LoadOptions(tokenizer=""), ("'' is no path",)),
    "no code2wav": (lambda m, p: omniggml.load(m.path, code2wav=""), ("'' is no path",)),
    "frames below none": (lambda m, p: m.n_samples(-1), ("n_frames is -1", "between 0")),
    "frames beyond all": (lambda m, p: m.n_samples(2**60), ("n_frames",)),
    "half an id": (lambda m, p: m.tokenizer.decode([1.5]), ("float64", "integers")),  # type: ignore[list-item]
    "letters as ids": (lambda m, p: m.tokenizer.decode("abc"), ("integers",)),  # type: ignore[arg-type]
    "one text": (lambda m, p: omniggml.imatrix(m, p / "x.gguf", texts="hello"), ("texts is 'hello'", "list of texts")),
    "no data set": (lambda m, p: omniggml.imatrix(m, p / "x.gguf", datasets=[]), ("datasets is empty",)),
    "no frames": (lambda m, p: omniggml.imatrix(m, p / "x.gguf", max_frames=0), ("max_frames is 0", "between 1")),
    "damage of nan": (lambda m, p: omniggml.search_policy(m.path, codes_damage=float("nan")), ("codes_damage is nan",)),
    "damage of inf": (lambda m, p: omniggml.search_policy(m.path, audio_damage=float("inf")), ("audio_damage is inf",)),
    "size of nothing": (lambda m, p: omniggml.search_policy(m.path, size=0), ("size is 0",)),
    "nothing held out": (lambda m, p: omniggml.search_policy(m.path, held_out=[]), ("held_out is empty",)),
    "a search of no frames": (lambda m, p: omniggml.search_policy(m.path, max_frames=0), ("max_frames is 0",)),
    "a policy's name": (lambda m, p: omniggml.quantize(m.path, p / "x.toml"), ("x.toml", "ends in .gguf")),
    "no folder": (lambda m, p: omniggml.quantize(m.path, p / "no" / "x.gguf"), ("No such", "x.gguf")),
    "no such speaker": (
        lambda m, p: omniggml.diagnose(m.path, text="hello", speaker="nobody", n_threads=1),
        ('there is no speaker "nobody"', "chelsie"),
    ),
    "a sample format": (lambda m, p: m.speak("hi", max_frames=1).wav_bytes("MP3"), ("MP3", "PCM_16")),
}


@pytest.mark.parametrize("case", ODD)
def test_what_makes_no_sense_is_refused(case: str, model: omniggml.Model, tmp_path: Path) -> None:
    call, parts = ODD[case]
    with pytest.raises(omniggml.InputError) as refused:
        call(model, tmp_path)
    one_sentence(str(refused.value), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("x.gguf", "--size", "20"), ("--size is for --search",)),
        (("x.gguf", "--frames", "3"), ("--frames is for --search",)),
        (("x.gguf", "--codes-damage", "nan"), ("--codes-damage is for --search",)),
        (("x.toml",), ("x.toml", "ends in .gguf")),
        (("no/x.gguf",), ("No such",)),
        (("x.toml", "--search", "--policy", "q4_k"), ("--policy is not for --search",)),
        (("x.toml", "--search", "--requantize"), ("--requantize is not for --search",)),
        (("x.toml", "--search", "--codes-damage", "nan"), ("codes_damage is nan",)),
    ],
)
def test_quantize_passes_over_no_option(
    tiny_files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["quantize", str(tiny_files.speech), *words]) == 1
    one_sentence(capsys.readouterr().err.strip(), *parts)
    assert list(tmp_path.iterdir()) == []


def test_imatrix_of_no_frames(tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["imatrix", "-m", str(tiny_files.speech), "-o", str(tmp_path / "x.gguf"), "--frames", "0"]
    assert run(words) == 1
    one_sentence(capsys.readouterr().err.strip(), "max_frames is 0")


def test_chat_with_what_is_no_thinker(tiny_files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat", "hello", "--thinker", str(tiny_files.speech), "-o", "x.wav"]) == 1
    one_sentence(capsys.readouterr().err.strip(), "is no thinker")
    assert run(["chat", "hello", "--thinker", str(tiny_files.thinker), "-o", "x.wav"]) == 1
    one_sentence(capsys.readouterr().err.strip(), "is a thinker alone")


def test_a_thinker_is_not_compared(tiny_files: Files) -> None:
    """The speech file beside it isn't taken in its place."""
    for pair in ((tiny_files.speech, tiny_files.thinker), (tiny_files.thinker, tiny_files.speech)):
        with pytest.raises(omniggml.InputError) as refused:
            omniggml.compare(*pair, n_threads=1)
        one_sentence(str(refused.value), tiny_files.thinker.name, "is a thinker")
    with pytest.raises(omniggml.OmniError, match="is a thinker"):
        omniggml.bench(tiny_files.thinker, n_threads=1, frames=2, repetitions=1)


def test_warnings_point_at_the_callers_line() -> None:
    """Whichever door they come through, and however many of ours lie between."""
    voice, said = omniggml.load(n_threads=1), "hello \u4f60"
    doors: tuple[Callable[[], Any], ...] = (
        lambda: voice.speak(said, max_frames=1),
        lambda: list(voice.stream(said, max_frames=1)),
        lambda: voice.speak_batch([said], max_frames=1),
        lambda: voice.chat(said, text_options=omniggml.TextOptions(max_tokens=1), max_frames=1),
    )
    for door in doors:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            door()
        assert [one.filename for one in caught] == [__file__]


# --- probes -----------------------------------------------------------------------------------------------------------


def test_nested_probes_of_one_pattern_both_see(model: omniggml.Model) -> None:
    codes = np.zeros((4, 3), np.int32)
    name = "code2wav.pre_transformer.layers.0.mlp"
    with model.probe(name) as outer:
        first = model.code2wav(codes)
        with model.probe(name, "code2wav.decoder.0") as inner:
            model.code2wav(codes + 1)
        model.code2wav(codes + 2)
    with model.probe(name) as alone:
        for add in (0, 1, 2):
            model.code2wav(codes + add)
    assert inner[name].shape[1] == 3 and "code2wav.decoder.0" in inner and "code2wav.decoder.0" not in outer
    np.testing.assert_array_equal(outer[name], alone[name])
    np.testing.assert_allclose(first, model.code2wav(codes), atol=1e-6)


def test_an_outer_probe_replaces_what_the_inner_leaves(model: omniggml.Model) -> None:
    codes = np.zeros((4, 3), np.int32)
    name = "code2wav.pre_transformer.layers.0.mlp"
    with model.probe(name) as seen:
        plain = model.code2wav(codes)
    values = np.full_like(seen[name], 0.5)
    with model.probe(replace={name: values}), model.probe("code2wav.decoder.0") as inner:
        changed = model.code2wav(codes)
    with model.probe("code2wav.decoder.0", replace={name: values}) as both:
        model.code2wav(codes)
    assert not np.array_equal(plain, changed)
    np.testing.assert_array_equal(inner["code2wav.decoder.0"], both["code2wav.decoder.0"])


# --- what the fuzzer of the command line found ------------------------------------------------------------------------


def no_controls(text: str) -> None:
    assert not any(unicodedata.category(letter) in ("Cc", "Cf") for letter in text if letter != "\n"), text


def test_what_a_command_says_holds_no_control_characters(
    tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-m", str(tiny_files.speech), "-o", str(tmp_path / "x.wav"), "--max-frames", "1", "--threads", "1"]
    assert run(["speak", "hey\n\x1b[31m there", *options]) == CUT
    said = capsys.readouterr().err
    assert "cut within" in said
    no_controls(said)
    for words in (["doctor", "a", "\0", "\u202e"], ["speak", "a", "b\0"]):
        with pytest.raises(SystemExit):
            run(words)
        no_controls(capsys.readouterr().err)


def test_a_thinker_decodes_nothing(tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((4, 3), np.int32))
    words = ["decode", str(tmp_path / "codes.npy"), "-o", str(tmp_path / "x.wav"), "--thinker", str(tiny_files.thinker)]
    assert run(words) == 1
    one_sentence(capsys.readouterr().err.strip(), "has no voice")


def test_audio_is_read_whatever_its_header_promises(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", np.sin(np.arange(3000) / 7) / 3, 24000)
    content = bytearray((tmp_path / "x.flac").read_bytes())
    content[21:26] = b"\xff" * 5  # the number of samples, and half a byte of the depth
    content[21] = 0xF0 | (content[21] & 0x0F)
    for broken in (bytes(content), (tmp_path / "x.flac").read_bytes()):
        (tmp_path / "y.flac").write_bytes(broken)
        try:
            assert len(read_audio(tmp_path / "y.flac").mono) <= 3000
        except omniggml.InputError as refused:
            one_sentence(str(refused))
