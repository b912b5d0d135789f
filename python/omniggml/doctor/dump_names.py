"""Another framework's dump under our names: prefixes and endings that hooks add, and axes in another order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROOT = "code2wav"
_WRAPPERS = re.compile(r"^(?:(?:model|module|_orig_mod|base_model|hf|vocoder)\.)+")
_ENDINGS = re.compile(r"(?:\.(?:outputs?|out|result|forward|hidden|0)|_outputs?|\[0\]|:0)$")
_INNER = ".conv"  # of a causal convolution, whose output is the convolution's own


def under_our_names(theirs: Mapping[str, Array], known: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Those arrays that are a module's output, by its path; an exact name goes before one that had to be read so."""
    found: dict[str, Array] = {}
    for name in sorted(theirs, key=lambda name: name not in known):
        ours = next((one for one in _readings(name) if one in known), None)
        if ours is not None and ours not in found:
            found[ours] = theirs[name]
    return found


def _readings(name: str) -> Iterator[str]:
    plain = name.replace("/", ".")
    at = plain.find(ROOT)
    path = plain[at:] if at >= 0 else f"{ROOT}.{_WRAPPERS.sub('', plain)}"
    for _ in range(3):
        yield path
        yield path.removesuffix(_INNER)
        shorter = _ENDINGS.sub("", path)
        if shorter == path:
            return
        path = shorter


def fitted(values: Array, shape: tuple[int, ...]) -> Array | None:
    """The values in our shape, axes of length 1 aside, turned where two axes are exchanged; None where they don't
    fit."""
    wide = np.asarray(values)
    if wide.dtype.kind not in "fiu" or wide.size != int(np.prod(shape)):
        return None
    own, ours = (tuple(extent for extent in extents if extent != 1) for extents in (wide.shape, shape))
    squeezed = wide.reshape(own)
    if own != ours and own == ours[::-1]:
        squeezed = squeezed.T
    return np.ascontiguousarray(squeezed, np.float32).reshape(shape)


def is_narrow(values: Array) -> bool:
    """Whether float32 values were 16-bit numbers before, whatever they are kept in now."""
    wide = np.ascontiguousarray(values, np.float32)
    if values.dtype == np.float16 or not (wide.view(np.uint32) & np.uint32(0xFFFF)).any():
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(wide, wide.astype(np.float16).astype(np.float32)))
