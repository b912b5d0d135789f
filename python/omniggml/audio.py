"""Audio: samples with their rate, how they came about, and how to save or hear them."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from omniggml.array_file import existing_file
from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.printable import shown
from omniggml.segments import Segment, kind_of_subtitles, subtitles
from omniggml.streamed_wav import with_length
from omniggml.undisturbed import Failed, undisturbed
from omniggml.whole_file import WholeFile, check_target, write_whole

_BLOCK = 1 << 16  # frames that are read at once
_MOST_SAMPLES = 1 << 27  # an hour and a half at 24 kHz, 1 GiB

LIBSNDFILE_FAILED = (soundfile.LibsndfileError, OSError, RuntimeError, TypeError, ValueError)
"""What its wrapper raises where a file is damaged or none of its formats."""

# By which formats are known that aren't read, or not always, and where.
_MARKS = (
    *((4, mark) for mark in (b"ftyp", b"moov", b"mdat")),  # MP4, M4A
    *((0, mark) for mark in (b"\xff\xf1", b"\xff\xf9", b"ADIF")),  # AAC
    # WavPack, Monkey's Audio, True Audio, WMA, Matroska and WebM, and others.
    *((0, mark) for mark in (b"wvpk", b"MAC ", b"TTA1", b"0&\xb2u", b"\x1aE\xdf\xa3")),
    *((0, mark) for mark in (b"#!AMR", b"\x0bw", b".RMF", b"FLV", b"caff", b"FORM")),
    *((0, mark) for mark in (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3")),  # with a codec of their own, or damaged
)
_ARRAYS = (b"\x93NUMPY", b"PK\x03\x04")
_LONGEST_MARK = 8

_SUBTYPES = ("PCM_16", "PCM_24", "PCM_32", "FLOAT")


@checked
@dataclass(frozen=True)
class Audio:
    """Mono audio.

    `samples` is float32 [n] in [-1, 1]; `codes` int32 [groups, frames], what code2wav made them of; `stop_reason` says
    why the speech ended: "eos" (the model was done), "frame_limit", "context_full" (the model has room for no more),
    "cancelled", "empty" (nothing to say), or "" for a piece of a speech that goes on.

    `segments` says which part of the text is where, for a text that was spoken whole one segment; between two of them
    is silence that no code stands for. `missing` is the text behind a limit or an interruption, of which nothing was
    spoken.
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    stop_reason: str = ""
    segments: tuple[Segment, ...] = ()
    missing: str = ""

    def __post_init__(self) -> None:
        check_rate(self.sample_rate)
        if self.samples.dtype.kind == "f" and not np.isfinite(self.samples).all():
            raise InputError("samples hold NaN or infinity, which no sound file has")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | os.PathLike[str], subtype: str = "PCM_16") -> Path:
        """Write the file, in the format of its ending (.wav, .flac, .ogg, .mp3), and return its path.

        It is written aside and renamed, so that `path` never holds half a file; "-" is standard output. Raises
        InputError when it can't be written or the ending is unknown.
        """
        with AudioWriter(path, self.sample_rate, subtype) as writer:
            writer.write(self.samples)
        return as_path(path)

    def subtitles(self, kind: str = "srt") -> str:
        """The segments as the text of an SRT or WebVTT file. Raises InputError for another `kind` than "srt", "vtt"."""
        return subtitles(self.segments, self.sample_rate, kind)

    def save_subtitles(self, path: str | os.PathLike[str]) -> Path:
        """Write the segments as subtitles, in the format of the ending (.srt, .vtt), and return the path."""
        return write_whole(path, self.subtitles(kind_of_subtitles(as_path(path))).encode())

    def wav_bytes(self, subtype: str = "PCM_16") -> bytes:
        """The WAV file as bytes."""
        _check_subtype(subtype)
        buffer = io.BytesIO()
        soundfile.write(buffer, self.samples, self.sample_rate, format="WAV", subtype=subtype)
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """A player, in a notebook."""
        data = base64.b64encode(self.wav_bytes()).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'

    @staticmethod
    def join(pieces: Sequence[Audio]) -> Audio:
        """The pieces of one speech as one. Raises InputError when there are none."""
        if not pieces:
            raise InputError("there is no audio to join")
        return Audio(
            np.concatenate([piece.samples for piece in pieces]),
            pieces[0].sample_rate,
            np.concatenate([piece.codes for piece in pieces], axis=1),
            pieces[-1].stop_reason,
            tuple(segment for piece in pieces for segment in piece.segments),
            pieces[-1].missing,
        )


