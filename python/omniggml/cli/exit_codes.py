"""Exit codes, apart for commands whose low codes are findings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from omniggml.printable import printable

FAILED, MISUSED = 1, 2
CUT = 3
"""Spoken and written, but a limit cut what was to be said."""
FAILED_BESIDE_FINDINGS, MISUSED_BESIDE_FINDINGS = 65, 64
"""Where 1 and 2 say what was found."""


class Parser(argparse.ArgumentParser):
    """A parser that exits with `misused` where the arguments are wrong."""

    misused = MISUSED

    def _print_message(self, message: str, file: Any = None) -> None:
        """What can't be written isn't passed over in silence, as argparse's own does."""
        stream = sys.stderr if file is None else file
        stream.write(message)
        stream.flush()

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.misused, f"{self.prog}: error: {printable(message)}\n")


def low_codes_are_findings(parser: argparse.ArgumentParser) -> None:
    """Errors and wrong usage of this command get codes of 64 and more."""
    assert isinstance(parser, Parser)
    parser.misused = MISUSED_BESIDE_FINDINGS
    parser.set_defaults(failed=FAILED_BESIDE_FINDINGS, parser=parser)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse; what no command knows is the chosen command's error."""
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        getattr(args, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    args.words = list(sys.argv[1:] if arguments is None else arguments)
    return args
