"""`omniggml decode`: codes that any program made, to audio."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from omniggml.arrays import codes_by_group, read_codes
from omniggml.audio import Audio
from omniggml.cli.arguments import add_model, add_output, chosen_output, files_read, load_model
from omniggml.cli.output import report, write_audio
from omniggml.cli.saying import say
from omniggml.errors import InputError


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("decode", help="turn codes into audio with code2wav alone")
    parser.add_argument("codes", help="integers [groups, frames]: .npy, .npz, .safetensors or .pt with one array")
    add_output(parser)
    add_model(parser)
    parser.add_argument("--chunk-frames", type=int, metavar="N", help="frames a piece; the audio is the same for each")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    output = chosen_output(args)
    codes = read_codes(args.codes)
    inputs = [args.codes, *files_read(args)]
    output.check(inputs)
    model = load_model(args)
    rate = model.sample_rate  # of a thinker alone, it is said here that it has no voice
    codes, note = codes_by_group(codes, model.geometry["code2wav"]["num_quantizers"])
    if note:
        say(note)
    if not codes.size:
        raise InputError(f"{args.codes} holds no frame of codes, so there is nothing to hear")
    samples = model.code2wav(codes, chunk_frames=args.chunk_frames)
    audio = Audio(samples, rate, codes.astype(np.int32), "eos")
    return report(write_audio([audio], output, rate, [*inputs, *model.files]), output)