@dataclass(frozen=True)
class Recorded:
    """A WAV file as its header says: `samples` float [frames, channels], `rate` a second, `subtype` as soundfile
    names it."""

    path: str
    samples: npt.NDArray[np.float64]
    rate: int
    subtype: str

    @property
    def mono(self) -> npt.NDArray[np.float64]:
        """The mean over channels, [frames]."""
        return self.samples.mean(axis=1) if self.samples.shape[1] else np.zeros(0)


def read_audio(audio: str | os.PathLike[str]) -> Recorded:
    """An audio file. Raises InputError where it can't be read."""
    path = existing_file(audio)
    try:
        with opened_audio(os.fsencode(path)) as file:
            # The header may promise more than there is, or than fits: it is read as long as something comes.
            blocks: list[npt.NDArray[np.float64]] = []
            while sum(map(len, blocks)) * file.channels < _MOST_SAMPLES:
                blocks.append(
                    undisturbed(lambda: file.read(_BLOCK, dtype="float64", always_2d=True), LIBSNDFILE_FAILED)
                )
                if len(blocks[-1]) < _BLOCK:
                    return Recorded(str(path), np.concatenate(blocks), file.samplerate, file.subtype)
        raise InputError(f"{path} has more than {_MOST_SAMPLES} samples; cut out the part in question")
    except Failed as failed:
        error = failed.__cause__
        if isinstance(error, OSError):
            raise InputError(f"{path} can't be read: {error.strerror or error}") from error
        raise InputError(
            f"{path} is no audio that can be read: neither WAV, FLAC, Ogg nor MP3, or it is damaged; {_way_out(path)}"
        ) from error


def _way_out(path: Path) -> str:
    """How a file that isn't read becomes one that is."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(_LONGEST_MARK)
        target = path.with_suffix(".wav") if path.suffix.lower() != ".wav" else path.with_suffix(".new.wav")
        if head.startswith(_ARRAYS):
            return f"if it holds samples, save these: soundfile.write({str(target)!r}, samples, 24000)"
        given, made = (f"./{one}" if str(one).startswith("-") else str(one) for one in (path, target))
        files = f"-i {shlex.quote(given)} {shlex.quote(made)}"
        if any(head.startswith(mark, at) for at, mark in _MARKS):
            return f"convert it: ffmpeg {files}"
        return (
            f"convert another format: ffmpeg {files}; of samples without a header say what they are, such as 16 bits "
            f"at 24000 Hz: ffmpeg -f s16le -ar 24000 -ac 1 {files}"
        )
    return "it may be gone"


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Read from its beginning to its end. soundfile seeks to where it is after each block, which libsndfile can't at
    the end of a file that doesn't say how long it is: a FLAC file that was written to a pipe."""

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def opened_audio(source: str | bytes | BinaryIO) -> Iterator[soundfile.SoundFile]:
    """A file that libsndfile reads, by its path or as an open one. Raises Failed."""
    given = undisturbed(lambda: with_length(source), (OSError,))
    try:
        with undisturbed(lambda: _Stream(given), LIBSNDFILE_FAILED) as file:
            yield file
    finally:
        if isinstance(source, (str, bytes)) and not isinstance(given, (str, bytes)):
            given.close()


