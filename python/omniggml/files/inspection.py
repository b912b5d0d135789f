"""What a file is, whether or not it can be loaded; `judgement.py` says that."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.checked import checked
from omniggml.errors import ModelFileError
from omniggml.files import families
from omniggml.files.judgement import Judgement, expected_of, judge
from omniggml.files.opening import File, Planning, open_file
from omniggml.files.plan import missing, stacked
from omniggml.files.unused_keys import unused_keys
from omniggml.gguf.header import StoredTensor
from omniggml.gguf.type_names import bits_of
from omniggml.hub_file import local_file
from omniggml.spec import thinker_file
from omniggml.spec.expected_tensors import TEXT_EMBEDDING, thinker_tensors
from omniggml.spec.precision_needs import need_of
from omniggml.spec.speech_file import SPEAKER_NAMES
from omniggml.spec.stages import stage_of
from omniggml.spec.thinker_file import GENERAL_SAMPLING

_TOLD = (families.THINKER, families.MMPROJ)
_WITH_GEOMETRY = tuple(family for family in families.FAMILIES if family not in _TOLD)
_SAMPLING = ".generation."


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
    "" where it can. `needs`: options of `load` that name the files with which it can. `assumed`: settings that the file
    does not tell, as they would be taken. `missing`: tensors of ours that it should hold. `unknown`: tensors
    that belong to no stage. `speakers`: their names. `languages`: those that the file names. `sampling`: defaults by
    stage. `unused`: keys of the metadata that nothing here reads."""

    path: str
    size: int
    architecture: str
    family: str
    title: str
    problem: str
    needs: tuple[str, ...]
    speakers: tuple[str, ...]
    languages: tuple[str, ...]
    chat_template: bool
    sampling: dict[str, dict[str, Any]]
    geometry: dict[str, dict[str, Any]]
    assumed: dict[str, Any]
    shares: tuple[Share, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    concerns: tuple[Concern, ...]
    unused: tuple[str, ...] = ()

    @property
    def loads(self) -> bool:
        """Whether it can be loaded, if need be beside others."""
        return Judgement(self.problem, self.needs).loads

    @property
    def parameters(self) -> int:
        """Values in all tensors."""
        return sum(share.parameters for share in self.shares)

    def as_dict(self) -> dict[str, Any]:
        """What `omniggml inspect --json` prints."""
        return {**dataclasses.asdict(self), "loads": self.loads, "parameters": self.parameters}


@checked
def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Say what a file is: family, geometry, parameters and bytes, what is missing, what sits in too few bits.

    Reads no values. Raises ModelFileError only where there is no file to read; all else is in the result's `problem`.
    """
    file_path = local_file(path)
    if not file_path.exists():
        raise ModelFileError(f"{file_path} is no file")
    try:
        file = open_file(file_path)
    except ModelFileError as error:
        return _unreadable(file_path, str(error))
    named = {stored.name: _our_name(file, stored.name) for stored in file.header.tensors.values()}
    geometry, assumed, lacking = _geometry(file)
    judgement = judge(file)
    metadata = file.header.metadata
    return Inspection(
        path=str(file_path),
        size=file.header.size,
        architecture=file.header.architecture,
        family=file.family.name if file.family else "unknown",
        title=file.family.title if file.family else "a file of no known family",
        problem=judgement.problem,
        needs=judgement.needs,
        speakers=_texts(metadata.get(SPEAKER_NAMES))
        or _texts([n for n, _ in geometry.get("talker", {}).get("speakers", ())]),
        languages=_texts(metadata.get("general.languages")),
        chat_template=isinstance(metadata.get("tokenizer.chat_template"), str),
        sampling=_sampling(metadata),
        geometry=geometry,
        assumed=assumed,
        shares=_shares(file, named),
        missing=tuple(lacking),
        unknown=tuple(name for name, ours in named.items() if not ours),
        concerns=tuple(_concerns(file.header.tensors, named)),
        unused=unused_keys(file),
    )


def _unreadable(path: Path, problem: str) -> Inspection:
    size = path.stat().st_size
    return Inspection(
        str(path), size, "", "unknown", "no sound GGUF file", problem, (), (), (), False, {}, {}, {}, (), (), (), ()
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()


def _sampling(metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage -> defaults, of `PREFIX.STAGE.generation.NAME` and of llama.cpp's `general.sampling.NAME`."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in metadata.items():
        stage, marked, name = key.partition(_SAMPLING)
        if not marked and key.startswith(GENERAL_SAMPLING):
            stage, name = thinker_file.EXTRA, key.removeprefix(GENERAL_SAMPLING)
        elif not marked:
            continue
        stage = "thinker" if stage == thinker_file.EXTRA else stage.rpartition(".")[2]
        found.setdefault(stage, {})[name] = value
    return found


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
    if file.family not in _WITH_GEOMETRY:
        return _told_geometry(file), {}, []
    try:
        planning = Planning([file], None, None, {})
        derived = planning.derived(in_part=True)
    except ModelFileError:
        return _told_geometry(file), {}, []
    config = derived.config
    stages = file.family.holds if file.family else ()
    if planning.contents.holds("code2wav.") and not planning.contents.holds("talker."):
        stages = ("code2wav",)  # a vocoder alone, which decodes
    expected = [name for name in expected_of(file, config) if stage_of(name) in stages]
    if "text table" in stages or "thinker" in stages:
        expected.append(TEXT_EMBEDDING)
    sections: dict[str, Any] = {"talker": config.talker, "code_predictor": config.code_predictor}
    sections = (sections if "talker" in stages else {}) | (
        {"code2wav": config.code2wav} if "code2wav" in stages else {}
    )
    if file.family is families.ALL_IN_ONE and planning.contents.holds("thinker.model.layers."):
        expected += stacked(thinker_tensors(config.thinker))
        sections = {"thinker": config.thinker, **sections}
    geometry = {name: dataclasses.asdict(section) for name, section in sections.items()}
    assumed = {name: value for name, value in derived.assumed.items() if name.partition(".")[0] in (*sections, "token")}
    return geometry, assumed, missing(dict.fromkeys(expected), planning.contents)


def _told_geometry(file: File) -> dict[str, dict[str, Any]]:
    """The numbers under the architecture's name."""
    prefix = f"{file.header.architecture}."
    numbers = {
        key.removeprefix(prefix): value
        for key, value in file.header.metadata.items()
        if key.startswith(prefix) and isinstance(value, (bool, int, float))
    }
    return {file.header.architecture: numbers} if numbers else {}
