"""`omniggml convert`: a Hugging Face checkpoint to GGUF files."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.cli.progress import on_terminal
from omniggml.cli.saying import tell
from omniggml.spec.policy import CONVERSION_POLICIES


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("convert", help="turn a Hugging Face checkpoint into GGUF files")
    parser.add_argument("checkpoint", metavar="HF_DIR", help="directory with config.json and safetensors files")
    parser.add_argument("-o", "--output", required=True, metavar="OUT_DIR", help="directory for the GGUF files")
    parser.add_argument("--type", default="f16", choices=CONVERSION_POLICIES, help="precision (default f16)")
    parser.add_argument("--name", help="NAME of NAME-speech.gguf and so on; default: the directory's")
    parser.add_argument("--only", choices=("speech", "thinker", "mmproj"), help="write one of the files")
    parser.add_argument(
        "--layout",
        choices=("own", "mtmd-gen"),
        default="own",
        help="mtmd-gen: predictor and code2wav alone, as llama.cpp's mmproj files have generated audio",
    )
    parser.add_argument(
        "--no-deepstack",
        action="store_true",
        help="leave out of the encoder for images what llama.cpp has no place for; images are seen less well",
    )
    parser.add_argument("--lora", metavar="DIR", help="a PEFT adapter, merged into the weights")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from omniggml.conversion.checkpoint_to_gguf import convert

    progress = on_terminal()
    written = convert(
        args.checkpoint,
        args.output,
        type=args.type,
        name=args.name,
        only=args.only,
        lora=args.lora,
        layout=args.layout,
        deepstack=not args.no_deepstack,
        progress=progress,
    )
    if progress:
        progress.close()
    tell(*map(str, written))
    return 0
