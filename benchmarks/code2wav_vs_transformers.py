"""Code2wav of the published geometry against transformers on the CPU, same frames, same threads, same run.

    pip install '.[reference]'
    python benchmarks/code2wav_vs_transformers.py

Prints the median real-time factor (seconds of work a second of audio) of each, interleaved over repetitions, and how
many times faster the engine is. Weights are random: speed needs only the shapes. Needs 3 GB of memory and disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import omniggml
from omniggml.convert import GEOMETRIES, PUBLISHED, convert, write_random_checkpoint

Decode = Callable[[npt.NDArray[np.int64]], Any]


def engine(speech: Path, precision: str, threads: int) -> Decode:
    model = omniggml.load(speech, device="cpu", n_threads=threads, vocoder_precision=precision)
    return lambda codes: model.code2wav(codes)


def reference(checkpoint: Path, dtype: str, threads: int) -> Decode:
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig
    from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

    torch.set_num_threads(threads)
    config = AutoConfig.from_pretrained(checkpoint).code2wav_config
    config._attn_implementation = "eager"
    vocoder = Qwen3OmniMoeCode2Wav(config)
    weights = {}
    for shard in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(shard, "pt") as file:
            names = [name for name in file.keys() if name.startswith("code2wav.")]  # noqa: SIM118, a file is no dict
            weights |= {name.removeprefix("code2wav."): file.get_tensor(name) for name in names}
    vocoder.load_state_dict(weights)
    vocoder = vocoder.to(getattr(torch, dtype)).eval()

    def decode(codes: npt.NDArray[np.int64]) -> Any:
        with torch.inference_mode():
            return vocoder(torch.from_numpy(codes[np.newaxis]))

    return decode


def seconds(decode: Decode, codes: npt.NDArray[np.int64]) -> float:
    start = time.perf_counter()
    decode(codes)
    return time.perf_counter() - start


def compare(candidates: dict[str, Decode], frames: int, repetitions: int) -> None:
    codes = np.random.default_rng(0).integers(0, 2048, (16, frames))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(repetitions + 1):
        for name, decode in candidates.items():
            took = seconds(decode, codes)
            if repetition > 0:  # the first warms up
                times[name].append(took)
    for name, taken in times.items():
        factor = statistics.median(taken) / (frames * 0.08)
        ratios = []
        for other in (n for n in times if n.startswith("transformers") and not name.startswith("transformers")):
            paired = statistics.median(theirs / ours for theirs, ours in zip(times[other], taken, strict=True))
            ratios.append(f"{paired:5.2f} times {other}")
        print(f"{frames:4} frames  {name:22} RTF {factor:6.3f}  {', '.join(ratios)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 4, 25, 300])
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    geometry = replace(GEOMETRIES["long-window"], name="published-vocoder", code2wav=PUBLISHED.code2wav, loudness=0.03)
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = write_random_checkpoint(geometry, Path(directory) / "checkpoint", shard_bytes=1 << 30)
        speech = convert(checkpoint, directory, type="f32", name="vocoder", only="speech")[0]
        candidates = {
            "omniggml f32": engine(speech, "f32", args.threads),
            "transformers float32": reference(checkpoint, "float32", args.threads),
            "transformers bfloat16": reference(checkpoint, "bfloat16", args.threads),
        }
        if any(kind.startswith("bf16") for kind in omniggml._native.kernel_kinds()):
            candidates["omniggml bf16"] = engine(speech, "bf16", args.threads)
        for frames in args.frames:
            compare(candidates, frames, args.repetitions)


if __name__ == "__main__":
    main()
