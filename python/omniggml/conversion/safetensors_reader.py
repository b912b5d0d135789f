"""Read a sharded safetensors checkpoint lazily: headers first, values in blocks when asked.

Parsed here rather than by the `safetensors` library because NumPy has no bfloat16, which is what checkpoints hold,
and the library hands out NumPy arrays only of types that NumPy has. Files are read, not mapped: pages of a mapped file
count as the process's memory, and one that is cut while mapped kills the process.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.containers.safetensors_header import METADATA, check_every_byte, header_of
from omniggml.conversion.checkpoint_names import fused_experts, published_name
from omniggml.conversion.checkpoint_tensor import PLAIN_TYPES, STORED_TYPES, CheckpointTensor, as_numbers
from omniggml.conversion.links import check_links
from omniggml.conversion.quantization_config import read_quantization
from omniggml.conversion.quantized_tensors import FURTHER, PACKED, SCALES, QuantizedTensor
from omniggml.errors import ConversionError
from omniggml.files.json_object import read_json_object
from omniggml.gguf.foreign_bytes import why_not_itself
from omniggml.plain_file import open_plain

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
_ADAPTER = "adapter_model.safetensors"

_SHARD = re.compile(r"model-[0-9]{5}-of-([0-9]{5})\.safetensors")
_LARGEST_HEADER = 100_000_000  # The format's own limit.
_BLOCK = 1 << 17  # Values at a time; their copies stay in the processor's cache, which makes twice the speed.


class Checkpoint:
    """The tensors of a checkpoint directory, by the names of the published one; experts one by one."""

    def __init__(self, directory: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Read the index and the headers of all shards that hold a wanted tensor; no values yet.

        Raises ConversionError when a file is missing, cut short, or not what it claims to be.
        """
        check_links((directory,))
        self.directory = directory
        self.quantization = read_quantization(directory)
        self.tensors: Mapping[str, CheckpointTensor] = _read_directory(directory, wanted)
        self._quantized: dict[str, QuantizedTensor] = {}
        if self.quantization is not None:
            self.tensors = self._restored(self.tensors, self.quantization.block)

    def _restored(self, tensors: Mapping[str, CheckpointTensor], block: tuple[int, int]) -> dict[str, CheckpointTensor]:
        """The tensors that quantized ones stand for, in their place."""
        out = dict(tensors)
        modules = [name.removesuffix(scale) for name in tensors for scale in SCALES if name.endswith(f".{scale}")]
        for module in modules:
            found = QuantizedTensor.of(module, tensors, block)
            if found is not None:
                for part in (*SCALES, PACKED, *FURTHER):
                    out.pop(f"{module}{part}", None)
                self._quantized[found.name] = found
                out[found.name] = replace(found.weight, shape=found.shape)
        return out

    def lists(self, name: str) -> bool:
        """Whether there is a tensor of that published name, perhaps in a shard that wasn't asked for."""
        return name in self.tensors or name in self._listed

    def lists_below(self, prefix: str) -> bool:
        """Whether there is any whose published name begins so."""
        return any(name.startswith(prefix) for name in (*self.tensors, *self._listed))

    @cached_property
    def _listed(self) -> set[str]:
        index = self.directory / INDEX_NAME
        return {published_name(name) for name in weight_map(index)} if index.exists() else set()

    def sources(self) -> list[Path]:
        """Files that the values come from."""
        return sorted({tensor.path for tensor in self.tensors.values()})

    def can_read(self, name: str) -> bool:
        """Whether a tensor is there, in a type whose values are known."""
        return name in self._quantized or (name in self.tensors and self.tensors[name].type in PLAIN_TYPES)

    def blocks(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """Values of one tensor in order, float32, flat, in blocks that fit the processor's cache.

        Quantized ones as the numbers that they stand for. Raises ConversionError for a type that no weight has, or when
        a value is NaN or infinite.
        """
        tensor = self.tensors[name]
        for values in self._values(name, tensor):
            if not np.isfinite(values).all():
                raise ConversionError(f"{tensor.path}: tensor {name} holds NaN or infinite values")
            yield values

    def _values(self, name: str, tensor: CheckpointTensor) -> Iterator[npt.NDArray[np.float32]]:
        if name in self._quantized:
            yield from self._quantized[name].rows()
            return
        dtype = PLAIN_TYPES.get(tensor.type)
        if dtype is None:
            raise ConversionError(
                f"{tensor.path}: tensor {name} is of type {tensor.type}, expected {', '.join(PLAIN_TYPES)}: "
                "convert from the unquantized checkpoint"
            )
        for piece in _stored_blocks(tensor, dtype, prod(tensor.shape)):
            yield as_numbers(piece, tensor.type)


def _stored_blocks(tensor: CheckpointTensor, dtype: np.dtype[Any], count: int) -> Iterator[npt.NDArray[Any]]:
    with open_plain(tensor.path) as file:
        file.seek(tensor.offset)
        for start in range(0, count, _BLOCK):
            n = min(_BLOCK, count - start)
            data = file.read(n * dtype.itemsize)
            if len(data) < n * dtype.itemsize:
                raise ConversionError(f"{tensor.path} was cut while it was read")
            yield np.frombuffer(data, dtype)


def shards_with(index: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Names of the shards that hold a wanted tensor, by the checkpoint's index.

    Raises ConversionError where the file is no such index.
    """
    return sorted({shard for name, shard in weight_map(index).items() if wanted(published_name(name))})


def weight_map(index: Path) -> dict[str, str]:
    """Tensor -> shard, as a checkpoint's index has them. Raises ConversionError where the file is no such index."""
    shards = read_json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(value, str) for value in shards.values()):
        raise ConversionError(f"{index} has no weight_map from tensor names to file names")
    return shards


def _read_directory(directory: Path, wanted: Callable[[str], bool]) -> dict[str, CheckpointTensor]:
    if not directory.is_dir():
        raise ConversionError(f"{directory} is not a directory, expected a Hugging Face checkpoint")
    tensors: dict[str, CheckpointTensor] = {}
    for path in _shards(directory, wanted):
        for name, tensor in read_shard(path).items():
            if name in tensors:
                raise ConversionError(f"tensor {name} is in both {tensors[name].path} and {path}")
            tensors[name] = tensor
    return tensors


def unlisted_weights(directory: Path) -> list[str]:
    """Names of files of weights that are none of the checkpoint's, which nothing is read of. An adapter's are not
    among them."""
    index, names = directory / INDEX_NAME, _weights_in(directory)
    if index.exists():
        listed = set(weight_map(index).values())
    else:
        listed = {SINGLE_NAME} if SINGLE_NAME in names else {name for name in names if _SHARD.fullmatch(name)}
    return [name for name in names if name not in listed]


def _weights_in(directory: Path) -> list[str]:
    return [path.name for path in sorted(directory.glob("*.safetensors")) if path.name != _ADAPTER]


def _shards(directory: Path, wanted: Callable[[str], bool]) -> list[Path]:
    index, single = directory / INDEX_NAME, directory / SINGLE_NAME
    check_links((index, single))
    if not index.exists():
        return [single] if single.exists() else _shards_without_index(directory)
    shards = [directory / name for name in shards_with(index, wanted)]
    for shard in shards:
        if shard.parent != directory:
            raise ConversionError(f"{index} names {shard}, expected a file in the same directory")
        check_links((shard,))
        if not shard.exists():
            raise ConversionError(f"{shard} is missing, {INDEX_NAME} lists it: the download is incomplete")
    return shards


def _shards_without_index(directory: Path) -> list[Path]:
    """All of a set whose names say how many they are. Raises ConversionError, with what lies there instead."""
    found = {path: match for path in directory.glob("*.safetensors") if (match := _SHARD.fullmatch(path.name))}
    for path, match in found.items():
        if len(found) != int(match[1]):
            raise ConversionError(
                f"{directory} holds {len(found)} of the {int(match[1])} shards that {path.name} is one of, and no "
                f"{INDEX_NAME}: the download is incomplete"
            )
    check_links(directory.glob("*.safetensors"))
    if found:
        return sorted(found)
    raise ConversionError(f"{directory} holds neither {INDEX_NAME} nor {SINGLE_NAME}: {_other_weights(directory)}")


def _other_weights(directory: Path) -> str:
    """What there is in their place, and the next step."""
    others = _weights_in(directory)
    if others:
        return f"its weights are in {others[0]}; where that is the whole model, rename it to {SINGLE_NAME}"
    pickled = [path.name for ending in ("bin", "pt", "pth") for path in sorted(directory.glob(f"*.{ending}"))]
    if pickled:
        return (
            f"{pickled[0]} is PyTorch's format, which can run code and isn't read; load the model with transformers "
            "and save it with save_pretrained"
        )
    if made := sorted(directory.glob("*.gguf")):
        return f"{made[0].name} is GGUF already; load it, or look at it with `omniggml inspect`"
    return "it has no weights"


def read_shard(path: Path, *, named: bool = True) -> dict[str, CheckpointTensor]:
    """The tensors of one file; `named`: by the published names, experts one by one. Raises ConversionError."""
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else _LARGEST_HEADER + 1
            if length > min(_LARGEST_HEADER, size - 8):
                if reason := why_not_itself(path):
                    raise ConversionError(reason)
                raise ConversionError(f"{path} is cut short or not a safetensors file: its header doesn't fit in it")
            header = header_of(file.read(length))
    except OSError as error:
        raise ConversionError(f"{path} can't be read: {error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConversionError(f"{path} is not a safetensors file: its header is not JSON ({error})") from error
    except ValueError as error:
        raise ConversionError(f"{path} is not a sound safetensors file: of its header, {error}") from error
    entries = {name: entry for name, entry in header.items() if name != METADATA}
    stored = {name: _stored_tensor(path, name, entry, 8 + length, size) for name, entry in entries.items()}
    try:
        check_every_byte(((*entry["data_offsets"], name) for name, entry in entries.items()), size - 8 - length)
    except ValueError as error:
        raise ConversionError(f"{path} is not a sound safetensors file: {error}") from error
    return _by_published_names(stored) if named else stored


def _by_published_names(stored: Mapping[str, CheckpointTensor]) -> dict[str, CheckpointTensor]:
    tensors: dict[str, CheckpointTensor] = {}
    for name, tensor in stored.items():
        for published, part in _published(published_name(name), tensor).items():
            if (other := tensors.get(published)) is not None:
                raise ConversionError(f"{tensor.path} holds {published} twice, as {other.stored_as} and as {name}")
            tensors[published] = part
    return tensors


def _published(name: str, tensor: CheckpointTensor) -> dict[str, CheckpointTensor]:
    """The tensor under its published name; the experts of a fused one each under its own."""
    experts = fused_experts(name, tensor.shape)
    dtype = PLAIN_TYPES.get(tensor.type)
    if experts is None or dtype is None:
        return {name: tensor}
    return {
        part.name: replace(
            tensor, shape=(part.rows, part.columns), offset=tensor.offset + part.row * part.columns * dtype.itemsize
        )
        for part in experts
    }


def _stored_tensor(path: Path, name: str, entry: Any, data_start: int, size: int) -> CheckpointTensor:
    try:
        type_name, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        sound = isinstance(type_name, str) and all(
            type(number) is int and number >= 0 for number in (*shape, start, end, end - start)
        )
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ConversionError(f"{path}: the header's entry for tensor {name} is damaged")
    if data_start + end > size:
        raise ConversionError(f"{path} is cut short: tensor {name} ends at byte {data_start + end}, the file at {size}")
    dtype = STORED_TYPES.get(type_name)
    if dtype is not None and end - start != prod(shape) * dtype.itemsize:
        raise ConversionError(
            f"{path}: tensor {name} has {end - start} bytes, expected {prod(shape) * dtype.itemsize} "
            f"for shape {list(shape)} in {type_name}"
        )
    return CheckpointTensor(path, type_name, shape, data_start + start, name)
