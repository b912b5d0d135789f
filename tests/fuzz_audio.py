"""Audio files with bytes changed at random: each is heard or refused with one sentence, in bounded time and memory.

    python tests/fuzz_audio.py [--count 4000] [--seed 0] [--seconds 20]

A process of its own reads them; where it dies or hangs, the number of the case is printed; `--only N` runs that alone.
Changes are in the headers mostly: bytes, lengths, cuts, pieces of other files. Ends with status 1 where a case failed.
"""

from __future__ import annotations

import argparse
import io
import resource
import select
import subprocess
import sys
import time

import numpy as np
import soundfile

from ears_side import clip

_MOST_MEMORY = 4 << 30
_HEADER = 256
_EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def seeds() -> list[bytes]:
    """Small sound files of every kind that libsndfile writes."""
    kinds = [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "PCM_U8"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("CAF", "ALAC_16"),
        ("W64", "PCM_16"),
    ]
    out = []
    for number, (kind, subtype) in enumerate(kinds):
        samples = np.stack([clip("voice", 6000)] * (1 + number % 2), axis=1)
        file = io.BytesIO()
        soundfile.write(file, samples, 16000, format=kind, subtype=subtype)
        out.append(file.getvalue())
    return out


def changed(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """One to eight changes."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(0, min(_HEADER, len(out)) if rng.random() < 0.8 else len(out)))
        kind = rng.integers(0, 5)
        if kind == 0:
            out[at] = int(rng.integers(0, 256))
        elif kind == 1:
            out[at] = _EDGES[int(rng.integers(0, len(_EDGES)))]
        elif kind == 2:
            width = int(rng.integers(2, 9))
            out[at : at + width] = rng.bytes(width) if rng.random() < 0.5 else bytes([255]) * width
        elif kind == 3 and rng.random() < 0.3:
            del out[max(1, at) :]
        else:
            other = others[int(rng.integers(0, len(others)))]
            start, width = int(rng.integers(0, _HEADER)), int(rng.integers(1, 64))
            out[at : at + width] = other[start : start + width]
    return bytes(out) or b"\0"


def case(number: int, seed: int, files: list[bytes]) -> bytes:
    rng = np.random.default_rng((seed, number))
    return changed(files[number % len(files)], files, rng)


def work(numbers: range, seed: int) -> None:
    """Reads every case, and says before each which it is; ends with an error where one is neither heard nor refused."""
    from omniggml import InputError
    from omniggml.media.audio_input import read_samples

    files = seeds()
    for number in numbers:
        print(number, flush=True)
        try:
            samples = read_samples(case(number, seed, files))
            assert np.isfinite(samples).all()
        except InputError as error:
            assert str(error) and "\n" not in str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    assert peak < _MOST_MEMORY, f"{peak} bytes of memory"


def failures(count: int, seed: int, seconds: float) -> list[tuple[int, str]]:
    """Numbers of cases, and what the process that read them said last."""
    found: list[tuple[int, str]] = []
    start = 0
    while start < count:
        call = [sys.executable, __file__, "--work", str(start), str(count), "--seed", str(seed)]
        with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
            assert worker.stdout is not None and worker.stderr is not None
            last, ended = _followed(worker, start, seconds)
            if not ended:
                worker.kill()
            said = worker.stderr.read().decode(errors="replace").strip().splitlines()
            status = worker.wait()
        if ended and status == 0:
            break
        found.append((last, f"hangs for {seconds} s" if not ended else f"status {status}: {(said or [''])[-1]}"))
        start = last + 1
    return found


def _followed(worker: subprocess.Popen[bytes], start: int, seconds: float) -> tuple[int, bool]:
    """The last case that it began, and whether it ended by itself."""
    assert worker.stdout is not None
    last, line = start, b""
    while select.select([worker.stdout], [], [], seconds)[0]:
        data = worker.stdout.read1(1 << 16)  # type: ignore[attr-defined]
        if not data:
            return last, True
        line = (line + data)[-64:]
        whole = line.rpartition(b"\n")[0].rpartition(b"\n")[2]
        last = int(whole) if whole else last
    return last, False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="that a case may take")
    parser.add_argument("--only", type=int, help="one case, here")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(range(*options.work), options.seed)
        return 0
    if options.only is not None:
        work(range(options.only, options.only + 1), options.seed)
        return 0
    began = time.monotonic()
    found = failures(options.count, options.seed, options.seconds)
    for number, what in found:
        print(f"case {number}: {what}")
    print(f"{options.count} cases in {time.monotonic() - began:.0f} s, {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
