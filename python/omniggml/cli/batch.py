"""`omniggml batch`: many texts into a directory of audio."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omniggml.cli.arguments import add_model, add_speech, files_read, load_keywords, load_model, speech_options
from omniggml.cli.exit_codes import CUT, FAILED
from omniggml.cli.saying import say, tell
from omniggml.options import SpeechOptions
from omniggml.paths import as_path

if TYPE_CHECKING:
    from omniggml.batch.speaking import SpokenText
    from omniggml.batch.texts import BatchText

_SLOTS = 4
_PERIOD = 0.5  # seconds between two lines of progress


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("batch", help="speak the texts of a file into a directory; goes on where it was")
    parser.add_argument("texts", metavar="TEXTS", help=".txt, .csv, .tsv, .jsonl or .parquet")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="audio, codes and manifest.jsonl")
    parser.add_argument("--format", choices=("flac", "wav"), default="flac", help="of the audio (default flac)")
    parser.add_argument("--slots", type=int, default=_SLOTS, metavar="N", help=f"texts at a time (default {_SLOTS})")
    group = parser.add_argument_group("many machines")
    group.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, HOST:PORT, or local for one of its own")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="models on it (default 1)")
    add_model(parser)
    add_speech(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from omniggml.batch.running import run_batch
    from omniggml.batch.speaking import speak_texts
    from omniggml.batch.texts import read_texts
    from omniggml.openai_voices import speaker_of
    from omniggml.options import check_integer

    check_integer("slots", args.slots, 1, 64)
    check_integer("workers", args.workers, 1, 10_000)
    texts = read_texts(args.texts)
    options = SpeechOptions(**speech_options(args))
    if args.ray is not None:
        from omniggml.batch.ray_data import speak_by_ray

        speak: Any = speak_by_ray(args.ray, args.model, load_keywords(args), options, args.slots, args.workers)
    else:

        def speak(left: Sequence[BatchText]) -> Iterator[SpokenText]:
            model = load_model(args)
            if isinstance(options.speaker, str):
                speaker_of(model, options.speaker)  # one who isn't there would fail in each text
            return speak_texts(model, left, options, args.slots)

    settings = {"model": "built-in" if args.model is None else as_path(args.model).name, **speech_options(args)}
    progress = _Progress()
    counts = run_batch(
        texts,
        as_path(args.output),
        speak,
        settings,
        audio_format=args.format,
        inputs=lambda: [args.texts, *files_read(args)],
        told=progress,
    )
    progress.close()
    before = f", {counts.skipped} before" if counts.skipped else ""
    tell(f"{args.output}: {_counted(counts.said, 'text', 'texts')}, {counts.seconds:.1f} s{before}")
    if counts.cut:
        cut = _counted(counts.cut, "speech was", "speeches were")
        say(f"{cut} cut at a limit; the manifest names it")
    if counts.failed:
        failed = _counted(counts.failed, "text", "texts")
        say(f"{failed} could not be spoken; the manifest says why")
        return FAILED
    return CUT if counts.cut else 0


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


class _Progress:
    """How much is done and how long the rest takes, on a terminal's last line."""

    def __init__(self) -> None:
        self._start, self._shown = time.monotonic(), 0.0

    def __call__(self, spoken: SpokenText, before: float, done: float) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._shown < _PERIOD:
            return
        self._shown = now
        left = (now - self._start) * (1 - done) / (done - before)
        print(f"\r{100 * done:5.1f} %  {left:6.0f} s left ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            print(file=sys.stderr)
