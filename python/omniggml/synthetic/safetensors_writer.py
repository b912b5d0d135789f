"""Write a sharded safetensors checkpoint, BF16, one block of values at a time.

The `safetensors` library wants a whole shard in memory; the format doesn't: an 8-byte length, a JSON header that
gives type, shape and position of every tensor, then the values. All of the header is known from the shapes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml.gguf.bfloat16 import to_bfloat16
from omniggml.spec.expected_tensors import Named

Blocks = Callable[[str, tuple[int, ...]], Iterator[npt.NDArray[np.float32]]]
"""(name, shape) -> the tensor's values in order, float32, in pieces of any size."""

_VALUE_BYTES = 2


def write_sharded(directory: Path, tensors: Iterable[Named], blocks: Blocks, shard_bytes: int) -> list[Path]:
    """Write `model-0000k-of-0000n.safetensors` and `model.safetensors.index.json`.

    A shard takes tensors in the given order until the next one would pass `shard_bytes`; a larger tensor gets a shard
    of its own. Peak memory is one block, however large the model. Returns the paths of the shards.
    """
    shards = _split(tensors, shard_bytes)
    weight_map: dict[str, str] = {}
    paths = []
    for index, shard in enumerate(shards):
        path = directory / f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(path, shard, blocks)
        weight_map.update((name, path.name) for name, _ in shard)
        paths.append(path)
    total = sum(_bytes(shape) for shard in shards for _, shape in shard)
    listing = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    index_path = directory / "model.safetensors.index.json"
    index_path.write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8", newline="\n")
    return paths


def _split(tensors: Iterable[Named], shard_bytes: int) -> list[list[Named]]:
    shards: list[list[Named]] = [[]]
    used = 0
    for name, shape in tensors:
        if shards[-1] and used + _bytes(shape) > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append((name, shape))
        used += _bytes(shape)
    return shards


def _write_shard(path: Path, shard: list[Named], blocks: Blocks) -> None:
    with path.open("wb") as file:
        file.write(_header(shard))
        for name, shape in shard:
            written = 0
            for block in blocks(name, shape):
                file.write(to_bfloat16(block).astype("<u2", copy=False).tobytes())
                written += block.size * _VALUE_BYTES
            if written != _bytes(shape):
                raise ValueError(f"{name}: {written} bytes made, {_bytes(shape)} announced")


def _header(shard: list[Named]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shard:
        end = offset + _bytes(shape)
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)  # The format asks for values that start on a multiple of 8 bytes.
    return struct.pack("<Q", len(text)) + text


def _bytes(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * _VALUE_BYTES
