"""Values of the tensors in a file of any family, under our names and in the reference's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.errors import ModelFileError
from omniggml.files.contents import Contents, Part
from omniggml.files.families import Layout
from omniggml.files.geometry import Derived
from omniggml.files.opening import File, Planning, open_file
from omniggml.files.plan import stacked
from omniggml.files.told_settings import Told, settings_of
from omniggml.gguf.type_names import block_of, dequantize
from omniggml.spec.sections import SPOKEN_SECTIONS
from omniggml.spec.speech_file import short_name, speech_file_tensors

FloatArray = npt.NDArray[np.float32]

_PIECE = 1 << 18  # bytes, which come to as many values as a processor keeps close


class StoredWeights(Mapping[str, FloatArray]):
    """Our name -> float32 values, read when asked for; experts stacked, axes in PyTorch's order.

    Reading tolerates what loading refuses: a tensor that is missing or misshapen spoils itself alone. Raises
    ModelFileError for a file that is no GGUF or of no known family. `derived`: its geometry, None where it has none;
    of code2wav alone the published talker's stands beside it, and `sections` are those that are the file's own.
    `told`: what its metadata say of it, {} where they can't be read.
    """

    def __init__(self, path: Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self.file: File = open_file(path)
        if self.file.family is None:
            raise ModelFileError(f"{path} is of no family whose tensors are known")
        self.contents = Contents()
        self.contents.add(self.file.header, self.file.family, 0)
        self.derived = _derived(self.file, overrides)
        self.told = _told(self.file)
        self.sections = ("code2wav",) if _is_vocoder(self.contents) else (*SPOKEN_SECTIONS, "token")
        self.shapes = stacked(speech_file_tensors(self.derived.config)) if self.derived else {}

    def __getitem__(self, name: str) -> FloatArray:
        """Float32 in the shape that the model needs, or as stored where that is not known or does not fit."""
        name = short_name(name)
        parts = self.contents.parts[name]
        values = self._values(parts[0]).ravel()
        if len(parts) > 1:
            values = np.concatenate([values, *(self._values(part).ravel() for part in parts[1:])])
        stored = _shape_of(parts)
        shape = self.shapes.get(name, stored)
        if int(np.prod(shape)) != values.size:
            shape = stored
        return _in_our_layout(values, shape, parts[0].layout)

    def rows(self, name: str, ids: Sequence[int]) -> FloatArray:
        """Some rows of a table, [ids, width], without reading the others where they are stored by rows."""
        parts, shape = self.contents.parts[short_name(name)], self.shapes.get(short_name(name), ())
        if len(parts) > 1 or len(shape) != 2 or parts[0].slices > 1 or parts[0].layout is not Layout.SAME:
            return self[name][list(ids)]
        stored = parts[0].stored
        nbytes, left = divmod(stored.nbytes, shape[0])
        if left or stored.shape != shape:
            return self[name][list(ids)]
        data = b"".join(self.file.header.read(stored, id * nbytes, nbytes) for id in ids)
        return np.asarray(dequantize(data, stored.type), np.float32).reshape(len(ids), shape[1])

    def __iter__(self) -> Iterator[str]:
        return iter(self.contents.parts)

    def __len__(self) -> int:
        return len(self.contents.parts)

    def type_of(self, name: str) -> str:
        """The stored type, in capitals."""
        return self.contents.parts[short_name(name)][0].stored.type

    def under(self, prefix: str) -> list[str]:
        """Names that begin with `prefix`."""
        return [name for name in self.contents.parts if name.startswith(prefix)]

    def _values(self, part: Part) -> FloatArray:
        """Piece by piece: one of them holds up no other thread for long."""
        nbytes = part.stored.nbytes // part.slices
        first = part.slice * nbytes
        n_values, block = block_of(part.stored.type)
        if nbytes % block:
            return dequantize(self.file.header.read(part.stored, first, nbytes), part.stored.type)
        piece = max(1, _PIECE // block) * block
        values = np.empty(nbytes // block * n_values, np.float32)
        for at in range(0, nbytes, piece):
            data = self.file.header.read(part.stored, first + at, min(piece, nbytes - at))
            made = dequantize(data, part.stored.type)
            begin = at // block * n_values
            values[begin : begin + len(made)] = made
        return values


def _is_vocoder(contents: Contents) -> bool:
    return contents.holds("code2wav.") and not contents.holds("talker.")


def _told(file: File) -> Told:
    assert file.family is not None
    try:
        return settings_of(file.header, file.family)
    except ModelFileError:
        return {}


def _derived(file: File, overrides: Mapping[str, Any] | None) -> Derived | None:
    try:
        planning = Planning([file], None, None, overrides or {})
        return planning.derived(in_part=_is_vocoder(planning.contents))
    except ModelFileError:
        return None


def _in_our_layout(values: FloatArray, shape: tuple[int, ...], layout: Layout) -> FloatArray:
    if layout is Layout.REVERSED:
        return np.ascontiguousarray(values.reshape(shape[::-1]).transpose())
    if layout is Layout.COLUMNS and len(shape) == 3:
        width_in, width_out, kernel = shape
        return np.ascontiguousarray(values.reshape(width_out, kernel, width_in).transpose(2, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        if layout is Layout.EXPONENTIAL:
            values = np.log(values)
        elif layout is Layout.RECIPROCAL:
            values = np.log(1 / values - np.float32(1e-9))
    return values.reshape(shape)


def _shape_of(parts: list[Part]) -> tuple[int, ...]:
    """As stored; of a slice of a stack, the slice's; several parts along a new first axis."""
    shape, slices = parts[0].stored.shape, parts[0].slices
    if slices > 1 and len(shape) == 3:
        shape = (shape[0] * shape[1] // slices, shape[2])
    return shape if len(parts) == 1 else (len(parts), *shape)
