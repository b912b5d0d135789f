"""ggml's types by name. Everywhere in Python a type is written as GGUF tools show it, in capitals ("Q4_K"); only the
native functions called here know ggml's own spelling ("q4_K")."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml import _native

PLAIN = ("F32", "F16", "BF16")
"""Types whose values are stored one by one."""

LARGEST_F16 = 65504.0
"""Where F16 ends."""


def shown(ggml_name: str) -> str:
    """ "q4_K" -> "Q4_K"."""
    return ggml_name.upper()


def ggml_name(type_: str) -> str:
    """ "Q4_K" -> "q4_K": ggml writes K-quants with a capital letter and all else small."""
    return type_.lower().replace("_k", "_K")


def block_of(type_: str) -> tuple[int, int]:
    """Values in a block of a type, and the block's bytes."""
    return _native.block_of(ggml_name(type_))


def bits_of(type_: str) -> float:
    """Bits for a value."""
    values, nbytes = block_of(type_)
    return 8 * nbytes / values


def nbytes_of(type_: str, n_values: int) -> int:
    """Bytes of so many values, a whole number of blocks."""
    values, nbytes = block_of(type_)
    return n_values // values * nbytes


def quantize_rows(
    rows: npt.NDArray[np.float32], type_: str, importance: npt.NDArray[np.float32] | None = None
) -> bytes:
    """float32 [rows, columns] -> the bytes of a type. `importance` float32 [columns]: how much each column matters."""
    return _native.quantize_rows(rows, ggml_name(type_), importance=importance)


def dequantize(data: bytes, type_: str) -> npt.NDArray[np.float32]:
    """The bytes of a type -> float32 [n]."""
    return _native.dequantize(data, ggml_name(type_))
