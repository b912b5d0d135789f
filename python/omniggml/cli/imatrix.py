"""`omniggml imatrix`: which inputs of each matrix matter, measured while texts are spoken."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from omniggml.cli.arguments import add_model, files_read, load_model, read_texts
from omniggml.cli.saying import tell
from omniggml.errors import InputError
from omniggml.quantization.defaults import CALIBRATION_TEXTS, IMATRIX_FRAMES


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("imatrix", help="measure what matters for quantize --imatrix")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="GGUF file in llama.cpp's imatrix format")
    parser.add_argument("--text", metavar="FILE", help="one text a line; default: a few English sentences")
    parser.add_argument(
        "--frames", type=int, default=IMATRIX_FRAMES, metavar="N", help=f"of each text, at most ({IMATRIX_FRAMES})"
    )
    add_model(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    texts = read_texts(args.text, CALIBRATION_TEXTS)
    if not texts:
        raise InputError(f"{args.text} holds no text to speak")
    from omniggml.quantization.imatrix import check_imatrix_target, imatrix

    check_imatrix_target(args.output, [args.text, *files_read(args)])
    datasets = {"datasets": [Path(args.text).name]} if args.text else {}
    found = imatrix(load_model(args), args.output, texts=texts, max_frames=args.frames, **datasets)
    rows = int(max(statistics.counts.sum() for statistics in found.values()))
    tell(f"{args.output}: {len(found)} tensors, up to {rows} rows each")
    return 0
