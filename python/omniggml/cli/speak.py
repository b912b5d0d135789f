"""`omniggml speak`: a text, verbatim."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.cli.arguments import (
    add_model,
    add_output,
    add_speech,
    chosen_output,
    file_text,
    files_read,
    given_text,
    load_model,
    speech_options,
)
from omniggml.cli.output import report, write_audio


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "speak",
        help="speak a text exactly as given; needs no thinker",
        epilog="A text that begins with a dash goes behind --: omniggml speak -o x.wav -- -hello",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", help="the text, - to read it from standard input")
    what.add_argument("-f", "--file", metavar="FILE", help="a file whose text is spoken")
    parser.add_argument("--ssml", action="store_true", help="the text is SSML; without this it is where it has a root")
    add_output(parser)
    add_model(parser)
    add_speech(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    output = chosen_output(args)
    inputs = [*files_read(args), args.file]
    output.check(inputs)
    text = given_text(args.text) if args.file is None else file_text(args.file)
    model = load_model(args)
    pieces = model.stream(text, ssml=True if args.ssml else None, **speech_options(args))
    return report(write_audio(pieces, output, model.sample_rate, [*inputs, *model.files]), output)
