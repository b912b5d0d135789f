"""What a mistake changes made in many modules is, to first order, the sum of what it changes made in each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from omniggml.doctor.port_trials import Trials
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import Scoped, VocoderMirror
from voice_vocoder import voice_codes, voice_mirror

DECODER = "code2wav.decoder.*.block.*"
MANY = (
    f"{DECODER}.conv1.conv.bias is read one place on",
    f"{DECODER}.act2.beta is multiplied by 0.707",
    f"{DECODER}.conv2.conv.bias is left out",
)
"""Small ones, of so many stages that each is weighed by its modules alone."""


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


@pytest.fixture(scope="module")
def codes() -> Any:
    return voice_codes()


@pytest.fixture(scope="module")
def every(mirror: VocoderMirror) -> list[PortMistake]:
    return list(port_mistakes(mirror))


def weighing(mirror: VocoderMirror, codes: Any) -> Trials:
    """Of theirs with a little noise."""
    ours = mirror(codes).astype(np.float64)
    theirs = ours + 0.05 * ours.std() * np.random.default_rng(1).standard_normal(len(ours))
    per_frame = len(theirs) // codes.shape[1]
    return Trials(mirror, Scoped(()), codes, theirs, per_frame, codes.shape[1], 1e-6, weigh=True)


def alike(clause: str, every: list[PortMistake]) -> tuple[PortMistake, list[PortMistake]]:
    """The one, and the same in each module that it concerns."""
    (whole,) = (one for one in every if one.clause == clause)
    parts = [one for one in every if one.is_of_one and one.anywhere == whole.anywhere and one.changed <= whole.changed]
    return whole, parts


@pytest.mark.parametrize("clause", MANY)
def test_it_goes_the_way_that_it_goes(clause: str, mirror: VocoderMirror, codes: Any, every: list[PortMistake]) -> None:
    trials = weighing(mirror, codes)
    whole, parts = alike(clause, every)
    assert len(parts) == 12
    trials.likeliest_first([whole, *parts], math.inf)
    made = trials._glimpse(trials._looks[0], whole)
    assert made is not None and trials.first_order is not None
    right, added = trials.first_order.sums_of_samples(made), trials.sums[id(whole)]
    assert float(right @ added) > 0.8 * float(np.linalg.norm(right) * np.linalg.norm(added))
    np.testing.assert_allclose(added, np.sum([trials.sums[id(one)] for one in parts], axis=0), rtol=1e-5)


@pytest.mark.parametrize("clause", MANY[:2])
def test_what_is_not_known_of_one_is_not_known_of_all(
    clause: str, mirror: VocoderMirror, codes: Any, every: list[PortMistake]
) -> None:
    trials = weighing(mirror, codes)
    whole, parts = alike(clause, every)
    trials.likeliest_first([whole, *parts[1:]], math.inf)
    assert id(whole) not in trials.sums and id(parts[1]) in trials.sums


def test_alphas_are_no_betas(every: list[PortMistake]) -> None:
    whole, parts = alike(MANY[1], every)
    assert all(name.endswith(".beta") for one in (whole, *parts) for name in one.changed)