class AudioWriter:
    """Writes audio piece by piece to a file beside the target, and renames it when closed without an error; a pipe, or
    - for standard output, gets all of it then.

    Opening checks that the target can be written, so that nobody speaks for a minute only to find out. When the block
    is left by an error the file is removed; `keep()` saves what there is all the same.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        subtype: str = "PCM_16",
        inputs: Iterable[object] = (),
    ) -> None:
        """`inputs`: the files that are read for it, which it must not be. Raises InputError."""
        self.path = as_path(path)
        container = _container(self.path)
        _check_subtype(subtype)
        self._whole = WholeFile(path, inputs)
        try:
            if not soundfile.check_format(container, subtype):
                subtype = soundfile.default_subtype(container)
            self._bytes = _Bytes(self._whole.aside)
            self._file = undisturbed(
                lambda: soundfile.SoundFile(self._bytes, "w", sample_rate, 1, subtype, format=container)
            )
        except (soundfile.LibsndfileError, OSError) as error:
            self._whole.discard()
            raise self._unwritable(error) from error
        except BaseException:
            self._whole.discard()
            raise
        self._checked()

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Append float32 samples [n]."""
        try:
            # libsndfile's encoder of Vorbis has all that it is given at once on the stack.
            for start in range(0, len(samples), _BLOCK):
                block = samples[start : start + _BLOCK]
                undisturbed(partial(self._file.write, block))
        except (soundfile.LibsndfileError, OSError) as error:
            raise self._unwritable(error) from error
        self._checked()

    def keep(self) -> None:
        """Finish the file and give it its name."""
        try:
            undisturbed(self._file.close)
            self._checked()
            self._bytes.close()
        except (soundfile.LibsndfileError, OSError) as error:
            self.discard()
            raise self._unwritable(error) from error
        except BaseException:
            self.discard()
            raise
        self._whole.publish()

    def discard(self) -> None:
        """Remove what was written."""
        # On a full disk the last bytes can't be written, and need not be.
        with contextlib.suppress(soundfile.LibsndfileError, OSError):
            undisturbed(self._file.close)
        self._bytes.close()
        self._whole.discard()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._whole.is_open:
            return
        if kind is None:
            self.keep()
        else:
            self.discard()

    def _checked(self) -> None:
        """Raises InputError where something could not be written."""
        if self._bytes.why is not None:
            why = self._bytes.why
            self.discard()
            raise self._unwritable(why) from why

    def _unwritable(self, error: Exception) -> InputError:
        return InputError(f"{self.path} can't be written: {getattr(error, 'strerror', None) or error}")


class _Bytes:
    """A file for libsndfile to write, which says no more of an error than that there was one, and whose wrapper asserts
    that there is none: it is told that all went well, and `why` is what the system said. Closed, it takes what an
    encoder writes that nobody wanted any more, when it is cleared away."""

    def __init__(self, path: Path) -> None:
        self.why: OSError | None = None
        self._file = path.open("r+b", buffering=0)

    def read(self, size: int) -> bytes:
        return b"" if self._file.closed else self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return 0 if self._file.closed else self._file.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self._file.closed else self._file.tell()

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and self.why is None and not self._file.closed:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.why = error
        return len(data)

    def close(self) -> None:
        self._file.close()


def check_rate(rate: int) -> None:
    """Raises InputError for a number of samples a second that there can't be."""
    if not 1 <= rate < 2**31:
        raise InputError(f"sample_rate is {shown(rate)}; it must be between 1 and 2^31 - 1")


def check_audio_target(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Raises InputError where no audio file can be written, before any work is done. `inputs`: what is read for it."""
    _container(as_path(path))
    check_target(path, inputs)


def _check_subtype(subtype: str) -> None:
    if subtype not in _SUBTYPES:
        raise InputError(f"the sample format is {shown(subtype)}; it can be {', '.join(_SUBTYPES)}")


def _container(path: Path) -> str:
    """The format for a file of that name. Raises InputError for an unknown ending."""
    container = path.suffix.lstrip(".").upper() or "WAV"
    if container == "RAW" or container not in soundfile.available_formats():
        raise InputError(
            f"{path}: the ending {shown(path.suffix)} is no known audio format; use .wav, .flac, .ogg or .mp3"
        )
    return container
