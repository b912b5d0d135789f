"""Trials of a large vocoder, several at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from omniggml.doctor.side_by_side import side_by_side


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 3, 40])
def test_each_with_its_own_in_order(threads: int, n: int) -> None:
    assert list(side_by_side(lambda one: one * one, range(n), threads)) == [(one, one * one) for one in range(n)]


def test_two_at_once() -> None:
    """Each waits for the other: one after the other they would never end."""
    both = threading.Barrier(2, timeout=20)
    assert [one for one, _ in side_by_side(lambda _: both.wait(), range(2), 2)] == [0, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_who_looks_no_further_asks_for_little_more(threads: int) -> None:
    asked = []

    def every() -> Iterator[int]:
        for one in range(1000):
            asked.append(one)
            yield one

    assert next(one for one, square in side_by_side(lambda one: one * one, every(), threads) if square == 9) == 3
    assert len(asked) < 20


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_call_raises_is_raised(threads: int) -> None:
    def call(one: int) -> float:
        return 1 / (one - 2)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(call, range(5), threads))


def test_what_numpy_says_of_overflows_is_as_the_caller_wants_it() -> None:
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        list(side_by_side(lambda _: np.float32(1e38) * np.float32(1e38), range(3), 2))
