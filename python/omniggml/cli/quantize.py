"""`omniggml quantize`: a GGUF file in smaller types, or a policy for that, found by measuring."""

from __future__ import annotations

import argparse
import re
from typing import Any

from omniggml.cli.progress import on_terminal
from omniggml.cli.saying import tell
from omniggml.cli.search import add_search, run_search
from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.spec.policy import policy_names


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("quantize", help="write a GGUF file in smaller types")
    parser.add_argument("source", metavar="IN", help="a file in F32, F16 or BF16")
    parser.add_argument("target", metavar="OUT", help="the file to write; with --search, the policy: NAME.toml")
    policies = ", ".join(policy_names())
    parser.add_argument("--policy", default="q8_0", metavar="NAME", help=f"{policies}, or a .toml file (default q8_0)")
    parser.add_argument("--imatrix", metavar="FILE", help="importance matrix, from `omniggml imatrix` or llama.cpp")
    parser.add_argument("--requantize", action="store_true", help="even where IN is quantized already")
    parser.add_argument("--split-max-size", metavar="N(M|G)", help="write several files, each of at most so many bytes")
    own = ("policy", "imatrix", "requantize", "split_max_size")
    of_search = add_search(parser)
    parser.set_defaults(run=run, defaults={name: parser.get_default(name) for name in (*own, *of_search)})
    parser.set_defaults(idle=(own, of_search))


def _refuse_idle(args: argparse.Namespace) -> None:
    """Raises InputError for an option that would change nothing: those of a search without one, and the others way."""
    of_quantizing, of_search = args.idle
    for name in of_quantizing if args.search else of_search:
        if getattr(args, name) != args.defaults[name]:
            option = f"--{name.replace('_', '-')}"
            why = "is not for --search, which writes a policy" if args.search else "is for --search"
            raise InputError(f"{option} {why}: leave one of the two out")


def run(args: argparse.Namespace) -> int:
    _refuse_idle(args)
    if args.search:
        return run_search(args, as_path(args.target))
    from omniggml.quantization.quantizer import quantize

    progress = on_terminal()
    made = quantize(
        args.source,
        args.target,
        policy=args.policy,
        imatrix=args.imatrix,
        requantize=args.requantize,
        split_max_size=_size(args.split_max_size),
        progress=progress,
    )
    if progress:
        progress.close()
    tell(f"{made.path}: {made.nbytes / 2**20:.1f} MiB by policy {made.policy}")
    for type_, (n, nbytes, error) in made.by_type.items():
        tell(f"  {type_:7} {n:5} tensors  {nbytes / 2**20:9.1f} MiB  largest relative error {error:.1e}")
    if made.twice:
        worst = max(made.twice, key=lambda change: change.error)
        tell(
            f"{len(made.twice)} tensors were quantized before; the second rounding lost up to {worst.error:.1e} of a "
            f"tensor's values ({worst.name}), on top of what the first had lost"
        )
    return 0


def _size(text: str | None) -> int | None:
    """ "300M" and "2G" as llama.cpp's tool takes them: powers of 1000."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([MG]?)", text)
    if found is None:
        raise InputError(f"--split-max-size is {text!r}, expected bytes, or a number with M or G")
    return int(found[1]) * {"": 1, "M": 10**6, "G": 10**9}[found[2]]
