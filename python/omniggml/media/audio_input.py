"""Audio of any rate, channels and format, as 16 kHz mono samples: what the audio encoder's front end reads."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.array_file import existing_file
from omniggml.arrays import as_array
from omniggml.audio import LIBSNDFILE_FAILED, Audio, opened_audio
from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.media import ffmpeg
from omniggml.options import check_integer
from omniggml.plain_file import open_plain
from omniggml.undisturbed import Failed, undisturbed
from omniggml.warning import warn

FloatArray = npt.NDArray[np.float32]
AudioLike = str | os.PathLike[str] | bytes | Audio | npt.ArrayLike
"""A file's path or its bytes; an `Audio`; samples [n], [n, channels] or [channels, n]."""

RATE: int = _native.MEL_SAMPLE_RATE
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 768_000
_MOST_CHANNELS = 64
_FRAMES_AT_ONCE = 1 << 18
_PACKETS_AT_ONCE = 64
_LOOKED_AT = 16  # bytes of a file
_UNKNOWN_LENGTH = 1 << 62
"""Frames that libsndfile takes at least where a header doesn't tell, as of FLAC that was written to a pipe."""
_LOUDEST = 8.0  # of samples that run from -1 to 1; what is louder is in other units


@dataclass(frozen=True)
class Longest:
    """How many seconds of audio there may be, as it is said: "longer than `told`"."""

    seconds: float
    told: str


LONGEST = Longest(90 * 60, "90 minutes, more than a model can hear at once; cut it")
"""More than any thinker's context holds, at 13 tokens a second."""


def read_samples(
    audio: AudioLike, rate: int | None = None, *, what: str = "the audio", longest: Longest = LONGEST
) -> FloatArray:
    """The mean over channels at 16 kHz, float32 [n]. `rate`: of samples given as an array, 16 kHz where it isn't said.

    Resampled by soxr as transformers' processors do. Raises InputError for what can't be read, is empty, holds NaN or
    infinity, or is longer than `longest`, of which no more is decoded.
    """
    if isinstance(audio, Audio):
        samples = _of_array(audio.samples, audio.sample_rate, what, longest)
    elif isinstance(audio, (bytes, bytearray, memoryview)):
        samples = _of_file(_Bytes(bytes(audio)), what, longest)
    elif isinstance(audio, (str, os.PathLike)):
        path = existing_file(audio)
        samples = _of_file(os.fsencode(path), str(path), longest)
    else:
        samples = _of_array(audio, RATE if rate is None else rate, what, longest)
    if len(samples) < _native.LEAST_SAMPLES:
        raise InputError(
            f"{what} has {len(samples)} samples at 16 kHz; there must be at least {_native.LEAST_SAMPLES}, "
            "which is 12.6 ms"
        )
    return samples


@checked
def log_mel(audio: AudioLike, *, sampling_rate: int | None = None, n_mels: int = 128) -> FloatArray:
    """Log-mel features of audio, float32 [n_mels, frames], 100 frames a second: what transformers'
    WhisperFeatureExtractor makes of it, and the audio encoder's input.

    `audio`: a file's path or its bytes, an `Audio`, or samples as an array [n], [n, channels] or [channels, n] of
    `sampling_rate`, 16 kHz where it isn't said; floats from -1 to 1, or integers. Raises InputError for what can't be
    read, is empty, or holds NaN or infinity.
    """
    check_integer("n_mels", n_mels, 1, 512)
    return _native.log_mel(read_samples(audio, sampling_rate), n_mels)


# --- arrays -----------------------------------------------------------------------------------------------------------


def _of_array(values: npt.ArrayLike, rate: int, what: str, longest: Longest) -> FloatArray:
    array = as_array(what, values)
    _check_rate(rate, what)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} is an array of {array.dtype}; expected samples, floats or integers")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    elif array.ndim == 2:
        array = array if array.shape[1] <= array.shape[0] else array.T
        _check_channels(array.shape[1], what)
    else:
        raise InputError(f"{what} has the shape {list(array.shape)}; expected [n], [n, channels] or [channels, n]")
    _check_length(len(array), rate, what, longest)
    return _resampled(iter([_as_floats(array)]), rate, what, longest)


def _as_floats(array: npt.NDArray[Any]) -> FloatArray:
    """Integers as what they are of their type's range; 8 bits are unsigned, as in WAV files."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    half = 2.0 ** (8 * array.dtype.itemsize - 1)
    middle = half if array.dtype.kind == "u" else 0.0
    return ((array.astype(np.float64) - middle) / half).astype(np.float32)


# --- files ------------------------------------------------------------------------------------------------------------


class _Bytes(io.BytesIO):
    """Stays where it is when a damaged header points in front of it: called from C, nobody catches what is raised."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _of_file(source: bytes | io.BytesIO, what: str, longest: Longest) -> FloatArray:
    beginning = _beginning(source, what)
    if not beginning:
        raise InputError(f"{what} is empty")
    # libsndfile's decoder of MP3 writes to standard error what it thinks of a damaged file.
    if (_is_mpeg(beginning) or _is_called_mp3(source)) and _is_there("av"):
        return _by_ffmpeg(source, what, longest)
    try:
        with opened_audio(source) as file:
            _check_rate(file.samplerate, what)
            _check_channels(file.channels, what)
            if 0 < file.frames < _UNKNOWN_LENGTH:
                _check_length(file.frames, file.samplerate, what, longest)

            def blocks() -> Iterator[FloatArray]:
                while True:
                    yield undisturbed(
                        lambda: file.read(_FRAMES_AT_ONCE, dtype="float32", always_2d=True), LIBSNDFILE_FAILED
                    )

            return _resampled(blocks(), file.samplerate, what, longest)
    except Failed:
        pass  # it may be one that ffmpeg reads
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return _by_ffmpeg(source, what, longest)


