"""Loading, measured in processes of its own: only a fresh one has a peak of memory that is loading's alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from omniggml.benchmark.memory import peak_memory
from omniggml.errors import OmniError
from omniggml.loading import load


@dataclass(frozen=True)
class Load:
    """One load: how long it took, and the process' peak of memory after it and before it, in bytes."""

    seconds: float
    peak_memory: int
    memory_before: int


def measure_load(path: Path, device: str, mmap: bool = True) -> Load:
    """Load the file in a process of its own. Raises OmniError with that process' sentence where it fails."""
    command = [sys.executable, "-W", "ignore", "-m", "omniggml.benchmark.loading", str(path), device, str(int(mmap))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or [f"the process ended with {run.returncode}"]
        raise OmniError(lines[-1])
    return Load(**json.loads(run.stdout))


def _load(path: str, device: str, mmap: bool) -> Load:
    before = peak_memory()
    start = time.perf_counter()
    load(path, device=device, mmap=mmap)
    return Load(time.perf_counter() - start, peak_memory(), before)


def _main() -> int:
    path, device, mmap = sys.argv[1:]
    try:
        print(json.dumps(_load(path, device, mmap == "1").__dict__))
    except OmniError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
