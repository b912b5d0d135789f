"""How much memory and time does a conversion take? Writes a random checkpoint with the published talker and code2wav,
4.2 GB with nine of the talker's twenty layers, converts it twice with `omniggml convert --only speech`, and compares
the results byte by byte.

    python benchmarks/convert_memory.py DIRECTORY [--type q8_0] [--layers 9]

DIRECTORY keeps the checkpoint for the next time. Linux and macOS.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY, Geometry
from omniggml.synthetic.random_checkpoint import write_random_checkpoint


def geometry(layers: int) -> Geometry:
    """The published one with fewer layers in the talker: tensors are as large, and not as many."""
    return replace(
        PUBLISHED_GEOMETRY,
        name=f"published-{layers}",
        talker=replace(PUBLISHED_GEOMETRY.talker, num_hidden_layers=layers),
    )


def checkpoint(directory: Path, layers: int) -> Path:
    """Made if it isn't there."""
    path = directory / f"checkpoint-{layers}"
    if not (path / "model.safetensors.index.json").exists():  # written last
        start = time.monotonic()
        write_random_checkpoint(geometry(layers), path, shard_bytes=1 << 30, only="speech")
        print(f"checkpoint written in {time.monotonic() - start:.0f} s", file=sys.stderr)
    return path


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and the most resident memory in GiB of a process. Raises SystemExit where it fails."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**30


def digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--type", default="q8_0")
    parser.add_argument("--layers", type=int, default=9)
    args = parser.parse_args()
    source = checkpoint(args.directory, args.layers)
    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs; checkpoint of {size / 1e9:.2f} GB, type {args.type}")
    digests = []
    for run in (1, 2):
        out = args.directory / f"out-{run}"
        command = [sys.executable, "-m", "omniggml", "convert", str(source), "-o", str(out), "--only", "speech"]
        seconds, busy, peak = measured([*command, "--type", args.type, "--name", "random"])
        path = out / "random-speech.gguf"
        digests.append(digest(path))
        size = path.stat().st_size
        print(f"run {run}: {size / 1e9:.2f} GB in {seconds:.0f} s ({busy:.0f} s of CPU), peak {peak:.2f} GiB resident")
        path.unlink()
    print("byte-identical" if digests[0] == digests[1] else "THE RUNS DIFFER")


if __name__ == "__main__":
    main()
