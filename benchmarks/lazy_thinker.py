"""What speaking reads and holds with a thinker beside the speech file that is larger than the memory, and without one.

    python benchmarks/lazy_thinker.py --speech models/omni-speech.gguf

The thinker is of the published geometry in q8_0, a file with holes in the place of values; its vocabulary is the speech
file's. Without --speech the built-in voice speaks. Linux only.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import omniggml
from omniggml.conversion.output_tensors import thinker_file_outputs
from omniggml.gguf.output_header import header_bytes, offsets
from omniggml.loading import BUILT_IN
from omniggml.spec import thinker_file
from omniggml.spec.policy import read_policy
from omniggml.spec.published import PUBLISHED

SPEAK = """
import resource, sys
import omniggml
omniggml.load(sys.argv[1], n_threads=2).speak("hello world", max_frames=20)
io = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, io["rchar"])
"""


def write_thinker(path: Path, vocabulary: int) -> int:
    """Header and holes; returns its size."""
    thinker = dataclasses.replace(PUBLISHED.thinker, vocab_size=vocabulary)
    outputs = [tensor.as_output() for tensor in thinker_file_outputs(thinker, read_policy("q8_0"))]
    metadata = thinker_file.thinker_metadata(dataclasses.replace(PUBLISHED.language_model, thinker=thinker))
    header = header_bytes(thinker_file.ARCHITECTURE, metadata, outputs)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(offsets(header, outputs)[-1])
    return path.stat().st_size


def spoken(path: Path) -> tuple[int, int]:
    """Bytes resident at most, and read by system calls."""
    done = subprocess.run([sys.executable, "-c", SPEAK, str(path)], check=True, capture_output=True, text=True)
    resident, read = done.stdout.split()
    return int(resident), int(read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--speech", type=Path, default=BUILT_IN)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        speech = Path(directory) / "x-speech.gguf"
        speech.symlink_to(args.speech.resolve())
        alone = spoken(speech)
        rows = omniggml.load(speech).geometry["talker"]["text_vocab_size"]
        size = write_thinker(Path(directory) / "x-thinker.gguf", rows)
        beside = spoken(speech)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    print(f"a thinker of {size / 1e9:.1f} GB beside the speech file, on a machine of {memory / 1e9:.1f} GB")
    for name, first, second in zip(("resident", "read"), alone, beside, strict=True):
        more = 100 * second / first - 100
        print(f"{name}: {first / 1e6:.1f} MB without it, {second / 1e6:.1f} MB with it ({more:+.1f} %)")


if __name__ == "__main__":
    main()
