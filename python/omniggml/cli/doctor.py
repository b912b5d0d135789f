"""`omniggml doctor`: why does it sound like noise?"""

from __future__ import annotations

import argparse
import shlex
import time
import warnings
from typing import TYPE_CHECKING, Any

from omniggml.cli.arguments import parse_overrides
from omniggml.cli.exit_codes import low_codes_are_findings
from omniggml.cli.saying import say, tell
from omniggml.cli.strict_json import strict_json
from omniggml.errors import OmniError

if TYPE_CHECKING:
    import numpy.typing as npt

    from omniggml.audio import Audio
    from omniggml.options import LoadKeywords

_LONG = 0.8
"""Seconds of imports after which the person is told that it goes on."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="say why a model, codes or audio sound like noise",
        epilog="Exit code: 0 healthy, 1 suspicious, 2 broken, 3 nothing found, but not all could be checked; 64 wrong "
        "usage, 65 an error, said on stderr.",
    )
    parser.add_argument("model", metavar="MODEL", help="a GGUF file of any family")
    parser.add_argument("--codes", metavar="FILE", help="codes that a program made, a .npy file [groups, frames]")
    parser.add_argument("--audio", metavar="FILE", help="the audio that was made of them")
    parser.add_argument("--text", metavar="TEXT", help="what was to be spoken")
    parser.add_argument("--speaker", metavar="NAME", help="who was to speak")
    parser.add_argument("--reference", metavar="FILE|DIR", help="an F32 GGUF file, or the Hugging Face checkpoint")
    parser.add_argument(
        "--theirs", metavar="FILE", help="another framework's tensors by module name, .npz or .safetensors"
    )
    parser.add_argument(
        "--heard", metavar="FILE", help="audio that the other framework listened to, beside --theirs of its ears"
    )
    parser.add_argument("--thinker", metavar="FILE")
    parser.add_argument("--code2wav", metavar="FILE")
    parser.add_argument("--tokenizer", metavar="FILE|DIR")
    parser.add_argument("--override", action="append", default=[], metavar="SECTION.NAME=VALUE")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="of the engine and of NumPy; default: all usable"
    )
    parser.add_argument(
        "--thorough", action="store_true", help="try mistakes that are less likely, too, however long it takes"
    )
    parser.add_argument("--html", metavar="OUT", help="write a report to look at and listen to, one file, - for stdout")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.add_argument("--quiet", action="store_true", help="don't say on stderr what is being tried")
    parser.set_defaults(run=run, prints=True)
    low_codes_are_findings(parser)


def _ours(args: argparse.Namespace, codes: npt.NDArray[Any]) -> Audio | None:
    """What the model makes of the codes as they were given, where it can."""
    import omniggml
    from omniggml.arrays import codes_by_group
    from omniggml.audio import Audio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the file does not tell stands in the report
        try:
            model = omniggml.load(
                args.model,
                thinker=False,
                code2wav=args.code2wav,
                overrides=parse_overrides(args.override),
                device="cpu",
                n_threads=args.threads,
            )
            by_group, _ = codes_by_group(codes, model.geometry["code2wav"]["num_quantizers"])
            return Audio(model.code2wav(by_group), model.sample_rate)
        except OmniError:
            return None


def run(args: argparse.Namespace) -> int:
    from omniggml.doctor.heartbeat import Heartbeat

    begun = time.monotonic()
    with Heartbeat(None if args.quiet else say, "getting ready") as said:
        from omniggml.arrays import read_codes
        from omniggml.audio import read_audio
        from omniggml.doctor.examination import diagnose
        from omniggml.doctor.html_report import Given, write_html
        from omniggml.doctor.text_report import text_report
        from omniggml.loading import files_of
        from omniggml.whole_file import STANDARD_OUTPUT, check_target

        if time.monotonic() - begun > _LONG:  # a busy machine, on which what follows takes as long again
            said("opening what was given")
    loading: LoadKeywords = {
        "thinker": args.thinker,
        "code2wav": args.code2wav,
        "tokenizer": args.tokenizer,
        "overrides": parse_overrides(args.override),
        "n_threads": args.threads,
    }

    def inputs() -> list[object]:
        given = (args.model, args.codes, args.audio, args.reference, args.theirs, args.heard)
        return [*given, *files_of(args.model, **loading)]

    if args.html is not None:
        check_target(args.html, inputs())
    found = diagnose(
        args.model,
        codes=args.codes,
        audio=args.audio,
        text=args.text,
        speaker=args.speaker,
        reference=args.reference,
        theirs=args.theirs,
        heard=args.heard,
        thorough=args.thorough,
        announce=None if args.quiet else say,
        **loading,
    )
    if args.html is not None:
        codes = None if args.codes is None else read_codes(args.codes)
        audio = None if args.audio is None else read_audio(args.audio)
        ours = None if codes is None or audio is None else _ours(args, codes)
        shown = Given(codes, audio, ours, shlex.join(["omniggml", *args.words]))
        write_html(args.html, found, shown, inputs())  # a model of the hub is here by now
    if args.html != STANDARD_OUTPUT:
        if args.json:
            print(strict_json(found.as_dict()))
        else:
            tell(*text_report(found).split("\n"))
    return int(found.exit_code)
