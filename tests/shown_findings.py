"""What leads to a finding, and what looks like it and doesn't: the form of the tables in `test_doctor_findings.py` and
`test_doctor_mistakes.py`, and the models, codes and audio that they draw on.

Faults are made by other means than the checks that find them: GGUF files edited byte by byte, NumPy, sound files of
libsndfile, and the ports of talker and vocoder of `benchmarks/doctor/unseen`, which import nothing of the doctor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from gguf_edit import GgufEdit
from omniggml.doctor.catalogue import CATALOGUE, Severity
from omniggml.doctor.finding import Diagnosis, Exit

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.doctor.subjects import TEXTS, put, values
from benchmarks.doctor.unseen.mistake import Mistake
from benchmarks.doctor.unseen.voices import Unseen

TEXT = TEXTS[0]
LONG = "hello world, how are you today and what do you think"
VOICE = "voice"
Given = dict[str, Any]


class Evidence(Unseen):
    """Files of every geometry and of the built-in voice below one directory, what they said, and ports of them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._seen: dict[Callable[[Evidence], Given], Diagnosis] = {}

    def diagnosis(self, given: Callable[[Evidence], Given]) -> Diagnosis:
        """What the doctor says of it; asked once."""
        if given not in self._seen:
            self._seen[given] = omniggml.diagnose(**given(self), n_threads=1)
        return self._seen[given]

    def speech(self, name: str, **options: Any) -> Any:
        """What a model says of `TEXT`, or of another `text`."""
        options = {"text": TEXT, "seed": 1, "max_frames": 40, **options}
        return self.model(name).speak(options.pop("text"), **options)

    @cached_property
    def tiny_codes(self) -> Any:
        return self.spoken("tiny").codes

    @cached_property
    def outspoken(self) -> Path:
        """A tiny model whose talker hangs on what it attends to and on its experts, as trained ones do."""
        edit, rng = self.edit("tiny"), np.random.default_rng(0)
        for tensor in edit.tensors:
            name = str(tensor.name)
            if name.startswith("talker.model.layers.") and name.endswith(("q_norm.weight", "k_norm.weight")):
                old = values(edit, name)
                put(edit, name, 2 * old * np.exp(0.5 * rng.normal(size=old.shape)))
            if name.startswith("talker.model.layers.") and "down_proj" in name:
                put(edit, name, 8 * values(edit, name))
        return self.written(edit)

    @cached_property
    def voice_codes(self) -> Any:
        return self.spoken(VOICE).codes

    def sound_file(self, samples: Any, rate: int = 24000, ending: str = ".wav", **options: Any) -> Path:
        """A sound file of libsndfile's."""
        path = self.new_path(ending)
        soundfile.write(path, samples, rate, **options)
        return path

    def with_codes(self, name: str, samples: Any, codes: Any = None, **options: Any) -> Given:
        """Audio beside the codes that it was made of: a model's `spoken` ones where no others are given."""
        options = {"subtype": "FLOAT", **options}
        codes = self.spoken(name).codes if codes is None else codes
        return {"model": self.file(name), "codes": codes, "audio": self.sound_file(samples, **options)}


@dataclass(frozen=True)
class Shown:
    """`fault` leads to the finding, `neighbour` looks like it and is healthy; both make what the doctor is given.
    `alone`: the finding is the verdict, or, where it is a note, nothing else is wrong; otherwise it is one of several
    that the fault leads to. `slow`: the doctor looks for long."""

    fault: Callable[[Evidence], Given]
    neighbour: Callable[[Evidence], Given]
    alone: bool = True
    slow: bool = False


def each(shown: dict[str, Shown]) -> list[Any]:
    """Ids, as parameters of a test of faults."""
    return [pytest.param(id, marks=pytest.mark.slow if one.slow else ()) for id, one in shown.items()]


def ids(found: Diagnosis) -> list[str]:
    """Of all findings, notes as well."""
    return [finding.id for finding in found.findings]


def check_fault(id: str, found: Diagnosis, *, alone: bool) -> None:
    """The finding was made."""
    assert id in ids(found), found.verdict
    assert sum(finding.id == id and not finding.tensors for finding in found.findings) <= 1
    if alone and CATALOGUE[id].severity is Severity.NOTE:
        assert found.exit_code == Exit.HEALTHY, found.verdict
    elif alone:
        assert found.causes[0].id == id, found.verdict


def check_neighbour(id: str, found: Diagnosis) -> None:
    """The finding was not made, and nothing is called wrong."""
    assert id not in ids(found) and id not in {finding.id for finding in found.superseded}
    assert found.exit_code == Exit.HEALTHY, found.verdict


# --- ways to make a fault ---------------------------------------------------------------------------------------------

Edit = Callable[[GgufEdit], Any]


def edited(edit: Edit, name: str = "tiny", **given: Any) -> Callable[[Evidence], Given]:
    """A file, changed."""

    def make(evidence: Evidence) -> Given:
        file = evidence.edit(name)
        edit(file)
        return {"model": evidence.written(file), **given}

    return make


def changed(tensor: str, change: Callable[[Any], Any], name: str = "tiny") -> Callable[[Evidence], Given]:
    """A file, in which one tensor's values are changed."""
    return edited(lambda edit: put(edit, tensor, change(values(edit, tensor))), name)


def codes(change: Callable[[Any], Any], name: str = "tiny", **given: Any) -> Callable[[Evidence], Given]:
    """Codes that a model spoke, changed."""
    return lambda evidence: {"model": evidence.file(name), "codes": change(evidence.spoken(name).codes), **given}


def audio(change: Callable[[Any], Any], name: str = "tiny", **options: Any) -> Callable[[Evidence], Given]:
    """Audio that a model spoke, changed, beside its codes."""
    return lambda evidence: evidence.with_codes(
        name, change(evidence.spoken(name).samples.astype(np.float64)), **options
    )


def choices(kind: str, **made: Any) -> Mistake:
    """A port's, by "path:choice" with `*` for digits."""
    return Mistake(kind, "", kind, (), (), made)


def edits(kind: str, *made: tuple[Any, ...]) -> Mistake:
    """A port's, of weights."""
    return Mistake(kind, "", kind, (), made)
