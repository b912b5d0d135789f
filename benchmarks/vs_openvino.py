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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import reference_modules as reference
import torch
from vs_transformers import Result, Work, codes_of, decoding, in_turn, report

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
    results: list[Result] = []
    for frames in args.frames:
        codes = codes_of(frames)
        works: dict[str, Work] = {name: decoding(decode, codes) for name, decode in ours.items()}
        for precision in PRECISIONS:
            theirs = converted(vocoder, frames, precision, args.threads)
            works[f"OpenVINO {precision}"] = decoding(theirs, codes)
        works["transformers float32"] = decoding(torch_f32, codes)
        results += report("code2wav", frames, in_turn(works, args.repetitions))
        works.clear()
        gc.collect()
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
