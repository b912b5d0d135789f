"""`omniggml voices`: who can speak."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.cli.arguments import add_model, load_model
from omniggml.cli.saying import tell


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("voices", help="names for --speaker")
    add_model(parser)
    parser.set_defaults(run=run, prints=True)


def run(args: argparse.Namespace) -> int:
    model = load_model(args)
    for name in model.speakers:
        tell(f"{name}{' (default)' if name == model.default_speaker else ''}")
    return 0
