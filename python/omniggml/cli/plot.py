"""`omniggml plot`: audio, codes or a comparison as a picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from omniggml.doctor.given import read_audio, read_codes
from omniggml.doctor.plots import plot_audio, plot_codes, plot_errors, png
from omniggml.doctor.whole_file import write_whole
from omniggml.errors import InputError


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("plot", help="draw audio, codes, or the errors of a comparison")
    parser.add_argument("source", metavar="FILE", help="audio, codes (.npy), or what `compare --json` printed (.json)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the picture, .png")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    target = Path(args.output)
    if target.suffix.lower() != ".png":
        raise InputError(f"{target}: pictures are written as .png")
    print(write_whole(target, png(_drawn(Path(args.source)), dpi=150)))
    return 0


def _drawn(source: Path) -> Any:
    if source.suffix == ".npy":
        codes = read_codes(source)
        if codes.ndim != 2 or not codes.size or not np.issubdtype(codes.dtype, np.integer):
            raise InputError(
                f"{source} holds {codes.dtype} of shape {list(codes.shape)}; expected codes [groups, frames]"
            )
        return plot_codes(codes)
    if source.suffix == ".json":
        return plot_errors(_rows(source))
    audio = read_audio(source)
    if not audio.mono.size:
        raise InputError(f"{source} holds no samples")
    return plot_audio(audio.mono, audio.rate)


def _rows(source: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(source.read_text(encoding="utf-8"))["rows"]
        if not rows or any({"module", "inside", "local", "accumulated"} - set(row) for row in rows):
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{source} is not what `omniggml compare --json` prints") from None
    return list(rows)
