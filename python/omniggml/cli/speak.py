"""`omniggml speak`: a text, verbatim."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.audio import check_audio_target
from omniggml.cli.arguments import (
    add_model,
    add_output,
    add_speech,
    files_read,
    given_text,
    load_model,
    speech_options,
)
from omniggml.cli.output import report, write_audio


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("speak", help="speak a text exactly as given; needs no thinker")
    parser.add_argument("text", help="the text, - to read it from standard input")
    add_output(parser)
    add_model(parser)
    add_speech(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    text = given_text(args.text)
    inputs = files_read(args)
    check_audio_target(args.output, inputs)
    model = load_model(args)
    audio = write_audio(model.stream(text, **speech_options(args)), args.output, model.sample_rate, inputs)
    report(audio, args.output)
    return 0
