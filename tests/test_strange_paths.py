"""What is no path, given where a path belongs: one sentence, whichever door it comes in by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import omniggml
from conftest import Files
from omniggml.loading import BUILT_IN
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
