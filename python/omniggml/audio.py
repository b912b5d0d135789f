"""Audio: samples with their rate, how they came about, and how to save or hear them."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from omniggml.arrays import existing_file
from omniggml.errors import InputError

_SUBTYPES = ("PCM_16", "PCM_24", "PCM_32", "FLOAT")


@dataclass(frozen=True)
class Audio:
    """Mono audio.

    `samples` is float32 [n] in [-1, 1]; `codes` int32 [groups, frames], what code2wav made them of; `stop_reason` says
    why the speech ended: "eos" (the model was done), "frame_limit", "cancelled", "empty" (nothing to say), or "" for a
    piece of a speech that goes on.
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    stop_reason: str = ""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | os.PathLike[str], subtype: str = "PCM_16") -> Path:
        """Write the file, in the format of its ending (.wav, .flac, .ogg), and return its path.

        It is written aside and renamed, so that `path` never holds half a file. Raises InputError when it can't be
        written or the ending is unknown.
        """
        with AudioWriter(path, self.sample_rate, subtype) as writer:
            writer.write(self.samples)
        return Path(path)

    def wav_bytes(self, subtype: str = "PCM_16") -> bytes:
        """The WAV file as bytes."""
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
        with soundfile.SoundFile(str(path)) as file:
            return Recorded(str(path), file.read(dtype="float64", always_2d=True), file.samplerate, file.subtype)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(f"{path} is no audio file that can be read: {error}") from error


class AudioWriter:
    """Writes audio piece by piece to a file beside the target, and renames it when closed without an error.

    Opening checks that the target can be written, so that nobody speaks for a minute only to find out. When the block
    is left by an error the file is removed; `keep()` saves what there is all the same.
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, subtype: str = "PCM_16") -> None:
        # A link stays a link: what it leads to is replaced.
        self.path = Path(os.path.realpath(path))
        container = check_target(Path(path))
        if subtype not in _SUBTYPES:
            raise InputError(f"the sample format is {subtype!r}; it can be {', '.join(_SUBTYPES)}")
        self._aside = _new_file_beside(self.path)
        try:
            if not soundfile.check_format(container, subtype):
                subtype = soundfile.default_subtype(container)
            self._file = soundfile.SoundFile(str(self._aside), "w", sample_rate, 1, subtype, format=container)
        except soundfile.LibsndfileError as error:
            self._aside.unlink()
            raise InputError(f"{self.path} can't be written: {error}") from error

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Append float32 samples [n]."""
        try:
            self._file.write(samples)
        except (soundfile.LibsndfileError, OSError) as error:
            raise InputError(f"{self.path} can't be written: {error}") from error

    def keep(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._file.close()
            self._aside.replace(self.path)
        except (soundfile.LibsndfileError, OSError) as error:
            self.discard()
            raise InputError(f"{self.path} can't be written: {error}") from error

    def discard(self) -> None:
        """Remove what was written."""
        # On a full disk the last bytes can't be written, and need not be.
        with contextlib.suppress(soundfile.LibsndfileError, OSError):
            self._file.close()
        self._aside.unlink(missing_ok=True)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._aside.exists():
            return
        if kind is None:
            self.keep()
        else:
            self.discard()


def check_target(path: Path) -> str:
    """The container format for a file of that name. Raises InputError where no audio file can be written there."""
    if "\0" in str(path):
        raise InputError("the path of an audio file holds a zero byte")
    container = path.suffix.lstrip(".").upper() or "WAV"
    if container not in soundfile.available_formats():
        raise InputError(f"{path}: the ending {path.suffix!r} is no known audio format; use .wav or .flac")
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file to write")
    # What is renamed to the path of a device or pipe would take its place.
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; name one, or write to standard output with -")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path} can't be written: it is read-only")
    _new_file_beside(path).unlink()
    return container


def _new_file_beside(path: Path) -> Path:
    """An empty file in the same directory, so that renaming it to `path` replaces that in one step."""
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        aside.open("xb").close()
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from error
    return aside
