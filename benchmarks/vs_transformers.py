"""Code2wav, and talker with code predictor, of the published geometry against transformers on the CPU.

    pip install '.[reference]'
    python benchmarks/vs_transformers.py --threads 2

The same frames with the same number of threads in one run, in turn over the repetitions; printed are medians and the
median of the paired ratios: how many times faster the engine is. Weights are random: speed needs only the shapes. Where
transformers has several ways to compute attention or experts, each is tried and the fastest taken. Takes 5 GB of disk
(`omniggml bench --make real` writes the same file) and some 13 GB of memory at most.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import reference_modules as reference
import torch

import omniggml
from omniggml import _native
from omniggml.benchmark.made_model import make_model
from omniggml.model import Model

FRAME_SECONDS = 0.08
PROMPT_POSITIONS = 16
WARM_UP_FRAMES = 4  # a speech starts with its fourth token
_SOME_TOKEN = 5
_PAUSE_SECONDS = 0.1  # threads that others compute with spin for a while after it, at the cost of who comes next
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Work = Callable[[], None]
Result = dict[str, Any]


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(candidates: Mapping[str, Work], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each, after one turn that warms up. Nobody's threads are still awake when the next begins."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(repetitions + 1):
        for name, work in candidates.items():
            time.sleep(_PAUSE_SECONDS)
            took = seconds(work)
            if repetition:
                times[name].append(took)
    return times


def report(stage: str, frames: int, times: Mapping[str, list[float]]) -> list[Result]:
    """Print one line for each candidate, and return what it says."""
    results = []
    theirs = [name for name in times if not name.startswith("omniggml")]
    for name, taken in times.items():
        per_frame = [1000 * t / frames for t in taken]
        ratios = {} if name in theirs else {other: _paired(times[other], taken) for other in theirs}
        result: Result = {
            "stage": stage,
            "frames": frames,
            "name": name,
            "ms_per_frame": statistics.median(per_frame),
            "low": min(per_frame),
            "high": max(per_frame),
            "real_time_factor": statistics.median(per_frame) / 1000 / FRAME_SECONDS,
            "times_faster_than": ratios,
        }
        results.append(result)
        shown = ", ".join(f"{ratio:5.2f} times {other}" for other, ratio in ratios.items())
        print(
            f"{stage:8} {frames:4} frames  {name:22} {result['ms_per_frame']:8.1f} ms a frame "
            f"({result['low']:.1f} to {result['high']:.1f})  RTF {result['real_time_factor']:6.3f}  {shown}".rstrip(),
            flush=True,
        )
    return results


def _paired(others: list[float], ours: list[float]) -> float:
    return statistics.median(other / own for other, own in zip(others, ours, strict=True))


# --- code2wav ---------------------------------------------------------------------------------------------------------


def compare_code2wav(speech: Path, config: Any, args: argparse.Namespace) -> list[Result]:
    decoders: dict[str, Callable[[Any], Any]] = {}
    for precision in ("f32", "bf16"):
        try:
            model = omniggml.load(speech, device="cpu", n_threads=args.threads, vocoder_precision=precision)
        except omniggml.InputError as error:
            print(error, flush=True)  # this CPU has no fast bfloat16
            continue
        decoders[f"omniggml {precision}"] = model.code2wav
    sample = codes_of(8)
    for name, dtype in DTYPES.items():
        decoders[f"transformers {name}"] = _fastest(
            {how: reference.code2wav(config, dtype, how) for how in ("eager", "sdpa")}, sample
        )
    results = []
    for frames in args.frames:
        codes = codes_of(frames)
        works = {name: decoding(decode, codes) for name, decode in decoders.items()}
        results += report("code2wav", frames, in_turn(works, args.repetitions))
    return results


def codes_of(frames: int) -> Any:
    return np.random.default_rng(0).integers(0, 2048, (16, frames))


def decoding(decode: Callable[[Any], Any], codes: Any) -> Work:
    return lambda: decode(codes)


def _fastest(decoders: Mapping[str, Callable[[Any], Any]], sample: Any) -> Callable[[Any], Any]:
    for decode in decoders.values():
        decode(sample)
    return min(decoders.values(), key=lambda decode: seconds(lambda: decode(sample)))


# --- talker and code predictor ----------------------------------------------------------------------------------------


class Engine:
    """Our frames: the most probable codes, codec eos suppressed."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def start(self, frames: int) -> None:
        params = self.model._speech.default_params()
        params.talker = _native.SamplingParams(sample=False)
        params.predictor = _native.SamplingParams(sample=False)
        params.max_frames, params.ignore_eos = frames, True
        engine = _native.SpeechEngine(self.model._speech, n_threads=self.model._n_threads)
        ids = self.model._speech.text_tokens
        user = [ids["im_start"], ids["user"], *[_SOME_TOKEN] * (PROMPT_POSITIONS - 11)]
        header = [ids["im_start"], ids["assistant"], _SOME_TOKEN]
        self.speech = engine.begin(
            params,
            conversation=[*user, *header],
            text=[],
            speaker=self.model._speaker(None),
            finished=False,
            piece_frames=[1],
            buffered_frames=0,
            vocoded=False,
        )

    def run(self, frames: int) -> None:
        # As many tokens as frames: then it rests, and does not speak while others are measured.
        self.speech.feed([_SOME_TOKEN] * frames)
        for _ in range(frames):
            if self.speech.read() is None:
                raise SystemExit(f"fewer than {frames} frames were made")


def compare_talker(speech: Path, config: Any, args: argparse.Namespace) -> list[Result]:
    frames = args.talker_frames
    total = WARM_UP_FRAMES + frames * (args.repetitions + 1)
    engine = Engine(omniggml.load(speech, device="cpu", n_threads=args.threads))
    engine.start(total)
    engine.run(WARM_UP_FRAMES)
    works: dict[str, Work] = {f"omniggml {args.type}": lambda: engine.run(frames)}
    for name, dtype in DTYPES.items():
        works[f"transformers {name}"] = _reference_frames(config, dtype, frames)
    return report("talker", frames, in_turn(works, args.repetitions))


def _reference_frames(config: Any, dtype: torch.dtype, frames: int) -> Work:
    made = reference.Frames(config, dtype, "sdpa")
    made.start(PROMPT_POSITIONS)
    taken: dict[str, float] = {}
    for path in reference.EXPERT_PATHS:
        made.use_experts(path)
        try:
            made.run(WARM_UP_FRAMES)
            taken[path] = seconds(lambda: made.run(WARM_UP_FRAMES))
        except (RuntimeError, ValueError, ImportError, NotImplementedError) as error:
            print(f"transformers' {path} experts can't be used in {dtype}: {str(error).splitlines()[0]}", flush=True)
    made.use_experts(min(taken, key=lambda path: taken[path]))
    made.start(PROMPT_POSITIONS)
    made.run(WARM_UP_FRAMES)
    return lambda: made.run(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 4, 25, 300], help="of code2wav, at once")
    parser.add_argument("--talker-frames", type=int, default=8, help="of talker and code predictor, a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--type", default="q8_0", help="quantization policy of the engine's file")
    parser.add_argument("--only", choices=("code2wav", "talker"))
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    speech = make_model("real", args.type)
    config = reference.read_config()
    results = []
    if args.only != "talker":
        results += compare_code2wav(speech, config, args)
    gc.collect()
    if args.only != "code2wav":
        results += compare_talker(speech, config, args)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
