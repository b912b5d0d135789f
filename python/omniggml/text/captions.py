"""Subtitles, as their files are written: what is shown of them, without the times."""

from __future__ import annotations

import re

_TIME = r"(?:\d{1,3}:)?\d{1,2}:\d\d[.,]\d{1,3}"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t].*)?")
_ANYWHERE = re.compile(rf"^{_TIMES.pattern}$", re.MULTILINE)
_NUMBER = re.compile(r"\s*\d{1,6}\s*")
_HEADER = re.compile(r"\ufeff?WEBVTT(?:[ \t].*)?")
_APART = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t].*)?")
_VOICE = re.compile(r"<v(?:\.[\w.]{1,80})?[ \t]+([^<>\n]{1,200})>")
_WITHIN = re.compile(rf"<{_TIME}>|</?[cv](?:\.[\w.]{{1,80}})?>|\{{\\[^{{}}\n]{{1,80}}\}}")
_QUOTES = "\"'\u201d\u2019)"
_ENDED = tuple(".!?\u2026:")


def without_times(text: str) -> str:
    """The captions of a text that has some, each on lines of its own, a sentence that goes on in one; of a time that
    nothing is shown for, the time. A text without captions is returned as it is."""
    if not _ANYWHERE.search(text):
        return text
    lines = text.splitlines()
    named = any(_HEADER.fullmatch(line) for line in lines[:3])
    shown: list[str] = []
    caption: list[str] = []
    n = 0
    while n < len(lines):
        if named and (_HEADER.fullmatch(lines[n]) or _APART.fullmatch(lines[n])):
            n = _end(lines, n)
        elif _begins(lines, n, named):
            at = n if _TIMES.fullmatch(lines[n]) else n + 1
            n = _end(lines, at)
            caption += lines[at + 1 : n]
        else:
            if lines[n].strip() or not caption:
                shown += [*_joined(caption), lines[n]]
                caption = []
            n += 1
    return "\n".join([*shown, *_joined(caption)])


def _begins(lines: list[str], n: int, named: bool) -> bool:
    """Whether a caption begins here, by its times, or by a number or name before them."""
    if _TIMES.fullmatch(lines[n]):
        return n + 1 < len(lines) and bool(lines[n + 1].strip()) and not _TIMES.fullmatch(lines[n + 1])
    numbered = _NUMBER.fullmatch(lines[n]) or (named and lines[n].strip() and (n == 0 or not lines[n - 1].strip()))
    return (
        bool(numbered)
        and n + 1 < len(lines)
        and _TIMES.fullmatch(lines[n + 1]) is not None
        and _begins(lines, n + 1, named)
    )


def _end(lines: list[str], n: int) -> int:
    """Where a caption or block ends: before an empty line, and before the next one's times and number."""
    n += 1
    while n < len(lines) and lines[n].strip():
        numbered = _NUMBER.fullmatch(lines[n]) and n + 1 < len(lines) and _TIMES.fullmatch(lines[n + 1])
        if numbered or _TIMES.fullmatch(lines[n]):
            break
        n += 1
    return n


def _joined(captions: list[str]) -> list[str]:
    """Lines, without what only a player reads; one that goes on in small letters, with the next."""
    joined: list[list[str]] = []
    for line in captions:
        words = _WITHIN.sub("", _VOICE.sub(r"\1: ", line)).strip()
        if joined and words[:1].islower() and not joined[-1][-1].rstrip(_QUOTES).endswith(_ENDED):
            joined[-1].append(words)
        elif words:
            joined.append([words])
    return ["", *map(" ".join, joined), ""] if joined else []
