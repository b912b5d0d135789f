"""Tensors in a file of `torch.save`, read without torch: a pickle in which few names are known and nothing else is."""

from __future__ import annotations

import pickle
import zipfile
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]

_MOST_PICKLED = 16 << 20
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip
_TYPES = {
    "float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "bf16", "int64": "<i8", "int32": "<i4",
    "int16": "<i2", "int8": "i1", "uint8": "u1", "bool": "?",
}  # fmt: skip


def read_torch_archive(archive: zipfile.ZipFile) -> dict[str, AnyArray]:
    """Name -> array; a tensor by itself is called "". Raises ValueError and what `pickle` raises where it holds
    anything but tensors, in dictionaries and lists."""
    (listing,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
    if archive.getinfo(listing).file_size > _MOST_PICKLED:
        raise ValueError("its listing is too long for tensors alone")
    with archive.open(listing) as file:
        try:
            content = _Unpickler(file, archive, listing.removesuffix("data.pkl")).load()
        except pickle.UnpicklingError as error:
            raise ValueError(str(error)) from None
    return dict(_named("", content, 0))


def _named(name: str, value: Any, depth: int) -> list[tuple[str, AnyArray]]:
    if isinstance(value, np.ndarray):
        return [(name, value)]
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    if depth > 8 or not items or len(items) > 100_000:
        raise ValueError(f"it holds a {type(value).__name__}; expected tensors")
    prefix = f"{name}." if name else ""
    return [pair for key, item in items for pair in _named(f"{prefix}{key}", item, depth + 1)]


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dictionaries; whatever else is named ends the reading."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(file)
        self._archive, self._prefix = archive, prefix

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is not loaded; save tensors alone")

    def persistent_load(self, identity: Any) -> AnyArray:
        kind, type_, key, _, count = identity
        if kind != "storage" or type_ not in _STORAGES.values() or not isinstance(count, int):
            raise pickle.UnpicklingError("it refers to something that is no tensor's values")
        values = np.frombuffer(self._archive.read(f"{self._prefix}data/{key}"), "<u2" if type_ == "bf16" else type_)
        if len(values) < count:
            raise pickle.UnpicklingError(f"it has {len(values)} of {count} values")
        if type_ == "bf16":
            from omniggml.gguf.bfloat16 import from_bfloat16

            return np.asarray(from_bfloat16(values))
        return values


def _tensor(storage: AnyArray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> AnyArray:
    """A view of a storage, copied, once it is known to lie inside of it."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, np.ndarray) or any(type(n) is not int or not 0 <= n < 2**48 for n in numbers):
        raise pickle.UnpicklingError("it describes a tensor that can't be")
    if prod(size) == 0:
        return np.zeros(size, storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(storage) or prod(size) > len(storage):
        raise pickle.UnpicklingError("it describes a tensor that is larger than its values")
    strides = [step * storage.itemsize for step in stride]
    return np.array(np.lib.stride_tricks.as_strided(storage[offset:], size, strides))


def _parameter(tensor: AnyArray, *_: Any) -> AnyArray:
    return tensor
