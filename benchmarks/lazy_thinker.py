"""What speaking reads and holds with a thinker larger than the memory: beside the speech file, and in the same file.

    python benchmarks/lazy_thinker.py --speech models/omni-speech.gguf

The thinker is of the published geometry in f16, a file with holes in the place of values; its vocabulary is the speech
file's. In one file with the speech file's tensors it has that file's width, and wider experts. Before each run the
files are dropped from the system's memory; of several runs of each, in turn, the quickest is told. Without --speech
the built-in voice speaks. Linux only.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

from omniggml.conversion.output_tensors import thinker_file_outputs
from omniggml.files.plan import stacked
from omniggml.gguf.header import Header, read_header
from omniggml.gguf.output_header import OutputTensor, header_bytes, offsets
from omniggml.gguf.type_names import nbytes_of
from omniggml.loading import BUILT_IN
from omniggml.spec import thinker_file
from omniggml.spec.expected_tensors import TEXT_EMBEDDING, thinker_tensors
from omniggml.spec.policy import read_policy
from omniggml.spec.published import PUBLISHED

ALL_IN_ONE = "qwen3omnimoe"
ROUNDS = 5
_WHERE = ("with it beside", "in one file")
SPEAK = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
import omniggml
start = time.perf_counter()
pieces = omniggml.load(sys.argv[1], n_threads=2).stream("hello world", max_frames=20)
next(pieces)
first = time.perf_counter() - start
list(pieces)
io = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, io["rchar"], io["read_bytes"], first)
"""


@dataclass(frozen=True)
class Run:
    """Bytes `resident` at most, `read` by system calls, and `fetched` from the disk, pages of mappings included;
    seconds to the `first` piece of sound."""

    resident: int
    read: int
    fetched: int
    first: float


def write_thinker(path: Path, vocabulary: int) -> int:
    """Header and holes; returns its size."""
    thinker = dataclasses.replace(PUBLISHED.thinker, vocab_size=vocabulary)
    outputs = [tensor.as_output() for tensor in thinker_file_outputs(thinker, read_policy("f16"))]
    metadata = thinker_file.thinker_metadata(dataclasses.replace(PUBLISHED.language_model, thinker=thinker))
    return _write(path, header_bytes(thinker_file.ARCHITECTURE, metadata, outputs), outputs, [])


def write_all_in_one(path: Path, speech: Header) -> int:
    """The speech file's tensors and a thinker's, its holes behind them; returns the size."""
    rows, width = speech.tensors[TEXT_EMBEDDING].shape
    inner = PUBLISHED.thinker.moe_intermediate_size * PUBLISHED.thinker.hidden_size // width
    thinker = dataclasses.replace(
        PUBLISHED.thinker, vocab_size=rows, hidden_size=width, moe_intermediate_size=inner, intermediate_size=inner
    )
    own = [OutputTensor(one.name, one.shape, one.type, one.nbytes) for one in speech.tensors.values()]
    holes = [_hole(name, shape) for name, shape in stacked(thinker_tensors(thinker)).items() if name != TEXT_EMBEDDING]
    metadata = {
        key.replace(speech.architecture, ALL_IN_ONE, 1): entry
        for key, entry in speech.entries().items()
        if key != "general.architecture" and not key.endswith(".format_version")
    }
    values = [speech.read(one) for one in speech.tensors.values()]
    return _write(path, header_bytes(ALL_IN_ONE, metadata, [*own, *holes]), [*own, *holes], values)


def _hole(name: str, shape: tuple[int, ...]) -> OutputTensor:
    type_ = read_policy("f16").type_of(name, shape)
    return OutputTensor(name, shape, type_, nbytes_of(type_, prod(shape)))


def _write(path: Path, header: bytes, outputs: list[OutputTensor], values: list[bytes]) -> int:
    places = offsets(header, outputs)
    with path.open("wb") as file:
        file.write(header)
        for place, data in zip(places, values, strict=False):
            file.seek(place)
            file.write(data)
        file.truncate(places[-1])
        os.fsync(file.fileno())
    return places[-1]


def spoken(path: Path, *others: Path) -> Run:
    """Of a process that finds none of the files in the system's memory."""
    for file in (path, *others):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)  # what isn't written yet stays in memory
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    done = subprocess.run([sys.executable, "-c", SPEAK, str(path)], check=True, capture_output=True, text=True)
    resident, read, fetched, first = done.stdout.split()
    return Run(int(resident), int(read), int(fetched), float(first))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--speech", type=Path, default=BUILT_IN)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        speech, neighbour = (Path(directory) / where / "x-speech.gguf" for where in ("alone", "beside"))
        for path in (speech, neighbour):
            path.parent.mkdir()
            path.write_bytes(args.speech.read_bytes())
        header = read_header(speech)
        thinker, all_in_one = neighbour.with_name("x-thinker.gguf"), Path(directory) / "all-in-one.gguf"
        size = write_thinker(thinker, header.tensors[TEXT_EMBEDDING].shape[0])
        whole_size = write_all_in_one(all_in_one, header)
        spoken(speech)  # Python's own files
        rounds = [[spoken(speech), spoken(neighbour, thinker), spoken(all_in_one)] for _ in range(ROUNDS)]
    alone, beside, within = (min(runs, key=lambda run: run.first) for runs in zip(*rounds, strict=True))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    sizes = f"a thinker of {size / 1e9:.1f} GB, and all in one of {whole_size / 1e9:.1f} GB"
    print(f"{sizes}, on a machine of {memory / 1e9:.1f} GB")
    megabytes = [(name, 1e6, "MB") for name in ("resident", "read", "fetched")]
    for name, unit, kind in (*megabytes, ("first", 1e-3, "ms")):
        first, *others = (getattr(run, name) / unit for run in (alone, beside, within))
        pairs = zip(others, _WHERE, strict=True)
        told = [f"{other:.1f} {kind} {where} ({100 * other / first - 100:+.1f} %)" for other, where in pairs]
        print(f"{name}: {first:.1f} {kind} alone, {', '.join(told)}")


if __name__ == "__main__":
    main()
