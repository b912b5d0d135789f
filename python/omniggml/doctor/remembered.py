"""What a vocoder makes of the same again: mistakes are tried on one input, and of most stages all but the end is right.

An array is known by itself, not by its values: those that were given to `knows`, and what was made of these.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


class Remembered:
    """By what was computed, and of which array. It holds these arrays, so that no other gets their identity."""

    def __init__(self) -> None:
        self._known: dict[int, npt.NDArray[np.generic]] = {}
        self._made: dict[tuple[int, Hashable], FloatArray] = {}

    def knows(self, x: npt.NDArray[np.generic]) -> None:
        """From now on what is made of it is kept."""
        self._known[id(x)] = x

    def made(self, what: Hashable, x: npt.NDArray[np.generic]) -> FloatArray | None:
        """What was made of it, where it is known and that was kept."""
        return self._made.get((id(x), what)) if id(x) in self._known else None

    def keep(self, what: Hashable, x: npt.NDArray[np.generic], made: FloatArray) -> FloatArray:
        """`made`, which is known from now on, too, where x is; nobody writes to it."""
        if id(x) not in self._known:
            return made
        kept = self._made.setdefault((id(x), what), made)
        kept.flags.writeable = False
        self.knows(kept)
        return kept
