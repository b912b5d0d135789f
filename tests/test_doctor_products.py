"""What several trials multiply by one matrix is multiplied at once, and each gets what it would have got alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from omniggml.doctor import products
from omniggml.doctor.products import FloatArray, NeededProduct, Steps, computed, computed_together
from omniggml.doctor.side_by_side import side_by_side
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
    before, near = trials.glimpsed(None), 0
    for one, left in told:
        really = trials.glimpsed(one)
        near += left <= far
        assert (left > far and really > 0.9 * before) or left == pytest.approx(really, rel=1e-3)
    assert near > 30
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
    assert [one for few in some for one in few] == mistakes and len(some) > 5 and max(map(len, some)) > 1
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


def test_weighed_in_threads_as_in_one(mirror: VocoderMirror) -> None:
    """As those of a large vocoder are: each once, with what goes with it, and what is given on."""
    mistakes = [*random.Random(4).sample(list(port_mistakes(mirror)), 400)]
    every = []
    for threads in (1, 4):
        trials = trials_of(mirror)
        trials.weigh, trials._threads = True, threads
        order = trials.likeliest_first(mistakes, float("inf"))
        assert {id(one) for one in order} == {id(one) for one in mistakes} and not trials._weighed
        every.append((trials.sizes, trials.sums, trials._passed, trials.go_with(mistakes[:60], 1)))
    alone, together = every
    assert len(alone[1]) > 200
    for one, other in zip(alone[:3], together[:3], strict=True):
        assert one.keys() == other.keys()
        for key, values in one.items():
            np.testing.assert_allclose(other[key], values, rtol=1e-3, atol=1e-4 * np.abs(values).max())
    np.testing.assert_allclose(together[3], alone[3], atol=1e-3)


def test_kept_samples_are_of_the_codes_that_are_asked_for(mirror: VocoderMirror) -> None:
    """In several threads, too, and others don't take the place of what more frames made."""
    fresh, codes = voice_mirror(), voice_codes()[:, :6]
    right, wrong = mirror.from_stage(0, codes), mirror.from_stage(0, codes[:, ::-1])
    fresh(codes)

    def of(n: int) -> FloatArray:
        return fresh(codes if n % 2 else codes[:, ::-1])

    for n, made in side_by_side(of, range(40), 4):
        np.testing.assert_allclose(made, right if n % 2 else wrong, rtol=0, atol=1e-5)
    kept = fresh._kept
    assert kept is not None and np.array_equal(kept[0], codes)
    with pytest.raises(ValueError, match="size 0"):
        fresh(codes[:, :0])
