"""`omniggml compare`: two models, module by module."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from omniggml.cli.saying import tell
from omniggml.cli.strict_json import strict_json

if TYPE_CHECKING:
    from omniggml.comparison.comparing import Comparison, Row

_MOST = 12


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="find the first module in which two models part",
        epilog="Exit code: 0 all modules inside of their gates (or an error, said on stderr: 1), 2 one outside.",
    )
    parser.add_argument("a", metavar="A", help="a GGUF file")
    parser.add_argument("b", metavar="B", help="the reference: a GGUF file, or a Hugging Face checkpoint")
    parser.add_argument("--text", default="hello world", help="what both read (default: hello world)")
    parser.add_argument(
        "--transformers",
        action="store_true",
        help="let transformers compute B, a checkpoint, instead of converting it (needs torch and transformers)",
    )
    parser.add_argument("--device", default="cpu", help="A's device")
    parser.add_argument("--threads", type=int, default=0, metavar="N")
    parser.add_argument(
        "--all-rows", action="store_true", help=f"every module, not the {_MOST} furthest up their gates"
    )
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=run, prints=True)


def run(args: argparse.Namespace) -> int:
    from omniggml.comparison.comparing import compare

    found = compare(
        args.a,
        args.b,
        args.text,
        device=args.device,
        n_threads=args.threads,
        through_transformers=args.transformers,
    )
    if args.json:
        print(strict_json(found.as_dict()))
    else:
        tell(*_lines(found, args.all_rows))
    return 2 if found.first else 0


def _lines(found: Comparison, everything: bool) -> list[str]:
    rows = found.rows if everything else _worst(found.rows)
    width = max((len(row.module) for row in rows), default=10)
    head = f"{'module':{width}}  {'cosine':>10}  {'nmse':>8}  {'gain':>9}  {'max diff':>8}  {'nmse accumulated':>16}"
    lines = [_verdict(found), "", head]
    for row in rows:
        own = row.local
        lines.append(
            f"{row.module:{width}}  {own.cosine:10.7f}  {own.nmse:8.1e}  {own.gain:9.6f}  {own.largest:8.1e}  "
            f"{row.accumulated.nmse:16.1e}  {'' if row.inside else 'OUTSIDE'}".rstrip()
        )
    return lines


def _verdict(found: Comparison) -> str:
    if not found.first:
        return f"all {len(found.rows)} modules are inside of their gates"
    outside = sum(not row.inside for row in found.rows)
    return f"the first module outside of its gate is {found.first} ({outside} of {len(found.rows)} are)"


def _worst(rows: tuple[Row, ...]) -> list[Row]:
    """Those furthest up their gates, in the order of computation; the first outside is among them."""
    first = next((row for row in rows if not row.inside), None)
    worst = sorted(rows, key=lambda row: -row.local.nmse / row.gate.nmse)[:_MOST]
    return [row for row in rows if row in worst or row is first]
