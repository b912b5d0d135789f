"""The vocoder's convolutions run backwards tell what running them forwards with a small change does."""

from __future__ import annotations

import numpy as np
import pytest

from omniggml.doctor.vocoder_adjoint import VocoderAdjoint
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_mirror import Choices, Scoped
from voice_vocoder import voice_codes, voice_mirror

SAMPLES = (9000, 9384)
VARIED = [
    Choices(),
    Choices(padding="centred"),
    Choices(padding="mirror"),
    Choices(padding="right"),
    Choices(layer_norm="rms", gelu="tanh", snake="beta"),
    Choices(layer_norm="over time", residual="mean"),
    Choices(layer_norm="l2", limit="tanh", trim="left"),
    Choices(trim="none", dilations=(9, 3, 1)),
    Choices(units="averaged"),
    Choices(units="beside", residual="mean"),
]


@pytest.mark.parametrize("own", VARIED, ids=str)
def test_what_a_small_change_adds(own: Choices) -> None:
    mirror, choices = voice_mirror(), Scoped((("*", own),))
    cone = Cone(mirror, choices, *SAMPLES)
    leaving = mirror.entering(voice_codes()[:, : cone.frames], choices, cone.convolutions + 1)[-1]
    given = cone.entering(mirror, leaving)
    draw = np.random.default_rng(0)
    weights = draw.standard_normal((3, SAMPLES[1] - SAMPLES[0])).astype(np.float32)
    back = VocoderAdjoint.of(mirror).pulled_back(cone, given, choices, weights)
    for number in range(cone.convolutions, len(cone.stages)):
        x, adds = given[number - cone.convolutions], back[number - cone.convolutions]
        change = (np.abs(x).mean() * draw.standard_normal(x.shape)).astype(np.float32)
        told = (adds * change).sum(axis=(1, 2))
        up, down = (cone.samples(mirror, number, x + np.float32(by) * change) for by in (3e-3, -3e-3))
        computed = weights @ (up.astype(np.float64) - down) / 6e-3
        np.testing.assert_allclose(
            told, computed, atol=1e-3 + 0.05 * np.linalg.norm(computed), err_msg=cone.stages[number]
        )
