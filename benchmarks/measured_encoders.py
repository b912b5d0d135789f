"""An encoder of the engine's, from files of several types, and transformers' on the CPU, in turn in one process: what
`listening.py` and `looking.py` have in common."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Encode = Callable[[FloatArray], FloatArray]

TYPES = ("f32", "f16", "bf16", "q8_0")
DTYPES = ("float32", "bfloat16")


class Encoder(ABC):
    """One that is measured."""

    script: str
    """The benchmark's own file, which measures memory in processes of its own."""

    @abstractmethod
    def ours(self, type_: str, threads: int) -> Encode:
        """From a file of a type."""

    @abstractmethod
    def theirs(self, dtype: str, threads: int) -> Encode:
        """transformers', with the same weights."""

    @abstractmethod
    def given(self, args: argparse.Namespace) -> FloatArray:
        """What is encoded."""

    @abstractmethod
    def describe(self, args: argparse.Namespace) -> tuple[str, list[str]]:
        """What that is, in words, and the arguments that make it."""

    def named(self, name: str, threads: int) -> Encode:
        return self.ours(name, threads) if name in TYPES else self.theirs(name, threads)


def measure(encoder: Encoder, parser: argparse.ArgumentParser) -> None:
    """Print medians, medians of paired ratios, distances to transformers in float32, and peaks of memory."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--type", nargs="+", choices=TYPES, default=TYPES, help="of the engine's files")
    parser.add_argument("--reference", nargs="*", choices=DTYPES, default=DTYPES, help="of transformers")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        _alone(encoder, args)
        return
    names = [*args.type, *args.reference]
    given = encoder.given(args)
    encoders = {name: encoder.named(name, args.threads) for name in names}
    rows = {name: encode(given) for name, encode in encoders.items()}  # one turn that warms up
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(args.repetitions):
        for name, encode in encoders.items():
            start = time.perf_counter()
            encode(given)
            times[name].append(time.perf_counter() - start)
    encoders.clear()
    print(f"{encoder.describe(args)[0]}, {args.threads} threads, load average {os.getloadavg()[0]:.1f}")
    results = [_report(encoder, name, times, rows, args) for name in names]
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _peak_megabytes(encoder: Encoder, name: str, args: argparse.Namespace) -> tuple[float, float]:
    """Of a process that loads and encodes: in all, and before it loads."""
    call = [sys.executable, encoder.script, "--alone", name, "--threads", str(args.threads), *encoder.describe(args)[1]]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after, before


def _alone(encoder: Encoder, args: argparse.Namespace) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder.named(args.alone, args.threads)(encoder.given(args))
    print(before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _report(
    encoder: Encoder, name: str, times: dict[str, list[float]], rows: dict[str, FloatArray], args: argparse.Namespace
) -> dict[str, Any]:
    """Print one line, and return what it says."""
    taken = times[name]
    ratios = {
        other: statistics.median(b / a for a, b in zip(taken, times[other], strict=True))
        for other in args.reference
        if name in TYPES
    }
    result = {
        "name": name,
        "seconds": statistics.median(taken),
        "low": min(taken),
        "high": max(taken),
        "times_faster_than": ratios,
        "nmse": nmse(rows[name], rows["float32"]) if "float32" in rows and name != "float32" else None,
        "peak_mb": _peak_megabytes(encoder, name, args) if name in TYPES and not args.no_memory else None,
    }
    line = f"{name:9} {result['seconds']:7.3f} s ({result['low']:.3f} to {result['high']:.3f})"
    line += "".join(f"  {ratio:5.2f} times {other}" for other, ratio in ratios.items())
    line += f"  NMSE {result['nmse']:.1e}" if result["nmse"] is not None else ""
    if result["peak_mb"]:
        line += "  peak {:.0f} MB, {:.0f} before loading".format(*result["peak_mb"])
    print(line, flush=True)
    return result


def nmse(ours: FloatArray, reference: FloatArray) -> float:
    exact = reference.astype(np.float64)
    return float(((ours - exact) ** 2).sum() / (exact**2).sum())
