"""`omniggml imatrix`: which inputs of each matrix matter, measured while texts are spoken."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from omniggml.cli.arguments import add_model, load_model, read_texts
from omniggml.errors import InputError
from omniggml.quantize.imatrix import gather, write_imatrix
from omniggml.quantize.teacher import SENTENCES

_FRAMES = 200


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("imatrix", help="measure what matters for quantize --imatrix")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="GGUF file in llama.cpp's imatrix format")
    parser.add_argument("--text", metavar="FILE", help="one text a line; default: a few English sentences")
    parser.add_argument("--frames", type=int, default=_FRAMES, metavar="N", help=f"of each text, at most ({_FRAMES})")
    add_model(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    texts = read_texts(args.text, SENTENCES)
    if not texts:
        raise InputError(f"{args.text} holds no text to speak")
    found = gather(load_model(args), texts, args.frames)
    name = Path(args.text).name if args.text else "omniggml's sentences"
    path = write_imatrix(args.output, found, [name])
    rows = int(max(statistics.counts.sum() for statistics in found.values()))
    print(f"{path}: {len(found)} tensors, up to {rows} rows each")
    return 0
