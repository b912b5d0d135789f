"""What a file is, whether or not it can be loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.files import families
from omniggml.files.opening import File, Planning, open_file, open_files
from omniggml.files.plan import missing, stacked
from omniggml.gguf.header import StoredTensor
from omniggml.gguf.type_names import bits_of
from omniggml.spec import speech_file
from omniggml.spec.expected_tensors import thinker_tensors
from omniggml.spec.precision_needs import need_of
from omniggml.spec.sections import SPOKEN_SECTIONS
from omniggml.spec.stages import stage_of

_SPEAKING = (families.SPEECH, families.ALL_IN_ONE, families.BUNDLED)


@dataclass(frozen=True)
class Share:
    """What one stage holds in one type."""

    stage: str
    type: str
    tensors: int
    parameters: int
    nbytes: int


@dataclass(frozen=True)
class Concern:
    """A tensor in a type of fewer bits than it needs. `name` is the file's."""

    name: str
    type: str
    reason: str


@dataclass(frozen=True)
class Inspection:
    """`family`: one of the names in `docs/files.md`, "unknown" else. `problem`: why the file can't be loaded by itself,
    "" where it can. `assumed`: settings that the file does not tell, as they would be taken. `missing`: tensors of ours
    that it should hold. `unknown`: tensors that belong to no stage."""

    path: str
    size: int
    architecture: str
    family: str
    title: str
    problem: str
    geometry: dict[str, dict[str, Any]]
    assumed: dict[str, Any]
    shares: tuple[Share, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    concerns: tuple[Concern, ...]

    @property
    def parameters(self) -> int:
        """Values in all tensors."""
        return sum(share.parameters for share in self.shares)

    def as_dict(self) -> dict[str, Any]:
        """What `omniggml inspect --json` prints."""
        return {**dataclasses.asdict(self), "parameters": self.parameters}


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Say what a file is: family, geometry, parameters and bytes, what is missing, what sits in too few bits.

    Reads no values. Raises ModelFileError only where there is no file to read; all else is in the result's `problem`.
    """
    file_path = Path(os.fspath(path))
    if not file_path.is_file():
        raise ModelFileError(f"{file_path} is no file")
    try:
        file = open_file(file_path)
    except ModelFileError as error:
        return _unreadable(file_path, str(error))
    named = {stored.name: _our_name(file, stored.name) for stored in file.header.tensors.values()}
    geometry, assumed, lacking = _geometry(file)
    return Inspection(
        path=str(file_path),
        size=file.header.native.size,
        architecture=file.header.architecture,
        family=file.family.name if file.family else "unknown",
        title=file.family.title if file.family else "a file of no known family",
        problem=_problem(file),
        geometry=geometry,
        assumed=assumed,
        shares=_shares(file, named),
        missing=tuple(lacking),
        unknown=tuple(name for name, ours in named.items() if not ours),
        concerns=tuple(_concerns(file.header.tensors, named)),
    )


def _unreadable(path: Path, problem: str) -> Inspection:
    size = path.stat().st_size
    return Inspection(str(path), size, "", "unknown", "no sound GGUF file", problem, {}, {}, (), (), (), ())


def _our_name(file: File, name: str) -> str:
    """Ours for a stored tensor, "" where it belongs nowhere."""
    if file.family is None:
        return ""
    place = file.family.place_of(name)
    return place.name if place else ""


def _shares(file: File, named: dict[str, str]) -> tuple[Share, ...]:
    sums: dict[tuple[str, str], list[int]] = {}
    for stored in file.header.tensors.values():
        entry = sums.setdefault((stage_of(named[stored.name]), stored.type), [0, 0, 0])
        for i, number in enumerate((1, stored.size, stored.nbytes)):
            entry[i] += number
    return tuple(Share(stage, type_, *numbers) for (stage, type_), numbers in sums.items())


def _concerns(tensors: dict[str, StoredTensor], named: dict[str, str]) -> list[Concern]:
    found = []
    for stored in tensors.values():
        ours = named[stored.name]
        need = need_of(ours) if ours else None
        if need and bits_of(stored.type) < need.bits:
            found.append(Concern(stored.name, stored.type, need.reason))
    return found


def _geometry(file: File) -> tuple[dict[str, dict[str, Any]], dict[str, Any], list[str]]:
    """Sections, assumed settings, missing tensors; of what can't be derived, what the metadata say."""
    if file.family not in _SPEAKING:
        return _told_geometry(file), {}, []
    try:
        planning = Planning([file], None, None, {})
        derived = planning.derived()
    except ModelFileError:
        return _told_geometry(file), {}, []
    config = derived.config
    expected = stacked(speech_file.speech_file_tensors(config))
    sections: tuple[str, ...] = SPOKEN_SECTIONS
    if file.family is families.ALL_IN_ONE:
        expected |= stacked(thinker_tensors(config.thinker))
        sections = ("thinker", *SPOKEN_SECTIONS)
    geometry = {name: dataclasses.asdict(getattr(config, name)) for name in sections}
    return geometry, derived.assumed, missing(expected, planning.contents)


def _told_geometry(file: File) -> dict[str, dict[str, Any]]:
    """The numbers under the architecture's name."""
    prefix = f"{file.header.architecture}."
    numbers = {
        key.removeprefix(prefix): value
        for key, value in file.header.metadata.items()
        if key.startswith(prefix) and isinstance(value, (bool, int, float))
    }
    return {file.header.architecture: numbers} if numbers else {}


# --- can it be loaded? ------------------------------------------------------------------------------------------------


def _problem(file: File) -> str:
    check = _CHECKS.get(file.family.name if file.family else "", _not_known)
    try:
        check(file)
    except ModelFileError as error:
        return str(error)
    return ""


def _check_speech(file: File) -> None:
    opened = open_files(file.header.path)
    _native.SpeechModel.check(opened.speech.native)
    if opened.thinker is not None:
        _native.Thinker.check(opened.thinker.native)


def _check_thinker(file: File) -> None:
    _native.Thinker.check(file.header.native)


def _check_code2wav(_: File) -> None:
    raise ModelFileError("it is code2wav alone: load it beside a talker, with code2wav=FILE or --code2wav")


def _not_known(file: File) -> None:
    raise ModelFileError(f"{file.header.path} is of no family that can be loaded")


_CHECKS: dict[str, Callable[[File], None]] = {
    families.SPEECH.name: _check_speech,
    families.ALL_IN_ONE.name: _check_speech,
    families.BUNDLED.name: _check_speech,
    families.THINKER.name: _check_thinker,
    families.CODE2WAV.name: _check_code2wav,
}
