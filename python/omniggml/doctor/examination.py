"""One examination: what was given, through every check, to a diagnosis."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from omniggml.arrays import read_codes, read_dump
from omniggml.audio import read_audio
from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.audio import check_audio
from omniggml.doctor.checks.codes import check_codes
from omniggml.doctor.checks.dump import check_dump
from omniggml.doctor.checks.file import check_file
from omniggml.doctor.checks.reference import check_reference
from omniggml.doctor.checks.talker import check_talker
from omniggml.doctor.checks.vocoder import check_vocoder
from omniggml.doctor.finding import Diagnosis, resolved
from omniggml.errors import InputError, ModelFileError
from omniggml.options import LoadKeywords, LoadOptions, from_keywords, path_or_none

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]


def diagnose(
    model: PathLike,
    *,
    codes: PathLike | npt.ArrayLike | None = None,
    audio: PathLike | None = None,
    text: str | None = None,
    speaker: str | None = None,
    reference: PathLike | None = None,
    theirs: PathLike | Mapping[str, npt.ArrayLike] | None = None,
    announce: Callable[[str], None] | None = None,
    **options: Unpack[LoadKeywords],
) -> Diagnosis:
    """Say why a model, codes or audio sound like noise.

    `model`: a GGUF file of any family. `codes`: what a program made of a text, integers [groups, frames] or a .npy file
    of them. `audio`: the WAV file made of these codes. `text`: what was to be spoken, and `speaker` by whom.
    `reference`: an F32 GGUF file or a Hugging Face checkpoint. `theirs`: another framework's tensors by Hugging Face
    module names, as arrays or in an .npz or .safetensors file. `announce` is told in words what is being tried, before
    it takes time. `options`: how the model is loaded, see `LoadOptions`;
    it runs on the CPU unless `device` says otherwise, and `n_threads` bounds NumPy's threads as well as the engine's.

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
        announce=announce or (lambda words: None),
    )
    if case.reference is not None and not case.reference.exists():
        raise InputError(f"{case.reference}: no such file or directory")
    with threadpool_limits(case.options.n_threads or None, user_api="blas"):
        return _diagnosis(case.path, _reports(case))


def _reports(case: Case) -> list[Report]:
    """Every check's, the earlier stage first. What one needs of another is what it is given."""
    weights, file = check_file(case)
    codes, spoken = check_codes(case)
    return [
        file,
        check_reference(case),
        codes,
        check_talker(case, spoken),
        check_audio(case, weights),
        check_vocoder(case, spoken),
        check_dump(case, spoken),
    ]


def _diagnosis(path: Path, reports: list[Report]) -> Diagnosis:
    findings, superseded = resolved([finding for report in reports for finding in report.findings])
    return Diagnosis(
        str(path),
        findings,
        tuple(report.checked for report in reports if report.checked),
        tuple(why for report in reports for why in report.skipped),
        {name: value for report in reports for name, value in report.measurements.items()},
        superseded,
    )


def _model_file(path: PathLike) -> Path:
    file = Path(os.fspath(path))
    if not file.is_file():
        raise ModelFileError(f"{file} is no file")
    return file
