"""How a batch grows with workers: python benchmarks/batch_workers.py [--workers 1,2] [--texts 200]

Each row is `omniggml batch` on this machine, without Ray and with so many workers of a local cluster, a thread each.
Throughput is counted from the first text that is done to the last, so that starting Ray and loading are apart.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import omniggml
from omniggml.batch.ray_data import speak_by_ray
from omniggml.batch.running import run_batch
from omniggml.batch.speaking import SpokenText, speak_texts
from omniggml.batch.texts import BatchText
from omniggml.options import SpeechOptions

TEXT = "The dog runs in the garden. Two cats sleep on the warm floor. She reads a long book by the window."


def measure(
    name: str, texts: Sequence[BatchText], speak: Callable[[Sequence[BatchText]], Iterable[SpokenText]]
) -> None:
    """One row."""
    begun = time.perf_counter()
    done: list[tuple[float, float]] = []

    def told(spoken: SpokenText, *_: float) -> None:
        assert spoken.audio is not None, spoken.error
        done.append((time.perf_counter(), spoken.audio.duration))

    with tempfile.TemporaryDirectory() as directory:
        run_batch(texts, Path(directory), speak, {}, told=told)
    seconds = done[-1][0] - done[0][0]
    audio = sum(duration for _, duration in done[1:])
    print(f"| {name} | {audio / seconds:.1f} | {done[0][0] - begun:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", default="1,2", metavar="N,N")
    parser.add_argument("--texts", type=int, default=200, metavar="N")
    parser.add_argument("--slots", type=int, default=4, metavar="N")
    args = parser.parse_args()
    texts = [BatchText(str(number), TEXT, seed=number) for number in range(args.texts)]
    options = SpeechOptions()
    print("| | audio s / s | first text after s |\n|---|---|---|")

    def alone(left: Sequence[BatchText]) -> Iterator[SpokenText]:
        return speak_texts(omniggml.load(n_threads=1), left, options, args.slots)

    measure("one process", texts, alone)
    for workers in map(int, args.workers.split(",")):
        speak = speak_by_ray("local", None, {"n_threads": 1}, options, args.slots, workers)
        measure(f"Ray, {workers} worker{'s' if workers > 1 else ''}", texts, speak)


if __name__ == "__main__":
    main()
