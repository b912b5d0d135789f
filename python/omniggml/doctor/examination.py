"""One examination: what was given, through every check, to a diagnosis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from omniggml.arrays import read_codes, read_dump
from omniggml.audio import read_audio
from omniggml.doctor.case import Case
from omniggml.doctor.checks.audio import check_audio
from omniggml.doctor.checks.codes import check_codes
from omniggml.doctor.checks.dump import check_dump
from omniggml.doctor.checks.file import check_file
from omniggml.doctor.checks.reference import try_reference
from omniggml.doctor.checks.talker import check_talker
from omniggml.doctor.checks.vocoder import check_vocoder
from omniggml.doctor.finding import Diagnosis, ranked
from omniggml.errors import InputError, ModelFileError
from omniggml.options import LoadKeywords, LoadOptions, from_keywords, path_or_none

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]

_IN_ORDER = (check_file, try_reference, check_codes, check_talker, check_audio, check_vocoder, check_dump)


def diagnose(
    model: PathLike,
    *,
    codes: PathLike | npt.ArrayLike | None = None,
    audio: PathLike | None = None,
    text: str | None = None,
    speaker: str | None = None,
    reference: PathLike | None = None,
    theirs: PathLike | Mapping[str, npt.ArrayLike] | None = None,
    **options: Unpack[LoadKeywords],
) -> Diagnosis:
    """Say why a model, codes or audio sound like noise.

    `model`: a GGUF file of any family. `codes`: what a program made of a text, integers [groups, frames] or a .npy file
    of them. `audio`: the WAV file made of these codes. `text`: what was to be spoken, and `speaker` by whom.
    `reference`: an F32 GGUF file or a Hugging Face checkpoint. `theirs`: another framework's tensors by Hugging Face
    module names, as arrays or in an .npz or .safetensors file. `options`: how the model is loaded, see `LoadOptions`;
    it runs on the CPU unless `device` says otherwise.

    Raises InputError where something given can't be read at all, ModelFileError where the model is no file; what is
    wrong with them otherwise is in the result.
    """
    case = Case(
        path=_model_file(model),
        options=from_keywords(LoadOptions, {"device": "cpu", **options}),
        codes=None if codes is None else read_codes(codes),
        audio=None if audio is None else read_audio(audio),
        text=text,
        speaker=speaker,
        reference=path_or_none(reference),
        theirs=None if theirs is None else read_dump(theirs),
    )
    if case.reference is not None and not case.reference.exists():
        raise InputError(f"{case.reference}: no such file or directory")
    for check in _IN_ORDER:
        check(case)
    return Diagnosis(str(case.path), ranked(case.findings), tuple(case.checked), tuple(case.skipped), case.measurements)


def _model_file(path: PathLike) -> Path:
    file = Path(os.fspath(path))
    if not file.is_file():
        raise ModelFileError(f"{file} is no file")
    return file
