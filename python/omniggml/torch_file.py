"""Tensors in a file of `torch.save`, read without torch: a pickle in which few names are known and nothing else is."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.containers.named_once import first_twice
from omniggml.containers.pickle_steps import check_steps

AnyArray = npt.NDArray[Any]

_MOST_PICKLED = 16 << 20
_MEMBERS = ("data.pkl", "version", "byteorder")
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip
_TYPES = {
    "float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "bf16", "int64": "<i8", "int32": "<i4",
    "int16": "<i2", "int8": "i1", "uint8": "u1", "bool": "?",
}  # fmt: skip


def read_torch_archive(archive: zipfile.ZipFile, most: int) -> dict[str, AnyArray]:
    """Name -> array; a tensor by itself is called "". Raises ValueError and what `pickle` raises where it holds
    anything but tensors, in dictionaries and lists, one that no name leads to, and where they become more than `most`
    bytes."""
    (listing,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
    if archive.getinfo(listing).file_size > _MOST_PICKLED:
        raise ValueError("its listing is too long for tensors alone")
    pickled = archive.read(listing)
    check_steps(pickled)
    unpickler = _Unpickler(pickled, archive, listing.removesuffix("data.pkl"), most)
    try:
        content = unpickler.load()
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from None
    pairs = _named("", content, 0)
    unpickler.check_all_named(pairs)
    return dict(pairs)


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
    if any(not isinstance(key, (str, int)) or (isinstance(key, int) and abs(key) >= 2**63) for key, _ in items):
        raise ValueError("it holds tensors under names that are no texts")
    prefix = f"{name}." if name else ""
    return [pair for key, item in items for pair in _named(f"{prefix}{key}", item, depth + 1)]


class _Dictionary(dict[Any, Any]):
    """For an OrderedDict, on which torch lays the versions of its modules: in `__dict__`, where they stay unread."""


class _Rebuild:
    """A function of torch's that a pickle calls, and on which it can set no attributes."""

    __slots__ = ("_call",)
    _call: Callable[..., AnyArray]

    def __init__(self, call: Callable[..., AnyArray]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> AnyArray:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError("it changes what it is read by")


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dictionaries; whatever else is named ends the reading."""

    def __init__(self, pickled: bytes, archive: zipfile.ZipFile, prefix: str, most: int) -> None:
        super().__init__(io.BytesIO(pickled))
        self._archive, self._prefix = archive, prefix
        self._most = self._left = most
        self._storages: dict[tuple[str, str], AnyArray] = {}
        self._made: list[AnyArray] = []
        self._tensor, self._parameter = _Rebuild(self._rebuilt), _Rebuild(_parameter)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dictionary
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is not loaded; save tensors alone")

    def persistent_load(self, identity: Any) -> AnyArray:
        kind, type_, key, _, count = identity
        if kind != "storage" or type_ not in _STORAGES.values() or not isinstance(count, int):
            raise pickle.UnpicklingError("it refers to something that is no tensor's values")
        if (values := self._storages.get((key, type_))) is None:
            values = self._storages[key, type_] = self._values(f"{self._prefix}data/{key}", type_)
        if len(values) != count:
            raise pickle.UnpicklingError(f"it has {len(values)} of {count} values")
        return values

    def _values(self, member: str, type_: str) -> AnyArray:
        self._take(self._archive.getinfo(member).file_size * (3 if type_ == "bf16" else 1))
        values = np.frombuffer(self._archive.read(member), "<u2" if type_ == "bf16" else type_)
        if type_ == "bf16":
            from omniggml.gguf.bfloat16 import from_bfloat16

            return np.asarray(from_bfloat16(values))
        return values

    def _take(self, nbytes: int) -> None:
        """Counted before they are allocated: a file may name the same values as often as it likes."""
        self._left -= nbytes
        if self._left < 0:
            raise pickle.UnpicklingError(f"its tensors would become more than {self._most} bytes")

    def _rebuilt(
        self, storage: AnyArray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> AnyArray:
        """A view of a storage, copied, once it is known to lie inside of it."""
        numbers = (offset, *size, *stride)
        if not isinstance(storage, np.ndarray) or any(type(n) is not int or not 0 <= n < 2**48 for n in numbers):
            raise pickle.UnpicklingError("it describes a tensor that can't be")
        if prod(size) == 0:
            self._made.append(np.zeros(size, storage.dtype))
            return self._made[-1]
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= len(storage) or prod(size) > len(storage):
            raise pickle.UnpicklingError("it describes a tensor that is larger than its values")
        self._take(prod(size) * storage.itemsize)
        strides = [step * storage.itemsize for step in stride]
        self._made.append(np.array(np.lib.stride_tricks.as_strided(storage[offset:], size, strides)))
        return self._made[-1]

    def check_all_named(self, pairs: Sequence[tuple[str, AnyArray]]) -> None:
        """Raises ValueError where two tensors have one name, or one has none: dictionaries keep the last of a name."""
        if (twice := first_twice([name for name, _ in pairs])) is not None:
            raise ValueError(f"{twice!r:.80} is in it twice")
        named = {id(array) for _, array in pairs}
        if any(id(array) not in named for array in self._made):
            raise ValueError("it holds a tensor that no name leads to, or another of the same name")
        self._check_members()

    def _check_members(self) -> None:
        """Raises ValueError for values that are no tensor's, and for those of a machine of another byte order."""
        read = {key for key, _ in self._storages}
        for name in self._archive.namelist():
            inner = name.removeprefix(self._prefix)
            known = inner in _MEMBERS or inner.startswith(".") or inner.removeprefix("data/") in read
            if not (name.startswith(self._prefix) and known):
                raise ValueError(f"{name!r:.80} in it is no tensor's")
            if inner == "byteorder" and self._archive.read(name) != b"little":
                raise ValueError("it was saved by a machine of another byte order")


def _parameter(tensor: AnyArray, *_: Any) -> AnyArray:
    return tensor
