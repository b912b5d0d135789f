"""From a path, or none, to a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omniggml.model import Model

_SPEECH_SUFFIX = "-speech.gguf"
_THINKER_SUFFIX = "-thinker.gguf"
BUILT_IN = Path(__file__).parent / "voice" / "voice-speech.gguf"
"""The voice in the package, with its thinker beside it; its MODEL_CARD.md tells what it can do."""


def load(
    speech: str | os.PathLike[str] | None = None,
    *,
    thinker: str | os.PathLike[str] | None = None,
    device: str = "auto",
    n_threads: int = 0,
    vocoder_precision: str = "auto",
    mmap: bool = True,
    code2wav: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Model:
    """Load a model.

    `speech`: a NAME-speech.gguf or a file of another family (`docs/files.md`); without it the built-in voice, a small
    model of the same architecture that speaks English. `thinker`: a file in llama.cpp's qwen3vlmoe layout; without it
    the NAME-thinker.gguf beside the speech file is taken, if there is one. `device`: a name from `devices()`, "auto"
    for the first GPU or else the CPU, or "HOST:PORT" of an RPC server. `n_threads`: CPU threads a call, 0 for as many
    as there are cores.
    `vocoder_precision`: how code2wav's convolutions are computed on a CPU: "f32"; "bf16", bfloat16 products summed in
    float32, where the CPU has such products; "plain", ordinary ggml nodes; "auto", f32 for weights stored in F32, else
    the fastest. `mmap`: on a CPU, weights stay in the file's pages, which the system shares between processes and
    gives back first where memory is short; a file so used may be replaced by another, but must not be rewritten or cut
    in place. False copies them.

    `code2wav`: a file whose code2wav takes the place of the speech file's. `tokenizer`: a GGUF file or a Hugging Face
    directory, for a speech file without one. `overrides`: "section.name" to a value, where a file does not tell its
    geometry or tells it wrong. What no file tells is the published model's; a warning names it.

    Raises ModelFileError for a file that can't be used, InputError for an unknown device, OutOfMemoryError.
    """
    path = BUILT_IN if speech is None else Path(speech)
    if thinker is None and path.name.endswith(_SPEECH_SUFFIX):
        beside = path.with_name(path.name.removesuffix(_SPEECH_SUFFIX) + _THINKER_SUFFIX)
        thinker = beside if beside.exists() else None
    model = Model(
        path,
        thinker,
        device=device,
        n_threads=n_threads,
        vocoder_precision=vocoder_precision,
        mmap=mmap,
        code2wav=code2wav,
        tokenizer=tokenizer,
        overrides=overrides,
    )
    if model.assumed:
        warnings.warn(_assumptions(path, model.assumed), stacklevel=2)
    return model


def _assumptions(path: Path, assumed: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in assumed.items() if name != "talker.speakers")
    return (
        f"{path} does not say these settings, which are taken from the published model; override wrong ones: {settings}"
    )
