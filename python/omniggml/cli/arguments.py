"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import omniggml
from omniggml.cli.output import Output
from omniggml.errors import InputError
from omniggml.loading import files_of
from omniggml.model import Model
from omniggml.options import LoadKeywords
from omniggml.plain_file import is_file
from omniggml.text.decoding import read_standard_input, read_text
from omniggml.text.spans import SPLITS

# Command-line names of the options of a speech; see SpeechOptions.
_SPEECH_NUMBERS = {
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "repetition_penalty": float,
    "predictor_temperature": float,
    "predictor_top_k": int,
    "predictor_top_p": float,
    "max_frames": int,
    "chunk_frames": int,
    "longest_span": int,
}


def add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("-m", "--model", metavar="FILE", help="NAME-speech.gguf, or ORG/REPO[:FILE] on the hub")
    thinkers = group.add_mutually_exclusive_group()
    thinkers.add_argument("--thinker", metavar="FILE", help="default: NAME-thinker.gguf beside the speech file")
    thinkers.add_argument("--no-thinker", action="store_true", help="leave out the thinker beside the speech file")
    group.add_argument("--mmproj", metavar="FILE", help="ears; default: NAME-mmproj.gguf beside the other files")
    group.add_argument("--code2wav", metavar="FILE", help="a file whose code2wav is used in the model's place")
    group.add_argument("--tokenizer", metavar="FILE|DIR", help="for a model without one: a GGUF file or a checkpoint")
    group.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="SECTION.NAME=VALUE",
        help="a setting that the file does not tell, or tells wrong; may be repeated",
    )
    group.add_argument("--device", default="auto", help="a name from `omniggml devices`, or HOST:PORT of an RPC server")
    group.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; default: all usable")
    add_precision(group)
    group.add_argument("--no-mmap", action="store_true", help="copy weights instead of mapping the file")


def add_precision(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--vocoder-precision",
        default="auto",
        metavar="f32|bf16",
        help="of the vocoder's convolutions on a CPU; default: what is fastest here, see `omniggml devices -v`",
    )


def given_text(argument: str) -> str:
    """The argument itself, or standard input where it is -. Raises InputError where that can't be read, and for the
    name of a file: whether that or what is in it was meant, only the caller knows."""
    if argument == "-":
        return read_standard_input()
    if is_file(argument):
        raise InputError(f"{argument} is a file: give what is in it with --file, or its name on standard input with -")
    return argument


def file_text(path: str) -> str:
    """The text of a file, of a pipe, or of standard input where it is -. Raises InputError where it can't be read."""
    return read_standard_input() if path == "-" else read_text(path)


def read_texts(path: str | None, otherwise: Sequence[str]) -> Sequence[str]:
    """The lines of a file that say something. Raises InputError where it can't be read."""
    if path is None:
        return otherwise
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def load_model(args: argparse.Namespace) -> Model:
    return omniggml.load(args.model, **load_keywords(args))


def load_keywords(args: argparse.Namespace) -> LoadKeywords:
    """How the arguments want a model loaded."""
    return {
        "thinker": False if args.no_thinker else args.thinker,
        "mmproj": args.mmproj,
        "code2wav": args.code2wav,
        "tokenizer": args.tokenizer,
        "overrides": parse_overrides(args.override),
        "device": args.device,
        "n_threads": args.threads,
        "vocoder_precision": args.vocoder_precision,
        "mmap": not args.no_mmap,
    }


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """["talker.rope_theta=1e6"] -> {"talker.rope_theta": 1e6}. Lists have commas, speakers are name:id."""
    return {name: _value(text) for name, text in map(_split, settings)}


def _split(setting: str) -> tuple[str, str]:
    name, found, text = setting.partition("=")
    if not found:
        raise InputError(f"--override {setting!r} has no value; expected SECTION.NAME=VALUE")
    return name.strip(), text.strip()


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "," in text:
        return tuple(_value(part) for part in text.split(",") if part)
    if ":" in text:
        name, _, number = text.rpartition(":")
        return name, _value(number)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def files_read(args: argparse.Namespace) -> list[Path]:
    """The files of the model that the arguments ask for, those that are found by themselves among them, which no output
    may replace. What is still to be downloaded is in `Model.files`."""
    return files_of(args.model, **load_keywords(args))


def add_speech(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("speech")
    group.add_argument("--speaker", metavar="NAME", help="who speaks")
    group.add_argument("--seed", type=int, default=0, help="the same seed gives the same audio (default 0)")
    group.add_argument("--greedy", action="store_true", help="always the most probable code; no drawing")
    group.add_argument("--split", choices=SPLITS, default="auto", help="how a long text is spoken (default auto)")
    for name, kind in _SPEECH_NUMBERS.items():
        group.add_argument("--" + name.replace("_", "-"), type=kind, metavar="X" if kind is float else "N")


def speech_options(args: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {"speaker": args.speaker, "seed": args.seed, "greedy": args.greedy}
    options["split"] = args.split
    for name in _SPEECH_NUMBERS:
        options[name] = getattr(args, name)
    return options


def add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", help="audio file (.wav, .flac, .ogg, .mp3), a named pipe, - for stdout"
    )
    group.add_argument("--raw", action="store_true", help="to a pipe: 16-bit samples without a WAV header")
    group.add_argument("--play", action="store_true", help="play it while it is spoken")
    group.add_argument("--subtitles", metavar="FILE", help="what is said when (.srt, .vtt)")
    parser.set_defaults(usage_error=parser.error)


def chosen_output(args: argparse.Namespace) -> Output:
    """Where the audio goes; leaves with a usage error where it goes nowhere."""
    if args.output is None and not args.play:
        args.usage_error("one of the arguments -o/--output --play is required")
    return Output(args.output, args.raw, args.play, args.subtitles)
