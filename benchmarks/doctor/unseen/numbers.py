"""The numbers of a run."""

from __future__ import annotations

import math
from collections import defaultdict

from .examining import Outcome

_DEVIATIONS = 1.96


def print_numbers(outcomes: list[Outcome]) -> None:
    """A row a part, single mistakes together, pairs, healthy cases; apart, what can't be told from what was given."""
    untellable = [one for one in outcomes if one.case.untellable]
    outcomes = [one for one in outcomes if not one.case.untellable]
    parts: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        parts[outcome.case.part].append(outcome)
    ill = {part: some for part, some in parts.items() if not part.startswith("healthy")}
    print("\n| faults in | cases | top-1 | top-3 | detected | above bf16's noise | detected | top-1 | CPU s a case |")
    print("|---|---|---|---|---|---|---|---|---|")
    single = [one for part, some in ill.items() if part not in ("pairs", "reported") for one in some]
    for part, some in [*ill.items(), ("all random singles", single)]:
        if some:
            print(_row(part, some))
    if untellable:
        accused = sum(one.exit_code != 0 for one in untellable)
        print(f"\nleft out, since nothing given tells them: {len(untellable)}, accused of something: {accused}")
    for part, some in parts.items():
        if part not in ill:
            called = [sum(one.exit_code == code for one in some) for code in (2, 1, 3)]
            print(f"\n{part}: {len(some)}, called broken {called[0]}, suspicious {called[1]}, refused {called[2]}")


def _row(part: str, some: list[Outcome]) -> str:
    """For pairs "top-1" asks that the first two findings name both, "top-3" that the first three do."""
    first = 2 if part == "pairs" else 1
    loud = [one for one in some if one.case.above_noise]
    counts = [
        len(some),
        sum(one.within(first) for one in some),
        sum(one.within(3) for one in some),
        sum(one.detected for one in some),
        len(loud),
        sum(one.detected for one in loud),
        sum(one.within(first) for one in loud),
    ]
    seconds = sum(one.cpu for one in some) / len(some)
    ranges = [_with_range(count, len(some) if i < 4 else len(loud)) for i, count in enumerate(counts)]
    ranges[0], ranges[4] = str(len(some)), str(len(loud))
    return f"| {part} | {' | '.join(ranges)} | {seconds:.1f} |"


def _with_range(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"{count} ({low:.0%} to {high:.0%})"


def wilson(count: int, n: int) -> tuple[float, float]:
    """The range in which the share lies of which `count` of `n` are a sample, at 95 per cent."""
    if n == 0:
        return 0.0, 1.0
    share, square = count / n, _DEVIATIONS**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = _DEVIATIONS / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)
