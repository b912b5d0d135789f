"""A few samples of the vocoder are those of the whole, whatever is computed otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_mirror import Choices, Scoped
from parity.files import ModelFiles
from test_doctor_mirror import codes_for, mirror_of
from voice_vocoder import voice_codes, voice_mirror

EVERYWHERE = "*"
CHOICES: dict[str, dict[str, Any]] = {
    "right": {},
    "padded at the right": {"padding": "right"},
    "padded at both sides": {"padding": "centred"},
    "padded by the edge": {"padding": "edge"},
    "trimmed at the right": {"trim": "right"},
    "trimmed at the left": {"trim": "left"},
    "trimmed by halves": {"trim": "halves"},
    "not trimmed": {"trim": "none"},
    "not dilated": {"dilated": False},
    "dilated more": {"dilations": (3, 9, 27)},
    "units left out": {"used": False},
    "Snake behind": {"snake_after": True},
    "residuals behind Snake": {"residual": "normed"},
    "residuals scaled": {"residual": "scaled"},
    "units averaged": {"units": "averaged"},
    "units beside each other": {"units": "beside", "dilations": (3, 9, 1)},
}


@pytest.mark.parametrize("case", CHOICES)
@pytest.mark.parametrize("geometry", ["mini", "odd"])
def test_the_same_samples(model_files: ModelFiles, geometry: str, case: str) -> None:
    mirror = mirror_of(model_files.gguf(geometry, "f32")[0])
    codes, choices = codes_for(mirror, 14), Scoped(((EVERYWHERE, Choices(**CHOICES[case])),))
    whole, entering = mirror(codes, choices), mirror.entering(codes, choices)
    for start in (0, len(whole) // 3, len(whole) - 70):
        cone = Cone(mirror, choices, start, start + 60)
        for first in (0, 1, cone.convolutions):
            few = cone.samples(mirror, first, entering[first])
            np.testing.assert_allclose(few, whole[start : start + 60], rtol=0, atol=1e-5, err_msg=f"{start}, {first}")


@pytest.mark.parametrize(
    "changes",
    [
        {"1.block.2.conv1": {"dilated": False}},
        {"1.block.4.conv1": {"padding": "right"}},
        {"2.block.3.act1": {"snake": "plain"}},
        {"3.block.4": {"residual": "mean"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("units", ["averaged", "beside"])
def test_units_side_by_side_with_another_choice(units: str, changes: dict[str, dict[str, Any]]) -> None:
    """A trial begins where the first unit is computed, and sees as far as any of them."""
    mirror, codes = voice_mirror(), voice_codes()[:, :12]
    beside = [("code2wav.decoder.[123]", Choices(units=units))]
    others = [(f"code2wav.decoder.{path}", Choices(**own)) for path, own in changes.items()]
    base, choices = Scoped((*beside,)), Scoped((*others, *beside))
    whole, entering = mirror(codes, choices), mirror.entering(codes, base)
    for start in (0, 9000):
        cone = Cone(mirror, choices, start, start + 60)
        few = cone.samples(mirror, 0, codes)
        np.testing.assert_allclose(few, whole[start : start + 60], rtol=0, atol=1e-5)
    first = min(mirror.stage_of(path, choices) for path, _ in others)
    np.testing.assert_allclose(mirror.from_stage(first, entering[first], choices), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CHOICES)
@pytest.mark.parametrize("geometry", ["mini", "odd"])
def test_many_at_once(model_files: ModelFiles, geometry: str, case: str) -> None:
    """That come in at whatever stage, and lie side by side, each as alone: at the speech's start, too."""
    mirror, draw = mirror_of(model_files.gguf(geometry, "f32")[0]), np.random.default_rng(1)
    codes, choices = codes_for(mirror, 14), Scoped(((EVERYWHERE, Choices(**CHOICES[case])),))
    for start in (0, 30, len(mirror(codes, choices)) // 2):
        cone = Cone(mirror, choices, start, start + 60)
        entering = cone.entering(mirror, mirror.entering(codes, choices, cone.convolutions + 1)[-1])
        given: dict[int, list[Any]] = {
            number: [x + 0.1 * draw.standard_normal(x.shape).astype(np.float32) for _ in range(1 + number % 3)]
            for number, x in list(enumerate(entering[1:], cone.convolutions + 1))[:: 1 + start % 4]
        }
        alone = [cone.samples(mirror, number, x) for number, some in given.items() for x in some]
        assert len(alone) > 3
        np.testing.assert_allclose(cone.samples_of_many(mirror, given), alone, rtol=0, atol=1e-5, err_msg=f"{start}")


def test_what_does_not_keep_apart(model_files: ModelFiles) -> None:
    mirror = mirror_of(model_files.gguf("mini", "f32")[0])
    kept = {
        limit: Cone(mirror, Scoped((("code2wav", Choices(limit=limit)),)), 9000, 9100).keeps_apart
        for limit in ("clip", "peak")
    }
    assert kept == {"clip": True, "peak": False}


def test_what_enters_a_stage_is_what_it_sees(model_files: ModelFiles) -> None:
    mirror, right = mirror_of(model_files.gguf("mini", "f32")[0]), Scoped(())
    codes = codes_for(mirror, 14)
    whole = mirror(codes)
    cone = Cone(mirror, right, 9000, 9100)
    entering = mirror.entering(codes, right, cone.convolutions + 1)[-1]
    seen = cone.entering(mirror, entering)
    assert seen[-1].shape[-1] < 300 < mirror.entering(codes)[-1].shape[-1]
    for number, x in enumerate(seen[1:], cone.convolutions + 1):
        np.testing.assert_allclose(cone.samples(mirror, number, x), whole[9000:9100], rtol=0, atol=1e-5)


def test_stages_that_see_more_are_told_apart(model_files: ModelFiles) -> None:
    mirror = mirror_of(model_files.gguf("mini", "f32")[0])
    right = Cone(mirror, Scoped(()), 9000, 9100)
    other = Cone(mirror, Scoped((("code2wav.decoder.1", Choices(dilations=(1, 3, 5))),)), 9000, 9100)
    same = Cone(mirror, Scoped((("code2wav.decoder.1.block.2.act1", Choices(snake="plain")),)), 9000, 9100)
    assert same.sees_like(right) and not other.sees_like(right)
