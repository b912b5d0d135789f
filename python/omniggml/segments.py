"""Which text is where in a speech, and subtitles made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omniggml.errors import InputError
from omniggml.printable import shown

_CUT = ("frame_limit", "context_full", "cancelled")


@dataclass(frozen=True)
class Segment:
    """A part of a text that was spoken by itself: `text` as it was written, its samples from `start` up to `end`, and
    why it ended, as `Audio.stop_reason`."""

    text: str
    start: int
    end: int
    stop_reason: str


def subtitles(segments: Sequence[Segment], sample_rate: int, kind: str) -> str:
    """The text of an SRT or WebVTT file; what was cut says so.

    Raises InputError for another `kind` than "srt" and "vtt".
    """
    if kind not in ("srt", "vtt"):
        raise InputError(f"subtitles are srt or vtt, not {shown(kind)}")
    mark = "," if kind == "srt" else "."
    times = [(_time(one.start / sample_rate, mark), _time(one.end / sample_rate, mark)) for one in segments]
    cues = [
        f"{number}\n{start} --> {end}\n{_shown(one)}\n"
        for number, (one, (start, end)) in enumerate(zip(segments, times, strict=True), 1)
    ]
    return "\n".join(cues if kind == "srt" else ["WEBVTT\n", *cues])


def kind_of_subtitles(path: Path) -> str:
    """By the ending of its name. Raises InputError for another than .srt and .vtt, and where there is no directory."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("srt", "vtt"):
        raise InputError(f"{path}: subtitles are .srt or .vtt")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"{path} can't be written: there is no such directory, or it is one")
    return kind


def _time(seconds: float, mark: str) -> str:
    thousandths = round(1000 * seconds)
    minutes, thousandths = divmod(thousandths, 60000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{thousandths // 1000:02}{mark}{thousandths % 1000:03}"


def _shown(segment: Segment) -> str:
    # A blank line or an arrow would end the cue. How far a speech came that was cut nobody knows.
    text = " ".join(segment.text.split()).replace("-->", "->")
    return f"{text} [cut off]" if segment.stop_reason in _CUT else text
