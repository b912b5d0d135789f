"""Audio from a generator to a file, a pipe or standard output, with progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from omniggml.audio import Audio, AudioWriter
from omniggml.cli.interruption import uninterrupted
from omniggml.whole_file import STANDARD_OUTPUT


def write_audio(pieces: Iterable[Audio], target: str, sample_rate: int, inputs: Iterable[object] = ()) -> Audio:
    """Write the pieces as they come, and return them joined. Ctrl-C keeps what was spoken, then goes on its way.
    `inputs`: the files that are read for it, which it must not be."""
    with AudioWriter(target, sample_rate, inputs=inputs) as writer:
        written: list[Audio] = []
        try:
            for piece in _with_progress(pieces):
                writer.write(piece.samples)
                written.append(piece)
        except KeyboardInterrupt:
            seconds = sum(piece.duration for piece in written)
            if not seconds:
                raise
            with uninterrupted():
                writer.keep()
                if target != STANDARD_OUTPUT:
                    print(f"stopped; the {seconds:.1f} s spoken so far are in {target}", file=sys.stderr)
            raise
    return Audio.join(written)


def _with_progress(pieces: Iterable[Audio]) -> Iterable[Audio]:
    """The pieces, with a line on stderr where that is a terminal."""
    shown = sys.stderr.isatty()
    start, seconds = time.monotonic(), 0.0
    for piece in pieces:
        seconds += piece.duration
        if shown:
            took = time.monotonic() - start
            print(f"\r{seconds:6.1f} s of audio in {took:.1f} s ", end="", file=sys.stderr, flush=True)
        yield piece
    if shown:
        print(file=sys.stderr)


_WHY = {
    "frame_limit": ", cut at the frame limit",
    "context_full": ", cut where the model's context was full",
    "empty": ", the answer was empty",
}


def report(audio: Audio, target: str) -> None:
    """One line on what was made, where standard output is free for it."""
    if target != STANDARD_OUTPUT:
        print(f"{target}: {audio.duration:.2f} s{_WHY.get(audio.stop_reason, '')}")
