"""A pattern, and what is said for what it finds.

No rule's words hold a figure, a capital or a sign, so that no later rule takes them for its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property

ANY_CASE = re.IGNORECASE


class Rule:
    """Compiled when it is first asked: all of them together take longer than a short text is spoken in."""

    def __init__(self, source: str, words: Callable[[re.Match[str]], str], flags: int) -> None:
        self.source, self.words, self.flags = source, words, flags

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.source, self.flags)

    def applied(self, text: str) -> str:
        return self.pattern.sub(self.words, text)


def rule(pattern: str, words: Callable[[re.Match[str]], str] | str, flags: int = 0) -> Rule:
    """`words`: what is said, or a template for it, as `re.Match.expand` takes it."""
    return Rule(pattern, _constant(words) if isinstance(words, str) else words, flags)


def _constant(words: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f" {found.expand(words).lower()} "


def said(*words: str) -> str:
    """Words apart from whatever is around them."""
    return f" {' '.join(words)} "


def either(words: Iterable[str]) -> str:
    """A pattern of any of them, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_BEHIND_A_STOP = re.compile(r"[^\S\n]*(?:\n|$)|\s+[\"']?[A-Z]")


def stop(found: re.Match[str]) -> str:
    """The full stop of an abbreviation ends a sentence too, where the line ends or a capital follows."""
    return "." if _BEHIND_A_STOP.match(found.string, found.end()) else ""
