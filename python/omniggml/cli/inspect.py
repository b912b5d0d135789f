"""`omniggml inspect`: what a file is, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import omniggml
from omniggml.cli.saying import tell

if TYPE_CHECKING:
    from omniggml.files.inspection import Concern, Inspection

_MOST_NAMED = 8


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("inspect", help="say what a GGUF file is and what is wrong with it")
    parser.add_argument("files", metavar="FILE", nargs="+", help="a GGUF file of any family")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=run, prints=True)


def run(args: argparse.Namespace) -> int:
    found = [omniggml.inspect(file) for file in args.files]
    if args.json:
        shown = [one.as_dict() for one in found]
        print(json.dumps(shown if len(shown) > 1 else shown[0], indent=2))
    else:
        for number, one in enumerate(found):
            tell(*([""] if number else []), *_lines(one))
    return 0 if all(one.loads for one in found) else 1


def _lines(found: Inspection) -> list[str]:
    head = [
        f"{found.path}: {found.title} ({found.family})",
        f"architecture {found.architecture or '(none)'}, {_bytes(found.size)}, {_count(found.parameters)} parameters",
        _verdict(found),
    ]
    return [*head, *_voice(found), *_table(found), *_geometry(found), *_names("missing", found.missing), *_rest(found)]


def _verdict(found: Inspection) -> str:
    if not found.problem:
        return "can be loaded"
    return f"can be loaded beside others: {found.problem}" if found.loads else f"can't be loaded: {found.problem}"


def _voice(found: Inspection) -> list[str]:
    lines = [f"speakers: {', '.join(found.speakers)}"] if found.speakers else []
    lines += [f"languages: {', '.join(found.languages)}"] if found.languages else []
    lines += ["has a chat template"] if found.chat_template else []
    for stage, values in found.sampling.items():
        lines.append(
            f"sampling of the {stage}: {', '.join(f'{name} {_short(value)}' for name, value in values.items())}"
        )
    return lines


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rest(found: Inspection) -> list[str]:
    assumed = [f"{name} = {value}" for name, value in found.assumed.items()]
    return [
        *_names("not told by the file, taken from the published model", tuple(assumed), len(assumed)),
        *_names("belonging nowhere", found.unknown),
        *_names("keys that nothing here reads", found.unused),
        *_concerns(found.concerns),
    ]


def _table(found: Inspection) -> list[str]:
    if not found.shares:
        return []
    rows = [("stage", "type", "tensors", "parameters", "bytes")]
    for share in found.shares:
        rows.append((share.stage, share.type, str(share.tensors), _count(share.parameters), _bytes(share.nbytes)))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)]


def _geometry(found: Inspection) -> list[str]:
    lines = []
    for section, values in found.geometry.items():
        lines += ["", section]
        lines += [f"  {name} = {value}" for name, value in values.items() if name != "speakers"]
    return lines


def _names(title: str, names: tuple[str, ...], most: int = _MOST_NAMED) -> list[str]:
    if not names:
        return []
    more = [f"  and {len(names) - most} more"] if len(names) > most else []
    return ["", f"{title}:", *(f"  {name}" for name in names[:most]), *more]


def _concerns(concerns: tuple[Concern, ...]) -> list[str]:
    """One line for a reason and type, with the first tensor of it."""
    if not concerns:
        return []
    counts = Counter((concern.reason, concern.type) for concern in concerns)
    first = {(concern.reason, concern.type): concern.name for concern in reversed(concerns)}
    lines = [
        f"  {first[key]}{f' and {n - 1} more' if n > 1 else ''} in {key[1]}: {key[0]}" for key, n in counts.items()
    ]
    return ["", "in too few bits:", *lines]


def _count(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def _bytes(number: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number} bytes"
