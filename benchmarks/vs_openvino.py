"""Code2wav of the published geometry against OpenVINO and transformers on the CPU.

    pip install '.[bench]'
    python benchmarks/vs_openvino.py --threads 2

OpenVINO runs the reference's own module, converted for each number of frames, with its hint for latency, in float32 and
in its default precision (bfloat16 where the CPU has products of it). The same frames with the same number of threads in
one run, in turn over the repetitions; printed are medians and the median of the paired ratios: how many times faster
the engine is. Weights are random: speed needs only the shapes.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import reference_modules as reference
import torch
from vs_transformers import FRAME_SECONDS, Result, Work, codes_of, decoding, in_turn, paired

import omniggml
from omniggml.benchmark.made_model import make_model

PRECISIONS = ("f32", "bf16")


def converted(vocoder: torch.nn.Module, frames: int, precision: str, threads: int) -> Callable[[Any], None]:
    """A function that decodes codes [groups, frames] by OpenVINO."""
    example = torch.from_numpy(codes_of(frames))[None]
    with torch.no_grad():
        graph = openvino.convert_model(torch.export.export(vocoder, (example,), strict=False))
        expected = vocoder(example).numpy()
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()
    made = next(iter(request.infer([example.numpy()]).values()))
    if np.abs(made - expected).max() > (1e-4 if precision == "f32" else 1e-1) * np.abs(expected).max():
        raise SystemExit(f"OpenVINO's {precision} samples are others than transformers'")

    def decode(codes: Any) -> None:
        request.infer([codes[None]])

    return decode


def report(frames: int, times: dict[str, list[float]]) -> list[Result]:
    """Print one line for each candidate, and return what it says."""
    results = []
    others = [name for name in times if not name.startswith("omniggml")]
    for name, taken in times.items():
        per_frame = [1000 * t / frames for t in taken]
        ratios = {} if name in others else {other: paired(times[other], taken) for other in others}
        results.append({"frames": frames, "name": name, "ms_per_frame": statistics.median(per_frame),
                        "low": min(per_frame), "high": max(per_frame), "times_faster_than": ratios})  # fmt: skip
        shown = ", ".join(f"{ratio:.2f} times {other}" for other, ratio in ratios.items())
        print(
            f"{frames:4} frames  {name:22} {statistics.median(per_frame):8.1f} ms a frame "
            f"({min(per_frame):.1f} to {max(per_frame):.1f}; {FRAME_SECONDS * 1000:.0f} sounds)  {shown}".rstrip(),
            flush=True,
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 4, 25, 100, 300], help="at once")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--type", default="q8_0", help="quantization policy of the engine's file")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    speech, config = make_model("real", args.type), reference.read_config()
    ours = {
        f"omniggml {precision}": omniggml.load(
            speech, device="cpu", n_threads=args.threads, vocoder_precision=precision, thinker=False
        ).code2wav
        for precision in PRECISIONS
    }
    torch_f32, vocoder = reference.code2wav(config, torch.float32, "sdpa"), reference.vocoder(config, torch.float32)
    results = []
    for frames in args.frames:
        codes = codes_of(frames)
        works: dict[str, Work] = {name: decoding(decode, codes) for name, decode in ours.items()}
        for precision in PRECISIONS:
            theirs = converted(vocoder, frames, precision, args.threads)
            works[f"OpenVINO {precision}"] = decoding(theirs, codes)
        works["transformers float32"] = decoding(torch_f32, codes)
        results += report(frames, in_turn(works, args.repetitions))
        works.clear()
        gc.collect()
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
