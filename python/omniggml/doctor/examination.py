"""One examination: what was given, through every check, to a diagnosis."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy.typing as npt
from threadpoolctl import threadpool_limits

from omniggml.array_file import existing_file
from omniggml.arrays import read_codes, read_dump
from omniggml.audio import read_audio
from omniggml.checked import checked
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import Severity
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.audio import check_audio
from omniggml.doctor.checks.codes import Readable, check_codes
from omniggml.doctor.checks.dump import check_dump
from omniggml.doctor.checks.ears import check_ears
from omniggml.doctor.checks.file import check_file
from omniggml.doctor.checks.reference import check_reference
from omniggml.doctor.checks.talker import check_talker
from omniggml.doctor.checks.vocoder import check_vocoder
from omniggml.doctor.finding import Diagnosis, Finding, resolved
from omniggml.doctor.heartbeat import Heartbeat
from omniggml.errors import InputError, ModelFileError, OmniError
from omniggml.files.geometry import check_overrides
from omniggml.hub_file import local_file
from omniggml.options import LoadKeywords, LoadOptions, path_or_none
from omniggml.paths import as_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]
Result = TypeVar("Result")

# What arithmetic on numbers and shapes that don't fit raises; what a signal's handler raises isn't among them.
_UNFORESEEN = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


@checked
def diagnose(
    model: PathLike,
    *,
    codes: PathLike | npt.ArrayLike | None = None,
    audio: PathLike | None = None,
    text: str | None = None,
    speaker: str | None = None,
    reference: PathLike | None = None,
    theirs: PathLike | Mapping[str, npt.ArrayLike] | None = None,
    heard: PathLike | None = None,
    thorough: bool = False,
    announce: Callable[[str], None] | None = None,
    **options: Unpack[LoadKeywords],
) -> Diagnosis:
    """Say why a model, codes or audio sound like noise.

    `model`: a GGUF file of any family. `codes`: what a program made of a text, integers [groups, frames] or a .npy file
    of them. `audio`: the WAV file made of these codes. `text`: what was to be spoken, and `speaker` by whom.
    `reference`: an F32 GGUF file or a Hugging Face checkpoint. `theirs`: another framework's tensors by Hugging Face
    module names, as arrays or in an .npz or .safetensors file. `heard`: audio that another program listened to; beside
    `theirs` the audio encoder's rows and features are compared. `thorough`: mistakes that are less likely are tried,
    too, where no other explains what is given, however long that takes. `announce` is told in words what is being
    tried, before it takes time, and, from another thread, that it goes on. `options`: how the model is loaded, see
    `LoadOptions`; it runs on the CPU unless `device` says otherwise, and `n_threads` bounds NumPy's threads as well as
    the engine's.

    Raises InputError where something given can't be read at all, ModelFileError where the model is no file; what is
    wrong with them otherwise is in the result.
    """
    options.setdefault("device", "cpu")
    chosen = LoadOptions(**options)
    check_overrides(chosen.overrides or {})
    if text is not None and not text.strip():
        raise InputError("there is no text that was to be spoken: the one that is given is empty")
    with Heartbeat(announce, "opening what was given") as said:
        case = Case(
            path=_model_file(model),
            options=chosen,
            codes=None if codes is None else read_codes(codes),
            audio=None if audio is None else read_audio(audio),
            text=text,
            speaker=speaker,
            reference=path_or_none(reference),
            theirs=None if theirs is None else read_dump(theirs),
            heard=None if heard is None else existing_file(heard),
            thorough=thorough,
            announce=said,
        )
        if case.reference is not None:
            _check_exists(case.reference)
        _check_files_beside(chosen)
        _check_speaker(case)
        with threadpool_limits(_blas_threads(case), user_api="blas"):
            return _diagnosis(case.path, _reports(case))


def _blas_threads(case: Case) -> int | None:
    """For NumPy's products; those of a small model wait for each other's threads longer than they take, on a busy
    machine three times as long."""
    return 1 if case.path.stat().st_size < bounds.SMALL_FILE else case.options.n_threads or None


def _check_files_beside(options: LoadOptions) -> None:
    """Raises where one that is named isn't there: what is wrong then is the command, not the model."""
    for named in (options.thinker, options.mmproj, options.code2wav):
        if named:
            _model_file(named)
    if options.tokenizer is not None:
        _check_exists(as_path(options.tokenizer))


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except (OSError, ValueError) as error:
        why = "no such file or directory" if isinstance(error, (FileNotFoundError, ValueError)) else error.strerror
        raise InputError(f"{path}: {why or error}") from error


