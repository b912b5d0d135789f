"""One examination: what was given, through every check, to a diagnosis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from omniggml.doctor.case import Case
from omniggml.doctor.checks.audio import check_audio
from omniggml.doctor.checks.codes import check_codes
from omniggml.doctor.checks.dump import check_dump
from omniggml.doctor.checks.file import check_file
from omniggml.doctor.checks.precision import try_reference
from omniggml.doctor.checks.talker import check_talker
from omniggml.doctor.checks.vocoder import check_vocoder
from omniggml.doctor.finding import Diagnosis, ranked
from omniggml.doctor.given import read_audio, read_codes, read_dump
from omniggml.errors import InputError, ModelFileError

PathLike = str | os.PathLike[str]

_IN_ORDER = (check_file, try_reference, check_codes, check_talker, check_audio, check_vocoder, check_dump)


def examine(
    model: PathLike,
    *,
    codes: PathLike | npt.ArrayLike | None = None,
    audio: PathLike | None = None,
    text: str | None = None,
    speaker: str | None = None,
    reference: PathLike | None = None,
    theirs: PathLike | Mapping[str, npt.ArrayLike] | None = None,
    thinker: PathLike | None = None,
    code2wav: PathLike | None = None,
    tokenizer: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
    n_threads: int = 0,
) -> Diagnosis:
    """Say why a model, codes or audio sound like noise.

    `model`: a GGUF file of any family. `codes`: what a program made of a text, integers [groups, frames] or a .npy file
    of them. `audio`: the WAV file made of these codes. `text`: what was to be spoken, and `speaker` by whom.
    `reference`: an F32 GGUF file or a Hugging Face checkpoint. `theirs`: another framework's tensors by Hugging Face
    module names, as arrays or in an .npz or .safetensors file. The others as in `load`.

    Raises InputError where something given can't be read at all, ModelFileError where the model is no file; what is
    wrong with them otherwise is in the result.
    """
    case = Case(
        path=_model_file(model),
        thinker=_path(thinker),
        code2wav=_path(code2wav),
        tokenizer=_path(tokenizer),
        overrides=dict(overrides or {}),
        codes=None if codes is None else read_codes(codes),
        audio=None if audio is None else read_audio(audio),
        text=text,
        speaker=speaker,
        reference=_path(reference),
        theirs=None if theirs is None else read_dump(theirs),
        n_threads=n_threads,
    )
    if case.reference is not None and not case.reference.exists():
        raise InputError(f"{case.reference}: no such file or directory")
    return diagnose(case)


def diagnose(case: Case) -> Diagnosis:
    """Run every check that has what it needs."""
    for check in _IN_ORDER:
        check(case)
    return Diagnosis(str(case.path), ranked(case.findings), tuple(case.checked), tuple(case.skipped), case.measurements)


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(os.fspath(path))


def _model_file(path: PathLike) -> Path:
    file = Path(os.fspath(path))
    if not file.is_file():
        raise ModelFileError(f"{file} is no file")
    return file
