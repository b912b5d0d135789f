"""What a command says, on standard output and beside it on standard error: lines that hold nothing but letters.

Names and texts in them come from files and strangers: what a command prints for people goes through here.
"""

from __future__ import annotations

import sys
from typing import TextIO

from omniggml.printable import LONGEST_SHOWN, printable

LONGEST_LINE = 20_000
"""Of what is printed as a result; a path of the longest kind is whole with each letter escaped."""


def say(sentence: str, most: int = LONGEST_SHOWN) -> None:
    """One line on standard error."""
    print(f"omniggml: {printable(sentence, most)}", file=sys.stderr, flush=True)


def tell(*lines: str) -> None:
    """Lines of a result, on standard output. A line end within one is shown as an escape."""
    for line in lines:
        print(printable(line, LONGEST_LINE))


def tell_text(text: str, stream: TextIO) -> None:
    """A bit of a text that is being written, whose lines stay lines."""
    shown = "\n".join(printable(line, len(line) + 1) for line in text.split("\n"))
    print(shown, end="", file=stream, flush=True)
