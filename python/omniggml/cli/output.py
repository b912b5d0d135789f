"""Audio from a generator to a file, a pipe or the loudspeaker, with progress on a terminal."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from omniggml.audio import Audio, AudioWriter, check_audio_target
from omniggml.cli.exit_codes import CUT
from omniggml.cli.interruption import uninterrupted
from omniggml.cli.saying import say, tell
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.paths import as_path
from omniggml.plain_file import is_file
from omniggml.segments import Segment, kind_of_subtitles, subtitles
from omniggml.whole_file import STANDARD_OUTPUT, check_target, place_of, write_whole

FloatArray = npt.NDArray[np.float32]


_UNKNOWN = 0xFFFFFFFF


@dataclass
class WentOut:
    """What went by: `samples` at `rate`, the last stop reason, the segments, and the text that was not spoken."""

    rate: int
    samples: int = 0
    stop_reason: str = ""
    segments: list[Segment] = field(default_factory=list)
    missing: str = ""

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    def add(self, piece: Audio) -> None:
        self.samples += len(piece.samples)
        self.stop_reason = piece.stop_reason
        self.segments += piece.segments
        self.missing = piece.missing


class _Sink(Protocol):
    def write(self, samples: FloatArray) -> None: ...


@dataclass(frozen=True)
class Output:
    """Where a speech goes: `target` a file, a pipe, - for standard output, or None; `raw`, samples without a header;
    `play`, to the loudspeaker; `subtitles`, a file for what is said when."""

    target: str | None
    raw: bool = False
    play: bool = False
    subtitles: str | None = None

    @property
    def on_stdout(self) -> bool:
        return self.target == STANDARD_OUTPUT or (self.target is not None and _is_stdout(Path(self.target)))

    def check(self, inputs: Iterable[object] = ()) -> None:
        """Before any work is done: can it be written there? `inputs`: the files that are read for it, which it must not
        be. Raises InputError."""
        # What is no file is refused by who reads it.
        files = [name for name in inputs if not isinstance(name, str) or is_file(name)]
        if self.subtitles is not None:
            kind_of_subtitles(as_path(self.subtitles))
            check_target(self.subtitles, files)
            self._check_apart(self.subtitles)
        if self.play:
            _sound_device()
        if self.target is None:
            return
        if self.on_stdout:
            if sys.stdout is None:
                raise InputError("standard output is closed")
            if sys.stdout.isatty():
                raise InputError("standard output is a terminal, which can't hear; name a file, or --play")
        elif _is_terminal(self.target):
            raise InputError(f"{self.target} is a terminal, which can't hear; name a file, or --play")
        elif self.raw and not _is_stream(Path(self.target)):
            raise InputError("--raw is for pipes and standard output; a file gets a header")
        elif not _is_stream(Path(self.target)):
            check_audio_target(self.target, files)

    def _check_apart(self, subtitles: str) -> None:
        """Raises InputError where the audio goes to the same file, by a link."""
        if self.target is not None and not self.on_stdout and place_of(self.target) == place_of(subtitles):
            raise InputError(f"{self.target} and {subtitles} are the same file; give another name for one of them")


def write_audio(pieces: Iterable[Audio], output: Output, sample_rate: int, inputs: Iterable[object] = ()) -> WentOut:
    """Write the pieces as they come. Ctrl-C keeps what was spoken, then goes on its way. `inputs`: the files that are
    read for it, which it must not be."""
    inputs = list(inputs)
    spoken = WentOut(sample_rate)
    output.check(inputs)  # of a model that was downloaded meanwhile, too
    with ExitStack() as stack:
        file: AudioWriter | None = None
        sinks: list[_Sink] = []
        if output.target is not None and not output.on_stdout and not _is_stream(Path(output.target)):
            file = stack.enter_context(AudioWriter(output.target, sample_rate, inputs=inputs))
            sinks.append(file)
        elif output.target is not None:
            sinks.append(stack.enter_context(_Stream(output, sample_rate)))
        if output.play:
            sinks.append(stack.enter_context(_Loudspeaker(sample_rate)))
        try:
            for piece in _with_progress(pieces):
                for sink in sinks:
                    sink.write(piece.samples)
                spoken.add(piece)
        except KeyboardInterrupt:
            with uninterrupted():
                if file is not None and spoken.samples:
                    file.keep()
                    say(f"stopped; the {spoken.seconds:.1f} s spoken so far are in {output.target}")
                _write_subtitles(spoken, output, inputs)
            raise
    _write_subtitles(spoken, output, inputs)
    return spoken


def _write_subtitles(spoken: WentOut, output: Output, inputs: Iterable[object]) -> None:
    if output.subtitles is None:
        return
    text = subtitles(spoken.segments, spoken.rate, kind_of_subtitles(Path(output.subtitles)))
    write_whole(output.subtitles, text.encode(), inputs)


class _Stream:
    """16-bit samples to a pipe, as a WAV file of unknown length or without a header."""

    def __init__(self, output: Output, sample_rate: int) -> None:
        self._output, self._rate = output, sample_rate
        self._begun = False
        self._file: BinaryIO | None = None
        self._written = 0

    def __enter__(self) -> _Stream:
        return self

    def write(self, samples: FloatArray) -> None:
        data = _in_16_bits(samples).tobytes()
        if not self._begun:
            # Opened with the first piece: a named pipe waits here for its reader.
            self._begun = True
            self._file = self._opened()
            self._start = self._position()
            data = (b"" if self._output.raw else _header(self._rate, _UNKNOWN)) + data
        assert self._file is not None
        try:
            self._file.write(data)
            self._file.flush()
            self._written += len(data)
        except BrokenPipeError as error:
            if self._output.on_stdout:
                raise  # as every program in a row of pipes ends
            raise InputError(f"{_shown(self._output)} can't be written: its reader went away") from error
        except OSError as error:
            raise InputError(f"{_shown(self._output)} can't be written: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        if self._start is not None and not self._output.raw:
            # Standard output led to a file, whose length is known now.
            with contextlib.suppress(OSError):
                os.pwrite(self._file.fileno(), _header(self._rate, self._written - len(_header(1, 0))), self._start)
        if not self._output.on_stdout:
            with contextlib.suppress(OSError):
                self._file.close()

    def _opened(self) -> BinaryIO:
        if self._output.on_stdout:
            return sys.stdout.buffer
        try:
            return open(str(self._output.target), "wb", buffering=0)  # noqa: PTH123 (a device may refuse to be sought in)
        except OSError as error:
            raise InputError(f"{self._output.target} can't be written: {error.strerror}") from error

    def _position(self) -> int | None:
        """Where the header is, if there is a way back to it."""
        assert self._file is not None
        try:
            number = self._file.fileno()
            return os.lseek(number, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(number).st_mode) else None
        except (OSError, ValueError):
            return None


def _in_16_bits(samples: FloatArray) -> npt.NDArray[np.int16]:
    """As libsndfile rounds and clips them, so that a pipe and a file hold the same."""
    wide = np.clip(np.rint(samples * np.float32(0x7FFFFFFF)).astype(np.float64), -(2**31), 2**31 - 1)
    rounded: npt.NDArray[np.int16] = (wide.astype(np.int64) >> 16).astype("<i2")
    return rounded


def _header(rate: int, size: int) -> bytes:
    """Of a mono WAV file of 16-bit samples; `size` bytes of them."""
    whole = min(_UNKNOWN, size + 36)
    form = struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
    return form + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size)


class _Loudspeaker:
    """The system's default one, through sounddevice."""

    def __init__(self, sample_rate: int) -> None:
        device = _sound_device()
        try:
            self._stream = device.OutputStream(samplerate=sample_rate, channels=1, dtype="float32")
        except device.PortAudioError as error:
            raise InputError(f"there is no loudspeaker to play on: {error}") from error

    def __enter__(self) -> _Loudspeaker:
        self._stream.start()
        return self

    def write(self, samples: FloatArray) -> None:
        self._stream.write(samples.reshape(-1, 1))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # `stop` waits until all is heard, `abort` does not.
        if kind is None:
            self._stream.stop()
        else:
            self._stream.abort()
        self._stream.close()


