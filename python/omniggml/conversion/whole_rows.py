"""Values in blocks of any size -> the same values in blocks of whole rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def whole_rows(blocks: Iterable[FloatArray], width: int) -> Iterator[FloatArray]:
    """Flat float32 blocks -> [n, width]; a block may end within a row."""
    rest = np.empty(0, dtype=np.float32)
    for block in blocks:
        joined = np.concatenate([rest, block]) if rest.size else block
        whole = joined.size // width * width
        yield joined[:whole].reshape(-1, width)
        rest = joined[whole:]
