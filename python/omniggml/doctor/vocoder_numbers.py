"""Numbers that a port of code2wav may have otherwise, and by how much: any value, where the grammar has a few.

No list holds the theta, the epsilon or the factor that somebody took. What a slight change of the right one does to the
samples tells which number is another, in whatever direction; then the value is looked for that leaves least.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.port_trials import Trials
from omniggml.doctor.tensor_mistakes import MULTIPLIED, class_of, scaled_by
from omniggml.doctor.vocoder_grammar import PortMistake, full_names, number_choices
from omniggml.doctor.vocoder_mirror import VocoderMirror


@dataclass(frozen=True)
class Number:
    """`right`, and a port that has another; `tried`: one that changes little, but something."""

    right: float
    tried: float
    at: Callable[[float], PortMistake]


def port_numbers(mirror: VocoderMirror) -> Iterator[Number]:
    """Of all modules of a class, and of each alone: constants first, then what tensors are multiplied by."""
    for right, at in number_choices(mirror):
        # Of an epsilon that is next to nothing no share is seen.
        yield Number(right, max(bounds.SLIGHTLY * right, bounds.LEAST_NUMBER), at)
    names = full_names(mirror)
    for pattern in dict.fromkeys(map(class_of, names)):
        own = [name for name in names if class_of(name) == pattern]
        if len(own) > 1:
            yield _factor(pattern, own)
    yield from (_factor(name, [name]) for name in names)


def _factor(where: str, names: list[str]) -> Number:
    def at(value: float) -> PortMistake:
        mistake = scaled_by(value, where, names)
        return PortMistake(mistake.kind, mistake.where, mistake.clause, weights=(mistake,))

    return Number(1.0, bounds.SLIGHTLY, at)


def numbers_that_go_with(trials: Trials, numbers: Iterable[Number]) -> list[tuple[float, Number]]:
    """With the share of what is left over that goes with each, the likeliest first: at one place, where few samples may
    go with much by chance, and of the likeliest at all."""
    tried, asked = tee(numbers)
    shares = trials.go_with(number.at(number.tried) for number in tried)
    going = sorted(zip(shares, asked, strict=True), key=lambda entry: -entry[0])
    n = min(sum(share > bounds.GOES_WITH_MOST for share, _ in going), bounds.NUMBERS_LOOKED_AT)
    likely, rest = going[:n], going[n:]
    likely_tried = [number.at(number.tried) for _, number in likely]
    elsewhere = [trials.go_with(likely_tried, place) for place in range(1, trials.n_places)]
    everywhere = np.mean([[share for share, _ in likely], *elsewhere], axis=0)
    again = [(float(share), number) for share, (_, number) in zip(everywhere, likely, strict=True)]
    return [*sorted(again, key=lambda entry: -entry[0]), *rest]


def with_the_nearest(trials: Trials, number: Number) -> PortMistake | None:
    """A port with the value that leaves least; None where that lies beyond all that are tried, as where a tensor is
    left out. First over the orders of magnitude on both sides, then between the neighbours of the best."""

    def left(logarithm: float) -> float:
        return trials.glimpsed(number.at(number.right * math.exp(logarithm)))

    steps = [sign * step for step in bounds.NUMBER_STEPS for sign in (-1, 1)]
    grid = sorted([0.0, *steps])
    best = min(range(len(grid)), key=lambda i: left(grid[i]))
    if best in (0, len(grid) - 1):
        return None
    exact = number.right * math.exp(_least(left, grid[best - 1], grid[best + 1]))
    return _roundest(trials, number, exact)


def but_for_numbers(clause: str) -> str:
    """By which two mistakes are known that differ in a number alone."""
    return re.sub(r"(?<= (?:is|by) )-?[\d.]+(?:e[-+]?\d+)?(?= |$)", "#", clause)


def _least(left: Callable[[float], float], low: float, high: float) -> float:
    """Golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    one, two = high - ratio * (high - low), low + ratio * (high - low)
    at_one, at_two = left(one), left(two)
    for _ in range(bounds.NUMBER_CUTS):
        if at_one < at_two:
            high, two, at_two = two, one, at_one
            one = high - ratio * (high - low)
            at_one = left(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + ratio * (high - low)
            at_two = left(two)
    return one if at_one < at_two else two


def _roundest(trials: Trials, number: Number, exact: float) -> PortMistake:
    """The value of the fewest digits that leaves no more: somebody wrote it."""
    least = trials.glimpsed(number.at(exact))
    rounded = (float(f"{exact:.{digits}g}") for digits in range(1, bounds.MOST_DIGITS))
    for value in rounded:
        mistake = number.at(value)
        if trials.glimpsed(mistake) <= bounds.AS_ROUND * max(least, bounds.LEAST_SHARE):
            return mistake
    return number.at(exact)


def is_usual_factor(clause: str) -> bool:
    """Whether what it does to the samples is so little bent that it is found as a number."""
    return _is_factor_between(clause, bounds.USUAL_FACTORS)


def is_slight_factor(clause: str) -> bool:
    """Whether it changes the samples in much the same direction as a slighter one."""
    return _is_factor_between(clause, bounds.SLIGHT_FACTORS)


def _is_factor_between(clause: str, between: tuple[float, float]) -> bool:
    _, multiplied, factor = clause.partition(f" {MULTIPLIED} ")
    return bool(multiplied) and between[0] < float(factor) < between[1]