def _beginning(source: bytes | io.BytesIO, what: str) -> bytes:
    """Its first bytes. Raises InputError where the file can't be read."""
    if isinstance(source, io.BytesIO):
        return source.getbuffer()[:_LOOKED_AT].tobytes()
    try:
        with open_plain(os.fsdecode(source)) as file:
            return file.read(_LOOKED_AT)
    except OSError as error:
        raise InputError(f"{what} can't be read: {error.strerror or error}") from error


def _is_mpeg(beginning: bytes) -> bool:
    """Whether a frame of MPEG audio begins here, or a tag in front of some."""
    return beginning[:3] == b"ID3" or (beginning[:1] == b"\xff" and len(beginning) > 1 and beginning[1] >= 0xE0)


def _is_called_mp3(source: bytes | io.BytesIO) -> bool:
    """By which libsndfile goes where it knows no beginning."""
    return isinstance(source, bytes) and source[-4:].lower() == b".mp3"


def _is_there(module: str) -> bool:
    return find_spec(module) is not None


def _by_ffmpeg(source: bytes | io.BytesIO, what: str, longest: Longest) -> FloatArray:
    """What libsndfile doesn't read: AAC, WebM, the sound of a video."""
    if not _is_there("av"):
        raise InputError(
            f"{what} is no audio that can be read: neither WAV, FLAC, Ogg nor MP3, or it is damaged; for AAC, WebM and "
            f"videos install what reads them: {install_command('codecs')}"
        )
    try:
        with ffmpeg.opened(os.fsdecode(source) if isinstance(source, bytes) else source) as container:
            if not container.streams.audio:
                raise InputError(f"{what} holds no audio")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise InputError(f"{what} is in a codec that isn't known; save it as WAV, FLAC, Ogg or MP3")
            codec = stream.codec_context
            rate, channels = ffmpeg.asked(lambda: (codec.sample_rate, codec.channels))
            _check_rate(rate, what)
            _check_channels(channels, what)
            blocks = ffmpeg.read(_decoded(container, stream, what), _PACKETS_AT_ONCE)
            return _resampled(blocks, rate, what, longest)
    except Failed:
        raise InputError(
            f"{what} is no audio that can be read: neither WAV, FLAC, Ogg, MP3, AAC, WebM nor a video with sound, or "
            "it is damaged"
        ) from None


def _decoded(container: Any, stream: Any, what: str) -> Iterator[FloatArray]:
    """Samples [n, channels] of a stream; of one that is damaged those that are whole, as players have it."""
    import av

    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    converter = av.AudioResampler(format="flt", layout=stream.layout, rate=rate)
    packets = damaged = whole = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged += 1
            continue
        for frame in frames:
            # A damaged header may tell of another rate, and damaged data become anything.
            alike = (frame.sample_rate, frame.layout.nb_channels) == (rate, channels)
            blocks = [
                plain.to_ndarray().reshape(-1, channels) for plain in (converter.resample(frame) if alike else [])
            ]
            if not alike or any(not np.abs(block).max(initial=0) <= _LOUDEST for block in blocks):
                damaged += 1
                continue
            whole += 1
            yield from (block.astype(np.float32) for block in blocks if len(block))
    if damaged and not whole:
        raise InputError(f"{what} is damaged: nothing of it can be decoded")
    if damaged:
        warn(f"{what} is damaged: {damaged} of its {packets} packets can't be decoded, and are left out")


# --- what all go through ----------------------------------------------------------------------------------------------


def _resampled(blocks: Iterator[FloatArray], rate: int, what: str, longest: Longest) -> FloatArray:
    """Blocks [n, channels] as 16 kHz mono; ends at an empty block."""
    import soxr

    stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ") if rate != RATE else None
    pieces, n = [], 0
    for block in blocks:
        if not len(block):
            break
        n += len(block)
        _check_length(n, rate, what, longest)
        mono = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise InputError(f"{what} holds NaN or infinity")
        if (loudest := float(np.abs(mono).max())) > _LOUDEST:
            raise InputError(f"{what} has samples up to {loudest:.6g}; floats run from -1 to 1")
        pieces.append(mono if stream is None else stream.resample_chunk(mono))
    if stream is not None:
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _check_rate(rate: Any, what: str) -> None:
    check_integer(f"the sampling rate of {what}", rate, _LOWEST_RATE, _HIGHEST_RATE)


def _check_channels(channels: int, what: str) -> None:
    if not 1 <= channels <= _MOST_CHANNELS:
        raise InputError(f"{what} has {channels} channels; it can have 1 to {_MOST_CHANNELS}")


def _check_length(n: int, rate: int, what: str, longest: Longest) -> None:
    if n > longest.seconds * rate:
        raise InputError(f"{what} is longer than {longest.told}")
