"""The next question: what to measure where several causes are left, or none."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from omniggml.audio import Recorded
from omniggml.comparison.agreement import agreement
from omniggml.comparison.computation_order import order_of
from omniggml.doctor.case import Case
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.checks.vocoder import check_vocoder
from omniggml.doctor.finding import Diagnosis
from omniggml.doctor.next_question import how_many_frames, where_to_cut, which_module
from omniggml.doctor.port_search import with_mistakes
from omniggml.doctor.text_report import text_report
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.files.stored_weights import StoredWeights
from omniggml.options import LoadOptions
from parity.files import ModelFiles

Codes = npt.NDArray[np.int32]


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Path:
    return model_files.gguf("mini", "f32")[0]


@pytest.fixture(scope="module")
def mirror(mini: Path) -> VocoderMirror:
    weights = StoredWeights(mini)
    assert weights.derived is not None
    return VocoderMirror(weights, asdict(weights.derived.config.code2wav))


@pytest.fixture(scope="module")
def codes(mirror: VocoderMirror) -> Codes:
    shape = (mirror.geometry["num_quantizers"], 4)
    return np.random.default_rng(0).integers(0, mirror.geometry["codebook_size"], shape).astype(np.int32)


def mistake_at(mirror: VocoderMirror, where: str) -> PortMistake:
    """One of a weight that makes another output."""
    return next(m for m in port_mistakes(mirror) if m.kind == "scaled" and m.where == where and m.weights)


def output(mirror: VocoderMirror, codes: Codes, mistake: PortMistake, module: str) -> npt.NDArray[np.float32]:
    changed, choices = with_mistakes(mirror, (mistake,))
    changed.watch = True
    changed(codes, choices)
    return changed.seen[module]


def asked_for(question: str) -> str:
    found = re.search(r"save the output of (\S+) under", question)
    assert found is not None, question
    return found[1]


def test_the_module_that_is_asked_for_tells_causes_apart(mirror: VocoderMirror, codes: Codes) -> None:
    causes = [mistake_at(mirror, f"code2wav.{where}") for where in ("upsample.0.1.pwconv1", "decoder.1.block.1")]
    question = which_module(mirror, codes, [(cause,) for cause in causes])
    name = asked_for(question)
    one, other = (output(mirror, codes, cause, name) for cause in causes)
    assert agreement(one, other).nmse > 1e-2
    assert order_of("code2wav.upsample.0.0") <= order_of(name) < order_of("code2wav.decoder.2")
    later = which_module(mirror, np.tile(codes, 3), [(cause,) for cause in causes], since=7)
    assert "first 4 frames" in question and "first 9 frames" in later
    again = asked_for(which_module(mirror, codes, [(cause,) for cause in causes], [f"model.{name}"]))
    assert again != name


def test_one_cause_leaves_nothing_to_ask(mirror: VocoderMirror, codes: Codes) -> None:
    cause = (mistake_at(mirror, "code2wav.decoder.1.block.1"),)
    assert which_module(mirror, codes, [cause]) == which_module(mirror, codes, [cause, cause]) == ""


def test_without_a_cause_the_mistakes_are_halved(mirror: VocoderMirror, codes: Codes) -> None:
    name = asked_for(where_to_cut(mirror, codes))
    places = [min(map(order_of, m.paths())) for m in port_mistakes(mirror) if m.paths()]
    before = sum(place <= order_of(name) for place in places) / len(places)
    assert 0.2 < before < 0.8
    assert asked_for(where_to_cut(mirror, codes, [name])) != name


def test_no_verdict_without_a_cause_leaves_the_next_step_open(mini: Path, codes: Codes) -> None:
    """Audio of something else: nothing explains it, and the doctor says what to send."""
    noise = np.random.default_rng(1).normal(size=(3000, 1)) * 0.1
    case = Case(
        mini, options=LoadOptions(device="cpu", n_threads=1), codes=codes, audio=Recorded("x", noise, 24000, "FLOAT")
    )
    report = check_vocoder(case, Readable(codes), untrained=False)
    assert "vocoder.differs" in {finding.id for finding in report.findings}
    assert asked_for(report.questions[0]).startswith("code2wav")
    found = Diagnosis("x", tuple(report.findings), next_question=report.questions[0])
    assert "\nnext: In your program decode" in text_report(found)
    assert found.as_dict()["next_question"] == report.questions[0]


def test_frames_that_tell_talkers_apart() -> None:
    assert "Send 4 more frames" in how_many_frames(0.1, 16)
    assert "another text" in how_many_frames(0.0, 16) and "another text" in how_many_frames(1e-9, 16)
