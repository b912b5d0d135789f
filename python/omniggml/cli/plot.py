"""`omniggml plot`: audio, codes or a comparison as a picture."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.cli.saying import tell


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("plot", help="draw audio, codes, or the errors of a comparison")
    parser.add_argument("source", metavar="FILE", help="audio, codes (.npy), or what `compare --json` printed (.json)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the picture, .png, or - for stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from omniggml.plots import plot
    from omniggml.whole_file import STANDARD_OUTPUT

    written = plot(args.source, args.output)
    if args.output != STANDARD_OUTPUT:
        tell(str(written))
    return 0
