"""The benchmark of faults that the doctor's checks were not written for: its ports are right, its mistakes are some."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import omniggml

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.doctor.unseen import (
    audio_edits,
    code_arrangements,
    evidence,
    file_faults,
    frozen,
    grading,
    healthy,
    reported,
    results,
)
from benchmarks.doctor.unseen.arithmetic import effect
from benchmarks.doctor.unseen.examining import Outcome
from benchmarks.doctor.unseen.mistake import Mistake
from benchmarks.doctor.unseen.results import Results
from benchmarks.doctor.unseen.voices import SUBJECTS, Unseen

FOLDER = Path(__file__).parents[1] / "benchmarks/doctor/unseen"


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Unseen:
    return Unseen(tmp_path_factory.mktemp("unseen"))


# --- the ports are right ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_vocoder_port_computes_what_the_engine_computes(subjects: Unseen, name: str) -> None:
    codes = subjects.said(name, 0).codes[:, :24]
    exact = omniggml.load(subjects.file(name), device="cpu", n_threads=1, vocoder_precision="f32")
    assert effect(exact.code2wav(codes), subjects.vocoder(name).decode(codes)) >= 60


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_talker_port_finds_codes_as_likely_as_the_engine(subjects: Unseen, name: str) -> None:
    model, request = subjects.model(name), subjects.request(name, 0)
    codes = subjects.said(name, 0).codes[:, :12]
    prompt = model.talker_prompt(request.conversation, request.answer, speaker=request.speaker)
    states = model.talker_states(prompt, codes)
    later = model.predictor_logits(states.hidden, codes)
    size = model.geometry["code2wav"]["codebook_size"]
    logits = np.concatenate([states.logits[:, None, :size], later], axis=1).astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    expected = np.take_along_axis(logits, codes.T[..., None], 2)[..., 0] - np.log(np.exp(logits).sum(-1))
    assert subjects.talker(name).likelihood(request, codes) == pytest.approx(expected.mean(), abs=0.01)


def test_a_port_without_mistakes_speaks_likely_codes(subjects: Unseen) -> None:
    codes, nats = subjects.spoken_by_port("voice", 0, 3)
    assert codes.shape[0] == 8
    assert -0.3 < nats < 0


# --- mistakes are mistakes --------------------------------------------------------------------------------------------


def test_every_family_of_the_vocoder_changes_the_samples(subjects: Unseen) -> None:
    codes, port = subjects.said("mini", 0).codes[:, :10], subjects.vocoder("mini")
    sound, rng, silent = port.decode(codes), np.random.default_rng(1), []
    for family, mistakes in subjects.grammar("mini").families.items():
        drawn = [mistakes[i] for i in rng.permutation(len(mistakes))[:6]]
        if not any(_differs(sound, port.decode(codes, mistake)) for mistake in drawn):
            silent.append(family)
    assert silent == []


def _differs(sound: np.ndarray, faulty: np.ndarray) -> bool:
    return len(sound) != len(faulty) or effect(sound, faulty) < 120


def test_every_choice_of_the_talker_can_be_made(subjects: Unseen) -> None:
    port, request = subjects.talker("voice"), subjects.request("voice", 0)
    kinds = set()
    for mistakes in subjects.talker_grammar("voice").families.values():
        if mistakes[0].choices:
            codes = port.speak(request, 1, 3, mistakes[0])
            assert codes.shape[0] == 8
            kinds.add(mistakes[0].kind)
    assert kinds <= set(grading.KINDS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_arrangement_changes_codes_or_text(subjects: Unseen) -> None:
    case = frozen.Case("", "codes", "voice", 0, 1)
    codes, others = subjects.said("voice", 0).codes, evidence.others(case, subjects)
    for arrangement in code_arrangements.FAULTS.values():
        changed, text = arrangement.make(codes, np.random.default_rng(2), others)
        assert text or not np.array_equal(changed, codes), arrangement.name
        assert arrangement.kind in grading.KINDS


def test_every_edit_writes_a_file(subjects: Unseen) -> None:
    samples = subjects.said("voice", 0).samples.astype(np.float64)
    right = evidence_bytes(audio_edits.HEALTHY["as it is"], samples, subjects)
    for edit in (*audio_edits.FAULTS.values(), *audio_edits.HEALTHY.values()):
        changed = evidence_bytes(edit, samples, subjects)
        assert edit.name == "as it is" or changed != right, edit.name
        assert edit.healthy or edit.kind in grading.KINDS
        assert evidence_bytes(edit, samples, subjects) == changed or edit.name.startswith("OGG")


def evidence_bytes(edit: audio_edits.Edit, samples: np.ndarray, subjects: Unseen) -> bytes:
    written = edit.make(samples, np.random.default_rng(3), subjects.new_path("")).read_bytes()
    # libsndfile notes the second in which it wrote floats, behind its chunk's name, size and version.
    return re.sub(rb"(PEAK.{8}).{4}", rb"\g<1>time", written, count=1, flags=re.DOTALL)


def test_a_faulty_file_differs_in_its_tensor_alone(subjects: Unseen, tmp_path: Path) -> None:
    source = subjects.file("voice")
    mistake = file_faults.mistakes(source)["ten times"][3]
    written = file_faults.write(source, tmp_path / "faulty-speech.gguf", mistake, 1)
    before, after = file_faults.read_weights(source), file_faults.read_weights(written)
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == [mistake.edits[0][1]]
    assert omniggml.load(written).geometry["code2wav"] == omniggml.load(source).geometry["code2wav"]


# --- frozen -----------------------------------------------------------------------------------------------------------


def test_the_frozen_cases_are_as_many_as_they_are_said_to_be() -> None:
    cases = frozen.cases()
    parts = [case.part for case in cases]
    single = [part for part in parts if part not in ("pairs", "reported") and not part.startswith("healthy")]
    assert (len(single), parts.count("pairs"), len(parts) - len(single)) == (400, 100, 100 + 43 + 250)
    assert len({case.name for case in cases}) == len(cases)
    assert all(mistake.kind in grading.KINDS for case in cases for mistake in case.mistakes)
    assert all(len(case.mistakes) == 2 for case in cases if case.part == "pairs")


def test_what_cannot_be_told_is_audio_without_codes() -> None:
    untellable = [case for case in frozen.cases() if case.untellable]
    numbers = [(case.part, int(case.name.rpartition(" ")[2])) for case in untellable]
    assert sorted(numbers) == [("audio", n) for n in (0, 6, 42, 48, 51)] + [("codes", 21), ("codes", 24)]
    assert not any(case.detail.get("codes") or case.detail.get("text") for case in untellable)
    assert set(frozen.WITHOUT_CODES) <= set(audio_edits.FAULTS)


def test_the_reports_and_healthy_cases_are_the_frozen_ones() -> None:
    drawn = {case.name: case for case in (*reported.cases(), *healthy.cases())}
    kept = {case.name: case for case in frozen.cases() if case.part == "reported" or case.part.startswith("healthy")}
    assert {name: frozen.Case.read(frozen.plain(case)) for name, case in drawn.items()} == kept


def test_a_frozen_vocoder_has_the_effect_that_was_written_down(subjects: Unseen) -> None:
    case = next(one for one in frozen.cases(("vocoder",)) if one.subject == "mini")
    sound = subjects.sound("mini", case.text)
    faulty = subjects.vocoder("mini").decode(subjects.said("mini", case.text).codes, case.mistakes[0])
    assert effect(sound, faulty) == pytest.approx(case.effect, abs=1.5)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = frozen.cases(("vocoder",))[:2]
    outcome = Outcome(one, ("vocoder.trim",), "It is trimmed.", (1,), 2, 3.5, 2.5)
    Results(tmp_path / "new" / "kept.jsonl").add(outcome)
    with (tmp_path / "new" / "kept.jsonl").open("a") as file:
        file.write('{"name": "cut off')
    kept = Results(tmp_path / "new" / "kept.jsonl")
    assert kept.of(one) == outcome and kept.of(two) is None
    monkeypatch.setattr(results, "code_version", lambda: "another")
    assert Results(tmp_path / "new" / "kept.jsonl").of(one) is None


# --- grading ----------------------------------------------------------------------------------------------------------

PLANTED = Mistake("", "code2wav", "swapped", ("code2wav.decoder.1.block.2.act1", "code2wav.decoder.1.block.2"))


@pytest.mark.parametrize(
    ("cause", "right"),
    [
        ({"kind": "swapped", "where": "code2wav.decoder.1.block.2.act1"}, True),
        ({"kind": "swapped", "where": "code2wav.decoder.1.block.2.act1.alpha"}, True),
        ({"kind": "swapped", "where": "code2wav.decoder.1.block.3.act1"}, False),
        ({"kind": "swapped", "where": "code2wav.decoder.*.block.*.act1"}, False),
        ({"kind": "scaled", "where": "code2wav.decoder.1.block.2.act1"}, False),
        ([{"kind": "trim", "where": "x"}, {"kind": "copied", "where": "code2wav.decoder.1.block.2.act1"}], True),
    ],
)
def test_a_cause_is_named_by_kind_and_place(cause: object, right: bool) -> None:
    assert grading.names(SimpleNamespace(cause=cause), PLANTED) is right


# --- independence -----------------------------------------------------------------------------------------------------


def test_nothing_here_imports_the_doctor() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names.append(node.module or "") if isinstance(node, ast.ImportFrom) else None
            assert not any(name.startswith("omniggml.doctor") for name in names), path.name
            uses = isinstance(node, ast.Attribute) and node.attr in ("doctor", "diagnose")
            assert not uses or path.name == "examining.py", path.name
