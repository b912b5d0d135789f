"""`omniggml bench`: how fast a model speaks here, and how far that is from what the machine can do."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from omniggml.benchmark.made_model import SIZES, make_model
from omniggml.cli.arguments import add_precision
from omniggml.cli.progress import on_terminal
from omniggml.cli.saying import tell
from omniggml.paths import as_path
from omniggml.printable import printable
from omniggml.spec.policy import policy_names


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("bench", help="measure how fast a model speaks on this machine")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("-m", "--model", metavar="FILE", help="speech file, NAME-speech.gguf")
    source.add_argument(
        "--make", choices=SIZES, help="random weights: of the published geometry (4 GiB), or of a small one (default)"
    )
    parser.add_argument("--type", default="q8_0", choices=policy_names(), help="policy of --make (default q8_0)")
    parser.add_argument("--device", default="auto", help="a name from `omniggml devices`")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; default: all usable")
    add_precision(parser)
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="frames a repetition (default 50)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="measure N speeches at once, too")
    parser.add_argument("--no-mmap", action="store_true", help="copy weights instead of mapping the file")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=run, prints=True)


def run(args: argparse.Namespace) -> int:
    from omniggml.benchmark.measurement import bench

    announce = _announce if sys.stderr.isatty() else None
    path = _made(args.make or "mini", args.type) if args.model is None else as_path(args.model)
    report = bench(
        path,
        announce=announce,
        device=args.device,
        n_threads=args.threads,
        vocoder_precision=args.vocoder_precision,
        frames=args.frames,
        repetitions=args.repetitions,
        mmap=not args.no_mmap,
        together=args.together,
    )
    if announce:
        announce("")
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        tell(*report.lines())
    return 0


def _made(size: str, type_: str) -> Path:
    progress = on_terminal()
    path = make_model(size, type_, progress)
    if progress:
        progress.close()
    return path


def _announce(what: str) -> None:
    print(f"\r\033[K{printable(what)}", end="", file=sys.stderr, flush=True)
