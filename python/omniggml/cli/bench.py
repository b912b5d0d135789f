"""`omniggml bench`: how fast a model speaks here, and how far that is from what the machine can do."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from omniggml.bench import Settings, bench


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("bench", help="measure how fast a model speaks on this machine")
    parser.add_argument("-m", "--model", required=True, metavar="FILE", help="speech file, NAME-speech.gguf")
    parser.add_argument("--device", default="auto", help="a name from `omniggml devices`")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; default: all cores")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="frames a repetition (default 50)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    settings = Settings(args.device, args.threads, args.frames, args.repetitions)
    announce = _announce if sys.stderr.isatty() else None
    report = bench(args.model, settings, announce)
    if announce:
        announce("")
    print(json.dumps(report.as_dict(), indent=2) if args.json else "\n".join(report.lines()))
    return 0


def _announce(what: str) -> None:
    print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
