"""Audio from a generator to a file or to standard output, with progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from omniggml.audio import Audio, AudioWriter, check_target
from omniggml.errors import InputError


def check_output(target: str) -> None:
    """Before any work is done: can audio be written there? Raises InputError."""
    if target != "-":
        check_target(Path(target))


def write_audio(pieces: Iterable[Audio], target: str, sample_rate: int) -> Audio:
    """Write the pieces as they come, and return them joined. Ctrl-C keeps what was spoken, then goes on its way."""
    if target == "-":
        return _write_stdout(pieces)
    return _write_file(pieces, target, sample_rate)


def _write_file(pieces: Iterable[Audio], target: str, sample_rate: int) -> Audio:
    with AudioWriter(target, sample_rate) as writer:
        written = []
        try:
            for piece in _with_progress(pieces):
                writer.write(piece.samples)
                written.append(piece)
        except KeyboardInterrupt:
            seconds = sum(piece.duration for piece in written)
            if not seconds:
                raise
            writer.keep()
            print(f"stopped; the {seconds:.1f} s spoken so far are in {target}", file=sys.stderr)
            raise
    return Audio.join(written)


def _write_stdout(pieces: Iterable[Audio]) -> Audio:
    """Collects first: the head of a WAV file holds its length."""
    if sys.stdout is None:
        raise InputError("standard output is closed")
    collected: list[Audio] = []
    try:
        for piece in _with_progress(pieces):
            collected.append(piece)
    finally:
        # Interrupted or not, what was spoken is written.
        if collected:
            _write_bytes(Audio.join(collected).wav_bytes())
    return Audio.join(collected)


def _write_bytes(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"standard output can't be written: {error.strerror}") from error


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


def report(audio: Audio, target: str) -> None:
    """One line on what was made, where standard output is free for it."""
    why = {"frame_limit": ", cut at the frame limit", "empty": ", the answer was empty"}.get(audio.stop_reason, "")
    if target != "-":
        print(f"{target}: {audio.duration:.2f} s{why}")
