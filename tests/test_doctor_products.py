"""What several trials multiply by one matrix is multiplied at once, and each gets what it would have got alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from omniggml.doctor import products
from omniggml.doctor.products import FloatArray, NeededProduct, Steps, computed, computed_together
from omniggml.doctor.vocoder_grammar import port_mistakes
from omniggml.doctor.vocoder_mirror import Choices, Scoped, VocoderMirror
from test_doctor_glance import RIGHT, trials_of
from voice_vocoder import voice_codes, voice_mirror


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


def chain(matrices: Sequence[FloatArray], stages: Sequence[int], x: FloatArray) -> Steps[FloatArray]:
    """A product after the other."""
    for stage, matrix in zip(stages, matrices, strict=True):
        x = np.tanh((yield NeededProduct(stage, matrix, x)))
    return x


def drawn(seed: int) -> list[Callable[[], Steps[FloatArray]]]:
    """Some, of which many share matrices, and some begin later or end sooner than others."""
    draw = np.random.default_rng(seed)
    shared = [draw.standard_normal((8, 8)).astype(np.float32) for _ in range(6)]
    every = []
    for _ in range(draw.integers(1, 9)):
        first, last = sorted(draw.integers(0, 7, 2))
        own = [shared[n] if draw.random() < 0.7 else shared[n] + np.float32(1) for n in range(first, last)]
        x = draw.standard_normal((8, draw.integers(1, 5))).astype(np.float32)
        every.append(lambda own=own, first=first, last=last, x=x: chain(own, range(first, last), x))
    return every


@pytest.mark.parametrize("seed", range(20))
def test_each_gets_what_it_gets_alone(seed: int) -> None:
    together = computed_together([begun() for begun in drawn(seed)])
    for made, begun in zip(together, drawn(seed), strict=True):
        np.testing.assert_allclose(made, computed(begun()), rtol=1e-5, atol=1e-6)


def test_of_one_matrix_there_is_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though one begins later: it is waited for."""
    counted: list[int] = []
    at_once = products._at_once
    monkeypatch.setattr(products, "_at_once", lambda some: counted.append(len(some)) or at_once(some))
    matrices = [np.eye(4, dtype=np.float32) * n for n in (1, 2, 3)]
    x = np.ones((4, 2), np.float32)
    computed_together([chain(matrices[n:], range(n, 3), x) for n in (0, 2, 1)])
    assert counted == [1, 2, 3]


def test_none_at_all() -> None:
    assert computed_together([]) == []


def test_shapes_that_do_not_fit_are_told_to_the_one_that_asked() -> None:
    def careful(x: FloatArray) -> Steps[str]:
        try:
            yield NeededProduct(0, np.zeros((3, 3), np.float32), x)
        except ValueError:
            return "doesn't fit"
        return "fits"

    sizes = [3, 4, 3, 5]
    told = computed_together([careful(np.zeros((size, 2), np.float32)) for size in sizes])
    assert told == ["fits", "doesn't fit", "fits", "doesn't fit"]
    with pytest.raises(ValueError, match="matmul"):
        computed(chain([np.zeros((3, 3), np.float32)], [0], np.zeros((4, 2), np.float32)))


@pytest.mark.parametrize("threads", [1, 2])
def test_side_by_side_each_mistake_leaves_what_it_leaves_alone(mirror: VocoderMirror, threads: int) -> None:
    trials = trials_of(mirror)
    trials._threads = threads
    mistakes = random.Random(2).sample(list(port_mistakes(mirror)), 150)
    far = trials._far
    told = list(trials.glimpsed_side_by_side(mistakes, 0))
    assert [one for one, _ in told] == mistakes
    for one, left in told:
        assert left > far or left == pytest.approx(trials.glimpsed(one), rel=1e-3)
    elsewhere = [left for _, left in trials.glimpsed_side_by_side(mistakes[:40], 1)]
    np.testing.assert_allclose(elsewhere, [trials.glimpsed(one, 1) for one in mistakes[:40]], rtol=1e-3)


def test_large_weights_are_misread_few_at_once(mirror: VocoderMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = trials_of(mirror)
    mistakes = [one for one in port_mistakes(mirror) if one.weights][:50]
    sizes = {
        id(one): sum(mirror.weight(name).size for misread in one.weights for name in misread.changes)
        for one in mistakes
    }
    room = int(np.median([*sizes.values()])) * 3
    monkeypatch.setattr("omniggml.doctor.thresholds.MISREAD_TOGETHER", room)
    some = list(trials._few_at_once(mistakes))
    assert [one for few in some for one in few] == mistakes and len(some) > 5
    assert all(len(few) == 1 or sum(sizes[id(one)] for one in few) <= room for few in some)


def test_first_frames_are_not_computed_again(mirror: VocoderMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, fresh = voice_codes(), voice_mirror()
    whole = fresh(codes)
    alone = mirror(codes[:, :9])
    monkeypatch.setattr(VocoderMirror, "from_stage", None)
    first = fresh(codes[:, :9], Scoped(()))
    np.testing.assert_allclose(first, alone, rtol=0, atol=1e-5)
    first[:] = 0  # theirs to change
    np.testing.assert_array_equal(fresh(codes), whole)


@pytest.mark.parametrize("choices", [Choices(snake="plain"), Scoped((("code2wav.decoder.*", Choices(trim="left")),))])
def test_what_is_kept_is_right_alone(mirror: VocoderMirror, choices: Choices | Scoped) -> None:
    codes = voice_codes()[:, :8]
    right = mirror(codes)
    wrong = mirror(codes, choices)
    assert len(wrong) != len(right) or not np.allclose(wrong, right, atol=1e-3)
    other = codes[:, ::-1].copy()
    np.testing.assert_array_equal(mirror(other), voice_mirror()(other))
    misread = mirror.with_weights({"code2wav.decoder.0.conv.bias": mirror.weight("code2wav.decoder.0.conv.bias") + 1})
    assert not np.allclose(misread(codes), right, atol=1e-3)
    np.testing.assert_allclose(mirror(codes, RIGHT), right, rtol=0, atol=1e-5)
