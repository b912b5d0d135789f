"""`omniggml chat`: the thinker answers, and the answer is spoken."""

from __future__ import annotations

import argparse
import sys
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
from omniggml.options import TextOptions


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("chat", help="answer a question, in text and aloud")
    parser.add_argument("question", help="what to ask, - to read it from standard input")
    add_output(parser)
    add_model(parser)
    group = parser.add_argument_group("answer")
    group.add_argument("--system", metavar="TEXT", help="instructions for the answer")
    group.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="longest answer (default 1024)")
    group.add_argument("--text-temperature", type=float, metavar="X")
    group.add_argument("--text-greedy", action="store_true", help="always the most probable token")
    add_speech(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    question = given_text(args.question)
    turns = [{"role": "user", "content": question}]
    if args.system:
        turns.insert(0, {"role": "system", "content": args.system})
    text_options = TextOptions(
        seed=args.seed,
        greedy=args.text_greedy or args.greedy,
        temperature=args.text_temperature,
        max_tokens=args.max_tokens,
    )
    inputs = files_read(args)
    check_audio_target(args.output, inputs)
    model = load_model(args)
    answer = model.stream_chat(turns, text_options=text_options, **speech_options(args))
    print(answer.text, file=sys.stderr if args.output == "-" else sys.stdout)
    report(write_audio(answer.pieces, args.output, model.sample_rate, inputs), args.output)
    return 0
