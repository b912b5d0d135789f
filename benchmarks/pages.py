"""How fast weights are read from three kinds of pages: small ones of the process, large ones, and those of a file.

    python benchmarks/pages.py --threads 2

All threads read 84 MiB (the code predictor's layers in q8_0) and 1 GiB from end to end, the kinds in turn; printed are
medians, and the median of the paired ratios to small pages. Linux only; takes 2 GiB of memory and 1 GiB of disk.
"""

from __future__ import annotations

import argparse
import mmap
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIZES = (84 << 20, 1 << 30)
Words = npt.NDArray[np.uint64]


def own_pages(size: int, advice: int) -> Words:
    memory = mmap.mmap(-1, size)
    memory.madvise(advice)
    words = np.frombuffer(memory, np.uint64)
    words[:] = 1
    return words


def file_pages(path: Path, size: int) -> Words:
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return np.memmap(path, np.uint64, "r")


def bytes_a_second(words: Words, threads: ThreadPoolExecutor, n_threads: int) -> float:
    start = time.perf_counter()
    # Whole sums: nothing is written, and NumPy lets the other threads run meanwhile.
    list(threads.map(np.add.reduce, np.array_split(words, n_threads)))
    return words.nbytes / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(args.threads) as threads:
        kinds = {
            "small pages": own_pages(SIZES[-1], mmap.MADV_NOHUGEPAGE),
            "large pages": own_pages(SIZES[-1], mmap.MADV_HUGEPAGE),
            "file's pages": file_pages(Path(directory) / "weights", SIZES[-1]),
        }
        for size in SIZES:
            rates: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(args.passes):
                for name, words in kinds.items():
                    rates[name].append(bytes_a_second(words[: size // 8], threads, args.threads))
            for name, found in rates.items():
                ratio = statistics.median(rate / small for rate, small in zip(found, rates["small pages"], strict=True))
                print(
                    f"{size >> 20:5} MiB  {name:12}  {statistics.median(found) / 1e9:5.1f} GB/s "
                    f"({min(found) / 1e9:.1f} to {max(found) / 1e9:.1f})  {ratio:.2f} times small pages"
                )


if __name__ == "__main__":
    main()
