"""What a command says beside its output: on standard error, in lines that hold nothing but letters."""

from __future__ import annotations

import sys

from omniggml.printable import LONGEST_SHOWN, printable


def say(sentence: str, most: int = LONGEST_SHOWN) -> None:
    """One line. Names and texts in it come from strangers."""
    print(f"omniggml: {printable(sentence, most)}", file=sys.stderr, flush=True)


def shown(text: str) -> str:
    """A text of many lines, with escapes for what would move a cursor or hide."""
    return "\n".join(printable(line, len(line) + 1) for line in text.split("\n"))
