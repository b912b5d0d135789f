"""Metadata of a GGUF file before it is written: key -> value and type, in the order of the file."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any


class ValueType(Enum):
    """Types of metadata values, by GGUF's numbers."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


Entry = tuple[Any, ValueType, ValueType | None]
"""Value, its type, and the type of its elements when it is an array."""

Metadata = dict[str, Entry]


def text(value: str) -> Entry:
    return value, ValueType.STRING, None


def count(value: int) -> Entry:
    """An unsigned 32-bit number: a size, an id."""
    return value, ValueType.UINT32, None


def real(value: float) -> Entry:
    return value, ValueType.FLOAT32, None


def flag(value: bool) -> Entry:
    return value, ValueType.BOOL, None


def texts(values: list[str]) -> Entry:
    return values, ValueType.ARRAY, ValueType.STRING


def reals(values: list[float]) -> Entry:
    return values, ValueType.ARRAY, ValueType.FLOAT32


def flags(values: list[bool]) -> Entry:
    return values, ValueType.ARRAY, ValueType.BOOL


def counts(values: list[int]) -> Entry:
    return values, ValueType.ARRAY, ValueType.UINT32


def signed(values: list[int]) -> Entry:
    return values, ValueType.ARRAY, ValueType.INT32


def fields(prefix: str, record: Any, leave_out: tuple[str, ...] = ()) -> Metadata:
    """One entry per field of a dataclass instance: `prefix` + the field's name, typed by its value."""
    entries: Metadata = {}
    for field in dataclasses.fields(record):
        if field.name in leave_out:
            continue
        value = getattr(record, field.name)
        entries[prefix + field.name] = _typed(value)
    return entries


def _typed(value: bool | int | float | tuple[int, ...]) -> Entry:
    if isinstance(value, bool):
        return flag(value)
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return real(value)
    return counts(list(value))
