"""Computations that say which product of matrices they need next, so that several of them can be run side by side: what
they multiply by the same matrix is multiplied at once.

A product with few columns takes as long as reading its matrix does, and most of what mistakes are tried on is the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Result = TypeVar("Result")


class NeededProduct(NamedTuple):
    """`matrix` @ `columns`; `stage`: those of earlier stages are computed first, so that others catch up; `weight`:
    whose values the matrix has, where it is made anew for each product."""

    stage: int
    matrix: FloatArray
    columns: FloatArray
    weight: FloatArray | None = None


Steps = Generator[NeededProduct, FloatArray, Result]
"""Yields the products that it needs, is sent each, and returns what it computes of them."""


def computed(steps: Steps[Result]) -> Result:
    """What it returns."""
    return computed_together([steps])[0]


def computed_together(every: Sequence[Steps[Result]]) -> list[Result]:
    """What each returns. Where shapes don't fit, that one is told by a ValueError."""
    results: dict[int, Result] = {}
    wanted: dict[int, NeededProduct] = {}

    def goes_on(number: int, made: FloatArray | ValueError | None) -> None:
        steps = every[number]
        try:
            wanted[number] = steps.throw(made) if isinstance(made, ValueError) else steps.send(made)  # type: ignore[arg-type]
        except StopIteration as done:
            wanted.pop(number, None)
            results[number] = done.value

    for number in range(len(every)):
        goes_on(number, None)
    while wanted:
        for numbers in _of_one_matrix(wanted):
            for number, made in zip(numbers, _at_once([wanted[number] for number in numbers]), strict=True):
                goes_on(number, made)
    return [results[number] for number in range(len(every))]


def _of_one_matrix(wanted: Mapping[int, NeededProduct]) -> list[list[int]]:
    """Numbers of those of the earliest stage, together where they are of one matrix."""
    if len(wanted) == 1:
        return [[*wanted]]
    earliest = min(product.stage for product in wanted.values())
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, (stage, matrix, columns, weight) in wanted.items():
        if stage == earliest:
            same = id(matrix if weight is None else weight), matrix.shape, len(columns)
            alike[same].append(number)
    return [*alike.values()]


def _at_once(products: Sequence[NeededProduct]) -> Sequence[FloatArray | ValueError]:
    """Of one matrix."""
    matrix, columns = products[0].matrix, [product.columns for product in products]
    try:
        if len(products) == 1:
            return [matrix @ columns[0]]
        made = matrix @ np.concatenate(columns, axis=1)
    except ValueError as error:
        return [error] * len(products)
    ends = [*accumulate(some.shape[1] for some in columns)]
    return [made[:, first:last].copy() for first, last in zip([0, *ends], ends, strict=False)]
