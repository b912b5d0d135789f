"""How a batch grows with workers: python benchmarks/batch_workers.py [--workers 1,2] [--texts 200]

Each row is `omniggml batch` on this machine, without Ray and with so many workers of a local cluster, a thread each.
Each is run with all texts and with a quarter of them: throughput is what the others took, so that starting Ray and
loading, which are the last column, are apart. (Ray hands over what is said in blocks, so the time between texts says
nothing.)
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

Pair = tuple[float, float]
TEXT = "The dog runs in the garden. Two cats sleep on the warm floor. She reads a long book by the window."


def measure(
    name: str, texts: Sequence[BatchText], speak: Callable[[], Callable[[Sequence[BatchText]], Iterable[SpokenText]]]
) -> None:
    """One row."""
    (few_seconds, few_audio), (seconds, audio) = (spoken(texts[:n], speak()) for n in (len(texts) // 4, len(texts)))
    speed = (audio - few_audio) / (seconds - few_seconds)
    print(f"| {name} | {speed:.1f} | {seconds - audio / speed:.1f} |", flush=True)


def spoken(texts: Sequence[BatchText], speak: Callable[[Sequence[BatchText]], Iterable[SpokenText]]) -> Pair:
    """Seconds, and seconds of audio, of a batch."""
    begun, durations = time.perf_counter(), []

    def told(spoken: SpokenText, *_: float) -> None:
        assert spoken.audio is not None, spoken.error
        durations.append(spoken.audio.duration)

    with tempfile.TemporaryDirectory() as directory:
        run_batch(texts, Path(directory), speak, {}, told=told)
    return time.perf_counter() - begun, sum(durations)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", default="1,2", metavar="N,N")
    parser.add_argument("--texts", type=int, default=200, metavar="N")
    parser.add_argument("--slots", type=int, default=4, metavar="N")
    args = parser.parse_args()
    texts = [BatchText(str(number), TEXT, seed=number) for number in range(args.texts)]
    options = SpeechOptions()
    print("| | audio s / s | start, s |\n|---|---|---|")

    def alone(left: Sequence[BatchText]) -> Iterator[SpokenText]:
        return speak_texts(omniggml.load(n_threads=1), left, options, args.slots)

    measure("one process", texts, lambda: alone)
    for workers in map(int, args.workers.split(",")):

        def by_ray(n: int = workers) -> Callable[[Sequence[BatchText]], Iterable[SpokenText]]:
            return speak_by_ray("local", None, {"n_threads": 1}, options, args.slots, n)

        measure(f"Ray, {workers} worker{'s' if workers > 1 else ''}", texts, by_ray)


if __name__ == "__main__":
    main()
