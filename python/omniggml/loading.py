"""From a path, or none, to a model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omniggml.checked import checked
from omniggml.hub_file import kept_file, local_file
from omniggml.model import Model
from omniggml.native_log import pass_on
from omniggml.options import LoadKeywords, LoadOptions, PathLike
from omniggml.plain_file import is_file
from omniggml.warning import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

_SPEECH_SUFFIX = "-speech.gguf"
_THINKER_SUFFIX = "-thinker.gguf"
_MMPROJ_SUFFIX = "-mmproj.gguf"
BUILT_IN = Path(__file__).parent / "voice" / "voice-speech.gguf"
"""The voice in the package, with its thinker beside it; its MODEL_CARD.md tells what it can do."""


@checked
def load(speech: str | os.PathLike[str] | None = None, **options: Unpack[LoadKeywords]) -> Model:
    """Load a model.

    `speech`: a NAME-speech.gguf or a file of another family (`docs/files.md`); NAME-thinker.gguf stands for the speech
    file beside it. Without it the built-in voice, a small model of the same architecture that speaks English; or, where
    a thinker is named, that alone, which answers in text. `org/repo`, `org/repo@revision` and `org/repo:FILE` stand for
    files on the Hugging Face hub, downloaded where `huggingface_hub` is installed. `options`: see `LoadOptions`.
    What no file tells is the published model's; a warning names it.

    Raises ModelFileError for a file that can't be used, InputError for an unknown device or option, OutOfMemoryError.
    """
    path, chosen = _found(speech, LoadOptions(**options), local_file)
    try:
        model = Model(path, chosen)
    finally:
        pass_on()  # refused or loaded: ggml may have said why
    if model.assumed and path is not None:
        warn(_assumptions(path, model.assumed))
    return model


@checked
def files_of(speech: str | os.PathLike[str] | None = None, **options: Unpack[LoadKeywords]) -> list[Path]:
    """The files that `load` reads when it is called so, those that it finds by itself among them, and the tokenizer's
    directory: what must not be written while the model is in use. Of the hub what was downloaded before; nothing is.
    """
    path, chosen = _found(speech, LoadOptions(**options), kept_file)
    files = [*([] if path is None else [path]), *chosen.files]
    return [file for file in files if is_file(file) or file == chosen.tokenizer]


def _found(
    speech: PathLike | None, options: LoadOptions, local: Callable[[PathLike], Path]
) -> tuple[Path | None, LoadOptions]:
    """The speech file, and the options with the files beside it where none are named. `local`: where a file of the hub
    is on the disk."""
    thinker, code2wav, mmproj = options.thinker, options.code2wav, options.mmproj
    chosen = dataclasses.replace(
        options,
        mmproj=local(mmproj) if mmproj else mmproj,
        thinker=local(thinker) if thinker else thinker,
        code2wav=local(code2wav) if code2wav is not None else None,
    )
    if speech is None and chosen.thinker:
        return None, _with_ears(Path(chosen.thinker), chosen)
    path = BUILT_IN if speech is None else local(speech)
    chosen = _with_ears(path, chosen)
    if chosen.thinker is None:
        path, beside = _with_companion(path)
        chosen = dataclasses.replace(chosen, thinker=beside)
    return path, chosen


def _with_ears(path: Path, options: LoadOptions) -> LoadOptions:
    """The options with the mmproj file beside a speech file or thinker, where none is named."""
    if options.mmproj is not None:
        return options
    for suffix in (_SPEECH_SUFFIX, _THINKER_SUFFIX):
        if not path.name.endswith(suffix):
            continue
        beside = path.with_name(path.name.removesuffix(suffix) + _MMPROJ_SUFFIX)
        if beside.exists():
            return dataclasses.replace(options, mmproj=beside)
    return options


def _with_companion(path: Path) -> tuple[Path, Path | None]:
    """The speech file, and the thinker beside it, whichever of the two is named."""
    if path.name.endswith(_SPEECH_SUFFIX):
        beside = path.with_name(path.name.removesuffix(_SPEECH_SUFFIX) + _THINKER_SUFFIX)
        return path, beside if beside.exists() else None
    if path.name.endswith(_THINKER_SUFFIX):
        beside = path.with_name(path.name.removesuffix(_THINKER_SUFFIX) + _SPEECH_SUFFIX)
        return (beside, path) if beside.exists() else (path, None)
    return path, None


def _assumptions(path: Path, assumed: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in assumed.items() if name != "talker.speakers")
    return (
        f"{path} does not say these settings, which are taken from the published model; override wrong ones: {settings}"
    )
