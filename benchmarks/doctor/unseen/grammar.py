"""What both grammars share: single mistakes in families, drawn family first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from .mistake import Mistake


class Grammar:
    """All single mistakes of one part. `draw` picks a family first, so that the many tensors don't crowd out the few
    constants."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.families: dict[str, list[Mistake]] = defaultdict(list)
        for mistake in mistakes:
            self.families[_family(mistake)].append(mistake)

    def __iter__(self) -> Iterator[Mistake]:
        for family in self.families.values():
            yield from family

    def draw(self, rng: np.random.Generator) -> Mistake:
        """One mistake at random."""
        names = list(self.families)
        family = self.families[names[rng.integers(len(names))]]
        return family[rng.integers(len(family))]

    def draw_pair(self, rng: np.random.Generator) -> tuple[Mistake, Mistake]:
        """Two that can be made together."""
        one = self.draw(rng)
        while True:
            other = self.draw(rng)
            if one.compatible(other):
                return one, other


def _family(mistake: Mistake) -> str:
    """Kind, and which choice or which operation, on one module or all."""
    if mistake.choices:
        return f"{mistake.kind} {next(iter(mistake.choices)).rsplit(':', 1)[1]}"
    scope = "all" if "*" in mistake.edits[0][1] else "one"
    return f"{mistake.kind} {mistake.edits[0][0]} {scope}"
