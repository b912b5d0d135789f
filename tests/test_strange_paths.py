"""What is no path, given where a path belongs: one sentence, whichever door it comes in by. And paths that are odd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import omniggml
from conftest import Files
from omniggml.loading import BUILT_IN
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

DOORS: dict[str, Callable[[Any], object]] = {
    "load": lambda path: omniggml.load(path if path is not None else 0),
    "thinker": lambda path: omniggml.load(thinker=path or 3),
    "code2wav": lambda path: omniggml.load(code2wav=path or 3),
    "tokenizer": lambda path: omniggml.load(tokenizer=path or 3),
    "convert": lambda path: omniggml.convert(path, "out"),
    "convert to": lambda path: omniggml.convert("in", path),
    "quantize": lambda path: omniggml.quantize(path, "out.gguf"),
    "quantize to": lambda path: omniggml.quantize(BUILT_IN, path),
    "inspect": omniggml.inspect,
    "diagnose": omniggml.diagnose,
    "reference": lambda path: omniggml.diagnose(BUILT_IN, reference=path or 3),
    "compare": lambda path: omniggml.compare(path, BUILT_IN),
    "bench": omniggml.bench,
    "plot": lambda path: omniggml.plot(path, "out.png"),
    "search_policy": omniggml.search_policy,
    "save": lambda path: omniggml.Audio(omniggml.load().code2wav([[0]] * 8), 24000).save(path),
}


@pytest.mark.parametrize("path", [3, None, b"x.gguf", True])
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_path(door: str, path: object) -> None:
    with pytest.raises(omniggml.OmniError) as refused:
        DOORS[door](path)
    one_sentence(str(refused.value), "expected a text or a pathlib.Path")


def test_other_options_of_the_wrong_kind() -> None:
    for options in ({"mmap": "no"}, {"overrides": "talker.x=1"}, {"overrides": {3: 4}}):
        with pytest.raises(omniggml.InputError) as refused:
            omniggml.load(**options)  # type: ignore[arg-type]
        one_sentence(str(refused.value), *options)
    with pytest.raises(omniggml.ConversionError):
        omniggml.convert("x" * 5000, "out")


def test_conversations_and_texts_of_the_wrong_kind(tiny_files: Files) -> None:
    model = omniggml.load(tiny_files.speech, n_threads=1)
    for call, part in (
        (lambda: model.chat(None), "messages is None"),  # type: ignore[arg-type]
        (lambda: model.chat(3), "messages is 3"),  # type: ignore[arg-type]
        (lambda: model.chat("hi", text_options={"greedy": True}), "expected a TextOptions"),  # type: ignore[arg-type]
        (lambda: model.speak_batch(None), "texts is None"),  # type: ignore[arg-type]
    ):
        with pytest.raises(omniggml.InputError) as refused:
            call()
        one_sentence(str(refused.value), part)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file systems have letters only")
def test_names_that_are_no_letters(tiny_files: Files, tmp_path: Path) -> None:
    """Every command, in a directory and with names of bytes that are no UTF-8, of what it reads and writes."""
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff"))
    place.mkdir()

    def named(name: str) -> Path:
        return place / f"{os.fsdecode(bytes([0xFE]))}{name}"

    speech, thinker = named("m-speech.gguf"), named("m-thinker.gguf")
    shutil.copy(tiny_files.speech, speech)
    shutil.copy(tiny_files.thinker, thinker)
    checkpoint = write_random_checkpoint("tiny", named("checkpoint"))
    named("texts.txt").write_text("hello\nworld\n")
    short = ("-m", speech, "--max-frames", 3, "--threads", 1)
    parts = ("--split-max-size", "200000")
    made = {
        "x.wav": ("speak", "hi", "-o", named("x.wav"), "--subtitles", named("x.srt"), *short),
        "x.flac": ("speak", "hi", "-o", named("x.flac"), *short),
        "chat.wav": ("chat", "hi", "-o", named("chat.wav"), *short),
        "batch/1.flac": ("batch", named("texts.txt"), "-o", named("batch"), *short),
        "codes.wav": ("decode", named("batch") / "1.codes.npy", "-o", named("codes.wav"), "-m", speech),
        "x.png": ("plot", named("x.wav"), "-o", named("x.png")),
        "q.gguf": ("quantize", speech, named("q.gguf"), "--policy", "q4_k"),
        "s-00001-of-00002.gguf": ("quantize", speech, named("s.gguf"), "--policy", "q8_0", *parts),
        "i.gguf": ("imatrix", "-m", speech, "-o", named("i.gguf"), "--frames", 3),
        "out/n-speech.gguf": ("convert", checkpoint, "-o", named("out"), "--name", "n"),
        "page.html": ("doctor", speech, "--html", named("page.html"), "--quiet"),
    }
    for name, arguments in made.items():
        done = subprocess.run(
            [sys.executable, "-m", "omniggml", *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, (name, done.stderr)
        assert (place / f"{os.fsdecode(bytes([0xFE]))}{name}").exists(), (name, done.stderr)
    assert omniggml.inspect(named("s-00002-of-00002.gguf")).loads
    assert omniggml.load(named("s-00001-of-00002.gguf"), thinker=False).speak("hi", max_frames=2).samples.size
    assert json.loads((named("batch") / "manifest.jsonl").read_text().splitlines()[0])
    with pytest.raises(omniggml.InputError) as refused:
        omniggml.convert(checkpoint, named("out2"))
    one_sentence(str(refused.value), "name=", "no letter")
