"""Is what `auto` chooses the fastest? `python benchmarks/auto_table.py [--threads 1 2] [--frames 1 4 25 100]`

Code2wav of the published geometry in every precision, for every number of frames a piece and of threads, in turn; with
each row what the precision that `auto` is on this machine takes, against the fastest. Writes the model of
`omniggml bench --make real` (4 GiB) where it isn't there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np

import omniggml
from omniggml import _native
from omniggml.benchmark.figure import Figure
from omniggml.benchmark.made_model import make_model
from omniggml.benchmark.vocoder_choice import vocoder_choice_text
from omniggml.model import Model

PRECISIONS = ("f32", "bf16")


def models(threads: int) -> dict[str, Model]:
    found = {}
    for precision in PRECISIONS:
        try:
            speech = make_model("real")
            found[precision] = omniggml.load(speech, device="cpu", n_threads=threads, vocoder_precision=precision)
        except omniggml.InputError as error:
            print(error)  # this CPU has no fast bfloat16
    return found


def measure(loaded: Mapping[str, Model], frames: int, repetitions: int) -> dict[str, Figure]:
    """Milliseconds a frame, in turn, after a turn that warms up."""
    codes = np.random.default_rng(0).integers(0, 2048, (16, frames))
    taken: dict[str, list[float]] = {precision: [] for precision in loaded}
    for repetition in range(repetitions + 1):
        for precision, model in loaded.items():
            start = time.perf_counter()
            model.code2wav(codes)
            if repetition:
                taken[precision].append((time.perf_counter() - start) * 1000 / frames)
    return {precision: Figure.of(times) for precision, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, _native.usable_cpus()])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 4, 25, 100])
    parser.add_argument("--repetitions", type=int, default=7)
    args = parser.parse_args()
    choice = _native.vocoder_choice()
    print(vocoder_choice_text(choice))
    print(f"{'threads':>7} {'frames':>6}  {'f32, ms a frame':26} {'bf16, ms a frame':26} auto / fastest")
    for threads in args.threads:
        loaded = models(threads)
        for frames in args.frames:
            figures = measure(loaded, frames, args.repetitions)
            fastest = min(figure.low for figure in figures.values())
            shown = " ".join(f"{figure.text():26}" for figure in figures.values())
            print(f"{threads:7} {frames:6}  {shown} {figures[choice['auto']].low / fastest:.3f}", flush=True)


if __name__ == "__main__":
    main()
