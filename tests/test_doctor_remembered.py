"""What a right module made of the same is kept, and trials with it are what they are without."""

from __future__ import annotations

import numpy as np
import pytest

from omniggml.doctor.port_trials import Trials
from omniggml.doctor.remembered import Remembered
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import Scoped, VocoderMirror
from test_doctor_glance import trials_of
from voice_vocoder import voice_codes, voice_mirror

FEW = 60


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


@pytest.fixture(scope="module")
def trials(mirror: VocoderMirror) -> Trials:
    return trials_of(mirror)


def some_of(mistakes: list[PortMistake], seed: int) -> list[PortMistake]:
    picked = np.random.default_rng(seed).choice(len(mistakes), FEW, replace=False)
    return [mistakes[n] for n in picked]


def test_what_is_not_known_is_not_kept() -> None:
    remembered, x = Remembered(), np.ones(3, np.float32)
    made = remembered.keep("what", x, x + 1)
    assert remembered.made("what", x) is None
    made += 1  # nobody else has it


def test_what_is_made_of_what_is_known_is_known() -> None:
    remembered, x = Remembered(), np.ones(3, np.float32)
    remembered.knows(x)
    once = remembered.keep("first", x, x + 1)
    twice = remembered.keep("second", once, once + 1)
    assert remembered.made("first", x) is once
    assert remembered.made("second", once) is twice
    assert remembered.made("second", x) is None
    with pytest.raises(ValueError, match="read-only"):
        once += 1


def test_another_array_of_the_same_values_is_another() -> None:
    remembered, x = Remembered(), np.ones(3, np.float32)
    remembered.knows(x)
    remembered.keep("what", x, x + 1)
    assert remembered.made("what", x.copy()) is None


@pytest.mark.parametrize("seed", range(3))
def test_trials_are_what_they_are_without(mirror: VocoderMirror, trials: Trials, seed: int) -> None:
    """Of mistakes drawn from all, twice: what the first kept is what the second is given."""
    forgetful = trials_of(mirror)
    forgetful.mirror.remembered = None
    for mistake in some_of(list(port_mistakes(mirror)), seed):
        left = forgetful.glimpsed(mistake)
        for _ in range(2):
            again = trials.glimpsed(mistake)
            assert again == pytest.approx(left, rel=1e-3, abs=1e-6), mistake.clause


def test_a_mistake_is_not_kept(mirror: VocoderMirror) -> None:
    """Neither of weights, nor of choices: what is right after it is right."""
    cone = Cone(mirror, Scoped(()), 4000, 4384)
    own = mirror.remembering()
    assert own.remembered is not None and mirror.remembered is None
    frames = list(mirror.entering(voice_codes(), Scoped(()), cone.convolutions + 1))
    given = cone.entering(mirror, frames[-1][:, : cone.frames])
    for x in given:
        own.remembered.knows(x)
    right = {n: cone.made(mirror, n, given[n - cone.convolutions]) for n in range(cone.convolutions, len(cone.stages))}
    for mistake in some_of([one for one in port_mistakes(mirror) if one.paths()], 7):
        first = mirror.stage_of(next(iter(mistake.paths())))
        if first < cone.convolutions or mistake.moves or mistake.sees_all or mistake.codes is not None:
            continue
        changed = own
        for misread in mistake.weights:
            changed = changed.with_weights(misread.applied(own.weight))
        x = given[first - cone.convolutions]
        with np.errstate(all="ignore"):
            cone.choosing(mistake.choices).made(changed, first, x)
            np.testing.assert_allclose(cone.made(own, first, x), right[first], rtol=1e-4, atol=1e-5)


def test_several_go_through_the_transformer_as_each_alone(mirror: VocoderMirror) -> None:
    stages = mirror.stages()[1 : mirror.convolutions]
    draw = np.random.default_rng(2)
    x = draw.standard_normal((3, 11, mirror.geometry["hidden_size"])).astype(np.float32)
    every, each = x, list(x)
    for stage in stages:
        every = mirror.step(stage, every, Scoped(()))
        each = [mirror.step(stage, one, Scoped(())) for one in each]
    assert every.shape == (x.shape[-1], 3, 11)  # the last turns them
    np.testing.assert_allclose(every, np.stack(each, axis=1), rtol=1e-4, atol=1e-5)