def _check_speaker(case: Case) -> None:
    """Raises InputError for a speaker that the model does not have; where none is loaded, nobody knows."""
    known = case.model.speakers if case.speaker is not None and case.model is not None else []
    if case.speaker is not None and known and case.speaker.lower() not in {name.lower() for name in known}:
        raise InputError(f'there is no speaker "{case.speaker}"; the speakers are {", ".join(known)}')


def _reports(case: Case) -> list[Report]:
    """Every check's, the earlier stage first. What one needs of another is what it is given."""
    weights, file = _tried("file", lambda: check_file(case), lambda report: (False, report))
    # What is wrong with the file may be what the engine then says of all else that is given.
    is_broken = any(finding.severity is Severity.BROKEN for finding in file.findings)
    foreseen = (*_UNFORESEEN, OmniError) if is_broken else _UNFORESEEN
    codes, spoken = _tried("codes", lambda: check_codes(case), lambda report: (report, Readable()), foreseen)
    checks: dict[str, Callable[[], Report]] = {
        "talker": lambda: check_talker(case, spoken),
        "audio": lambda: check_audio(case, weights),
        "vocoder": lambda: check_vocoder(case, spoken, weights),
        "dump": lambda: check_dump(case, spoken),
        "ears": lambda: check_ears(case),
    }
    return [
        file,
        _tried("reference", lambda: check_reference(case), lambda report: report, foreseen),
        codes,
        *(_tried(name, check, lambda report: report, foreseen) for name, check in checks.items()),
    ]


def _tried(
    name: str,
    check: Callable[[], Result],
    otherwise: Callable[[Report], Result],
    foreseen: tuple[type[Exception], ...] = _UNFORESEEN,
) -> Result:
    """What the check returns. One that stumbles over a file that nobody foresaw says so, and the others go on."""
    try:
        return check()
    except foreseen as error:
        logging.getLogger("omniggml").info("the check of the %s failed", name, exc_info=True)
        report = Report()
        reason = " ".join(str(error).split())
        report.fail(f"that of the {name} broke off, {type(error).__name__}: {reason:.200}")
        return otherwise(report)


def _diagnosis(path: Path, reports: list[Report]) -> Diagnosis:
    findings, superseded = resolved(_each_once(reports))
    return Diagnosis(
        str(path),
        findings,
        tuple(report.checked for report in reports if report.checked),
        tuple(why for report in reports for why in report.skipped),
        {name: value for report in reports for name, value in report.measurements.items()},
        superseded,
        next((question for report in reports for question in report.questions), ""),
        tuple(why for report in reports for why in report.failed),
    )


def _each_once(reports: Sequence[Report]) -> list[Finding]:
    """What two checks find of the whole is the later one's, which was given more."""
    every: list[Finding] = []
    for report in reversed(reports):
        later = {finding.id for finding in every if not finding.tensors}
        every = [*(one for one in report.findings if one.tensors or one.id not in later), *every]
    return every


def _model_file(path: PathLike) -> Path:
    file = local_file(path)
    try:
        is_file = file.is_file()
    except OSError as error:  # a name longer than any
        raise ModelFileError(f"{file} is no file: {error.strerror or error}") from error
    if not is_file:
        raise ModelFileError(f"{file} is no file")
    return file
