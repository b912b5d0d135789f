"""A glance shows what a trial makes, roughly, and says where it doesn't."""

from __future__ import annotations

import random

import numpy as np
import pytest

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.port_trials import Trials
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_glance import VocoderGlance
from omniggml.doctor.vocoder_grammar import port_mistakes
from omniggml.doctor.vocoder_mirror import Choices, FloatArray, Scoped, VocoderMirror
from voice_vocoder import voice_codes, voice_mirror

RIGHT, BACK = Scoped(()), bounds.GLANCES_BACK[0]


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


def looked(mirror: VocoderMirror, start: int, back: int = BACK) -> tuple[Cone, list[FloatArray], VocoderGlance]:
    cone = Cone(mirror, RIGHT, start, start + 384)
    leaving = mirror.entering(voice_codes()[:, : cone.frames], RIGHT, cone.convolutions + 1)[-1]
    seen = cone.entering(mirror, leaving)
    return cone, seen, VocoderGlance(mirror, RIGHT, cone, seen, back)


@pytest.mark.parametrize("start", [0, 384, 5000, 30001])
def test_without_a_mistake_it_shows_what_is_there(mirror: VocoderMirror, start: int) -> None:
    cone, seen, glance = looked(mirror, start)
    shown = glance.samples_of_many({number: [x, x] for number, x in enumerate(seen, cone.convolutions)})
    ours = cone.samples(mirror, len(cone.stages) - 1, seen[-1])
    np.testing.assert_allclose(shown, np.tile(ours, (len(shown), 1)), rtol=0, atol=1e-5)


def test_all_that_a_stage_sees_is_no_glance(mirror: VocoderMirror) -> None:
    cone, seen, glance = looked(mirror, 20000, 10**6)
    given = {number: [1.5 * x[::-1]] for number, x in enumerate(seen, cone.convolutions)}
    np.testing.assert_allclose(glance.samples_of_many(given), cone.samples_of_many(mirror, given), rtol=0, atol=1e-5)
    assert glance.tells == pytest.approx(1)


def test_it_needs_what_lies_before_alone() -> None:
    assert VocoderGlance.is_able(RIGHT) and VocoderGlance.is_able(Scoped((("*", Choices(snake="plain")),)))
    assert not any(
        VocoderGlance.is_able(Scoped((("*", own),))) for own in (Choices(padding="edge"), Choices(limit="peak"))
    )


def trials_of(mirror: VocoderMirror) -> Trials:
    """Against what noisy weights make, which no mistake explains."""
    codes, draw = voice_codes(), np.random.default_rng(3)
    noisy = {
        name: values + 0.3 * values.std() * draw.standard_normal(values.shape).astype(np.float32)
        for name in mirror.weights
        if ".decoder." in name and (values := mirror.weight(name)).ndim == 3
    }
    theirs = mirror.with_weights(noisy)(codes).astype(np.float64)
    return Trials(mirror, RIGHT, codes, theirs, len(theirs) // codes.shape[1], codes.shape[1], 1e-6)


def test_what_comes_nearer_is_tried_as_ever_and_the_rest_glanced_at(mirror: VocoderMirror) -> None:
    trials = trials_of(mirror)
    mistakes = random.Random(5).sample([one for one in port_mistakes(mirror) if one.weights], 300)
    before, exact = trials.glimpsed(None), {id(one): trials.glimpsed(one) for one in mistakes}
    told = [(left, exact[id(one)]) for one, left in trials.glimpsed_in_turn(mistakes)]
    assert len(told) == len(mistakes)
    roughly = [(left, really) for left, really in told if not np.isclose(left, really, rtol=1e-3)]
    assert 60 < len(roughly) < len(told)
    # Many come nearer than these, or none of these comes nearer at all; what is much nearer isn't overlooked.
    nearest = sorted(left for left, _ in told)[bounds.NEAREST - 1]
    bar = min(bounds.WORTH_A_LOOK.value * before, nearest)
    assert all(left >= bar and really > 0.9 * bar for left, really in roughly)


def test_one_search_within_another(mirror: VocoderMirror) -> None:
    """Which tries the same mistakes while the first waits for its next."""
    trials = trials_of(mirror)
    mistakes = random.Random(5).sample([one for one in port_mistakes(mirror) if one.weights], 300)
    first = trials.glimpsed_in_turn(mistakes)
    begun = [next(first) for _ in range(120)]
    within = {id(one): left for one, left in trials.glimpsed_in_turn([*mistakes, *mistakes[:5]])}
    told = {id(one): left for one, left in [*begun, *first]}
    assert len(told) == len(mistakes)
    far = bounds.WORTH_A_LOOK.value * trials.glimpsed(None)
    for key, left in told.items():
        assert (left > far and within[key] > 0.9 * far) or left == pytest.approx(within[key], rel=1e-3)


def test_where_what_lies_far_back_tells_it_is_not_glanced_at(mirror: VocoderMirror) -> None:
    """A vocoder whose kernels have nothing but their first taps."""
    far = {}
    for name in mirror.weights:
        if name.endswith(".conv1.conv.weight"):
            far[name] = np.zeros_like(mirror.weight(name))
            far[name][:, :, 0] = 30 * mirror.weight(name).sum(axis=2)
    mirror = mirror.with_weights(far)
    assert looked(mirror, 20000)[2].tells < bounds.GLANCE_TELLS
    trials = trials_of(mirror)
    assert trials._glance is None
    mistakes = random.Random(7).sample([one for one in port_mistakes(mirror) if one.weights], 60)
    for one, left in trials.glimpsed_in_turn(mistakes):
        np.testing.assert_allclose(left, trials.glimpsed(one), rtol=1e-3, atol=1e-6)