def _sound_device() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise InputError(f"--play needs sounddevice: {install_command('play')}") from error
    except OSError as error:
        raise InputError(f"--play needs the system's PortAudio library: {error}") from error
    return sounddevice


def _is_stream(path: Path) -> bool:
    """A named pipe, which is written to while it is spoken."""
    try:
        return path.is_fifo()
    except (OSError, ValueError):
        return False


def _is_terminal(path: str) -> bool:
    try:
        return os.path.realpath(path).startswith(("/dev/tty", "/dev/pts"))
    except (OSError, ValueError):
        return False


def _is_stdout(path: Path) -> bool:
    return str(path) in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def _shown(output: Output) -> str:
    return "standard output" if output.on_stdout else str(output.target)


def _with_progress(pieces: Iterable[Audio]) -> Iterator[Audio]:
    """The pieces, with a line on stderr where that is a terminal."""
    shown = sys.stderr is not None and sys.stderr.isatty()
    start, seconds = time.monotonic(), 0.0
    for piece in pieces:
        seconds += piece.duration
        if shown:
            took = time.monotonic() - start
            print(f"\r{seconds:6.1f} s of audio in {took:.1f} s ", end="", file=sys.stderr, flush=True)
        yield piece
    if shown:
        print(file=sys.stderr)


_LIMITS = ("frame_limit", "context_full")
_WHY = {
    "frame_limit": ", cut at the frame limit",
    "context_full": ", cut where the model's context was full",
    "empty": ", the answer was empty",
}


def report(spoken: WentOut, output: Output) -> int:
    """One line on what was made, where standard output is free for it, and one on what wasn't. The exit code."""
    if not output.on_stdout:
        tell(f"{output.target or 'played'}: {spoken.seconds:.2f} s{_WHY.get(spoken.stop_reason, '')}")
    if spoken.stop_reason not in _LIMITS:
        return 0
    cut = [segment.text for segment in spoken.segments if segment.stop_reason in _LIMITS]
    told = [f'cut within "{_short(text)}"' for text in cut[:1]]
    if spoken.missing:
        told.append(f'{len(spoken.missing.split())} words not spoken, from "{_short(spoken.missing)}" on')
    say(f"the text was not spoken to its end: {'; '.join(told)}")
    return CUT


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 50 else f"{words[:47]}..."
