"""The machine's limits, measured beside the speech: what memory delivers, what ggml's matrix products do."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from omniggml import _native
from omniggml.benchmark.workload import Product

_READ_BYTES = 1 << 29  # far beyond any cache
_READ_PASSES = 5
_PRODUCT_SECONDS = 0.1
_LARGEST_SHAPES = 4
_CHUNK_FRAMES = 25
_MOST_ROWS = 4096
PRODUCT_TYPES = ("f32", "bf16", "f16")


def bandwidth(threads: int) -> list[float]:
    """Bytes a second of a streaming read, one figure a pass."""
    return _native.read_bandwidth(_READ_BYTES, n_threads=threads, n_passes=_READ_PASSES)


def largest_shapes(products: Iterable[Product]) -> list[Product]:
    """The shapes with the most multiply-adds, as a chunk of 25 frames has them; all frames' work is in `rows`."""
    work: Counter[tuple[int, int]] = Counter()
    rows: dict[tuple[int, int], int] = {}
    for product in products:
        key = product.inner, product.outputs
        work[key] += product.multiply_adds
        rows[key] = product.rows
    return [
        Product(inner, outputs, min(_MOST_ROWS, _CHUNK_FRAMES * rows[inner, outputs]))
        for (inner, outputs), _ in work.most_common(_LARGEST_SHAPES)
    ]


def throughput(shapes: Iterable[Product], type_: str, threads: int) -> float:
    """Multiply-adds a second of ggml's products of these shapes with weights of that type: all their work over all
    their time."""
    work = seconds = 0.0
    for shape in shapes:
        if shape.inner % _native.block_of(type_)[0]:
            continue
        rate = _native.product_throughput(
            type_,
            inner=shape.inner,
            outputs=shape.outputs,
            rows=shape.rows,
            n_threads=threads,
            seconds=_PRODUCT_SECONDS,
        )
        work += shape.multiply_adds
        seconds += shape.multiply_adds / rate
    return work / seconds if seconds else 0.0


def cpu_name() -> str:
    """The processor as the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
