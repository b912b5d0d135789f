"""Probes: what each module computes, by its Hugging Face path, as NumPy arrays in the reference's order of axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import InputError
from omniggml.text.soundness import check_text

# The probe that sessions started in this context listen to.
active: ContextVar[Any | None] = ContextVar("omniggml_probe", default=None)


class Reading(Mapping[str, npt.NDArray[np.float32]]):
    """Module path -> what it computed, runs joined along time: [batch, time, channel] after linear layers, norms and
    decoder layers, [batch, channel, time] after convolutions, as a forward hook in transformers would see it.
    """

    def __init__(self, probe: Any) -> None:
        self._probe = probe
        self._pieces: dict[str, tuple[str, list[npt.NDArray[np.float32]]]] = {}

    def _collect(self) -> None:
        for name, (axes, chunks) in self._probe.take().items():
            self._pieces.setdefault(name, (axes, []))[1].extend(chunks)

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        self._collect()
        if name not in self._pieces:
            raise KeyError(f"{name} was not captured; captured were: {', '.join(sorted(self._pieces)) or 'none'}")
        axes, chunks = self._pieces[name]
        return _joined(axes, chunks)

    def __iter__(self) -> Iterator[str]:
        self._collect()
        return iter(list(self._pieces))

    def __len__(self) -> int:
        self._collect()
        return len(self._pieces)


def _joined(axes: str, chunks: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Chunks of [batch, time, head, channel] in the reference's axes, along time; chunks of audio as they are."""
    if axes in ("chunk_time_channel", "chunk_channel_mel_time"):
        return np.concatenate(chunks)
    if axes == "batch_time_head_channel":
        return np.concatenate(chunks, axis=1)
    flat = np.concatenate([chunk.reshape(*chunk.shape[:2], -1) for chunk in chunks], axis=1)
    if axes == "batch_channel_time":
        return np.ascontiguousarray(flat.transpose(0, 2, 1))
    if axes == "time_channel":
        return flat.reshape(flat.shape[1:])
    if axes == "group_time_channel":
        return flat[np.newaxis]
    return flat


def new_probe(patterns: tuple[str, ...], replace: Mapping[str, npt.ArrayLike] | None) -> Any:
    """A native probe for these patterns and replacements, inside of the active one."""
    probe = _native.Probe([check_text("a pattern", pattern) for pattern in patterns], active.get())
    for name, values in (replace or {}).items():
        check_text("a replacement's name", name)
        try:
            array = np.ascontiguousarray(values, dtype=np.float32)
        except (ValueError, TypeError) as error:
            message = str(error).splitlines()[0]
            raise InputError(f"the replacement for {name} can't be made an array of numbers: {message}") from None
        if not np.isfinite(array).all():
            raise InputError(f"the replacement for {name} holds NaN or infinity")
        probe.replace(name, array)
    return probe
