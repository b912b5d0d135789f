"""`omniggml chat`: the thinker answers, and the answer is spoken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from omniggml.audio import Audio
from omniggml.cli.arguments import (
    add_model,
    add_output,
    add_speech,
    files_read,
    given_text,
    load_model,
    speech_options,
)
from omniggml.cli.exit_codes import CUT
from omniggml.cli.output import Output, report, write_audio
from omniggml.cli.saying import say, tell_text
from omniggml.cli.shown_media import Shown, files_shown
from omniggml.errors import InputError
from omniggml.options import TextOptions


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("chat", help="answer a question, in text and aloud")
    parser.add_argument("question", nargs="?", help="what to ask, - to read it from standard input")
    parser.add_argument(
        "--audio", action=_Shown, metavar="FILE", help="a recording to hear, - from standard input; repeatable"
    )
    parser.add_argument(
        "--image", action=_Shown, metavar="FILE", help="an image to see, - from standard input; repeatable"
    )
    parser.add_argument(
        "--video", action=_Shown, metavar="FILE", help="a video to see, and hear, - from standard input; repeatable"
    )
    parser.add_argument("--fps", type=float, metavar="N", help="frames of videos a second (default 2)")
    parser.add_argument("--max-pixels", type=int, metavar="N", help="pixels of an image, or of a frame, at most")
    parser.set_defaults(shown=[])
    add_output(parser)
    add_model(parser)
    group = parser.add_argument_group("answer")
    group.add_argument("--system", metavar="TEXT", help="instructions for the answer")
    group.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="longest answer (default 1024)")
    group.add_argument("--text-temperature", type=float, metavar="X")
    group.add_argument(
        "--thinker-url", metavar="URL", help="a server writes the answer: llama.cpp's, or any OpenAI-compatible one"
    )
    group.add_argument("--text-greedy", action="store_true", help="always the most probable token")
    add_speech(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    output = _output(args)
    inputs = [*files_read(args), *files_shown(args.shown, args.question)]
    output.check(inputs)
    turns: list[dict[str, Any]] = [{"role": "user", "content": _asked(args)}]
    if args.system:
        turns.insert(0, {"role": "system", "content": args.system})
    text_options = TextOptions(
        seed=args.seed,
        greedy=args.text_greedy or args.greedy,
        temperature=args.text_temperature,
        max_tokens=args.max_tokens,
    )
    model = load_model(args)
    stream = sys.stderr if output.on_stdout else sys.stdout

    def written(text: str) -> None:
        tell_text(text, stream)

    answer = model.stream_chat(
        turns, text_options=text_options, written=written, thinker_url=args.thinker_url, **speech_options(args)
    )

    def pieces() -> Iterator[Audio]:
        yield from answer.pieces
        ended()

    def ended() -> None:
        tell_text("\n", stream)
        if is_cut():
            say(f"the answer was cut: {answer.stop_reason.replace('_', ' ')}")

    def is_cut() -> bool:
        return answer.stop_reason != "eos"

    if not model.has_voice:
        ended()
        return CUT if is_cut() else 0
    code = report(write_audio(pieces(), output, model.sample_rate, [*inputs, *model.files]), output)
    return CUT if is_cut() else code


class _Shown(argparse.Action):
    """Keeps recordings, images and videos in the order in which they are named."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        namespace.shown = [*namespace.shown, Shown(self.dest, values)]


def _asked(args: argparse.Namespace) -> str | list[dict[str, Any]]:
    """The question; where there is something to hear or see, this in front of it."""
    if args.question is None and not args.shown:
        raise InputError("there is nothing to answer: give a question, or a recording with --audio")
    question = None if args.question is None else given_text(args.question)
    _check_seen(args)
    if not args.shown:
        return question or ""
    parts = [_part(one, args) for one in args.shown]
    return parts if question is None else [*parts, {"type": "text", "text": question}]


def _check_seen(args: argparse.Namespace) -> None:
    """Raises InputError for an option of what is seen where nothing is."""
    kinds = {one.kind for one in args.shown}
    for option, value, needed in (
        ("--fps", args.fps, ["video"]),
        ("--max-pixels", args.max_pixels, ["image", "video"]),
    ):
        if value is not None and not kinds.intersection(needed):
            raise InputError(f"{option} would change nothing without {' or '.join(f'--{kind}' for kind in needed)}")


def _part(shown: Shown, args: argparse.Namespace) -> dict[str, Any]:
    part: dict[str, Any] = {"type": shown.kind, shown.kind: shown.content()}
    if shown.kind != "audio":
        part["max_pixels"] = args.max_pixels
    return part | ({"fps": args.fps} if shown.kind == "video" else {})


def _output(args: argparse.Namespace) -> Output:
    """A thinker alone has no voice, and writes none."""
    alone = args.model is None and args.thinker is not None
    if alone and (args.output is not None or args.play):
        load_model(args)  # of what is no thinker, that is said
        where = args.output or "--play"
        raise InputError(f"{args.thinker} is a thinker alone, which has no voice for {where}: name a speech file")
    if not alone and args.output is None and not args.play:
        raise InputError("the answer is spoken to a file: name one with -o FILE, - for standard output")
    if alone and sys.stdout is None:
        raise InputError("standard output is closed, and the answer goes there")
    return Output(args.output, args.raw, args.play, args.subtitles)
