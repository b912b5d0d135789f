"""The audio encoder of the published geometry against transformers on the CPU.

    pip install '.[reference]'
    python benchmarks/listening.py --threads 2 --seconds 30

The same log-mel features with the same number of threads in one run, in turn over the repetitions; printed are medians,
the median of the paired ratios, and how far the rows lie from those of transformers in float32, which has the same
random weights. Peaks of memory are of processes of their own, in which the engine loads and listens once. Takes 6 GB of
disk, in the user's cache directory, and some 8 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.benchmark.made_model import cache_directory
from omniggml.files.encoders import open_encoders
from omniggml.spec.encoder_tensors import AUDIO_POSITIONS, AUDIO_PREFIX
from omniggml.spec.llama_names import encoder_name
from omniggml.synthetic.ears import PUBLISHED_EARS
from omniggml.synthetic.random_ears import write_random_ears

FloatArray = npt.NDArray[np.float32]
Encode = Callable[[FloatArray], FloatArray]

TYPES = ("f32", "f16", "bf16", "q8_0")
DTYPES = ("float32", "bfloat16")
FRAMES_A_SECOND = 100


def encoder_named(name: str, threads: int) -> Encode:
    """One of TYPES: ours from a file of that type. One of DTYPES: transformers'."""
    return ours(name, threads) if name in TYPES else theirs(name, threads)


def file_of(type_: str) -> Path:
    path = cache_directory() / f"random-real-{type_}-mmproj.gguf"
    return path if path.exists() else write_random_ears(path, type_)


def ours(type_: str, threads: int) -> Encode:
    encoders = _native.MediaEncoders(open_encoders(file_of(type_)).native, "cpu")
    return _native.AudioEncoderSession(encoders, threads, None).encode


def theirs(dtype: str, threads: int) -> Encode:
    import gguf
    import torch
    from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeAudioEncoderConfig
    from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeAudioEncoder

    torch.set_num_threads(threads)
    config = Qwen3OmniMoeAudioEncoderConfig(**vars(PUBLISHED_EARS))
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        encoder = Qwen3OmniMoeAudioEncoder(config)
    encoder.to_empty(device="cpu")
    values = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file_of("f32")).tensors}
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            stored = values[encoder_name(AUDIO_PREFIX + name)]
            parameter.copy_(torch.from_numpy(np.array(stored)).reshape(parameter.shape))
        table = np.array(values[encoder_name(AUDIO_POSITIONS)])
        encoder.positional_embedding.positional_embedding.copy_(torch.from_numpy(table))
    encoder = encoder.to(getattr(torch, dtype)).eval()

    def encode(features: FloatArray) -> FloatArray:
        with torch.inference_mode():
            given = torch.from_numpy(features).to(getattr(torch, dtype))
            out: Any = encoder(given, feature_lens=torch.tensor([features.shape[1]]))
            rows: FloatArray = out.last_hidden_state.float().numpy()
            return rows

    return encode


def peak_megabytes(name: str, args: argparse.Namespace) -> tuple[float, float]:
    """Of a process that loads and listens: in all, and before it loads."""
    call = [sys.executable, __file__, "--alone", name, "--threads", str(args.threads), "--seconds", str(args.seconds)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after, before


def alone(name: str, args: argparse.Namespace) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder_named(name, args.threads)(features_of(args.seconds))
    print(before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def features_of(seconds: float) -> FloatArray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.7, (PUBLISHED_EARS.num_mel_bins, round(FRAMES_A_SECOND * seconds))).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="of audio")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--type", nargs="+", choices=TYPES, default=TYPES, help="of the engine's files")
    parser.add_argument("--reference", nargs="*", choices=DTYPES, default=DTYPES, help="of transformers")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        alone(args.alone, args)
        return
    names = [*args.type, *args.reference]
    features = features_of(args.seconds)
    encoders = {name: encoder_named(name, args.threads) for name in names}
    rows = {name: encode(features) for name, encode in encoders.items()}  # one turn that warms up
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(args.repetitions):
        for name, encode in encoders.items():
            start = time.perf_counter()
            encode(features)
            times[name].append(time.perf_counter() - start)
    encoders.clear()
    print(f"{args.seconds:g} s of audio, {args.threads} threads, load average {os.getloadavg()[0]:.1f}")
    results = [report(name, times, rows, args) for name in names]
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def report(name: str, times: dict[str, list[float]], rows: dict[str, FloatArray], args: argparse.Namespace) -> Any:
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
        "peak_mb": peak_megabytes(name, args) if name in TYPES and not args.no_memory else None,
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


if __name__ == "__main__":
    main()
