"""Samples -> the bytes of a stream, piece by piece: what has been written is never changed afterwards."""

from __future__ import annotations

import base64
import importlib.util
import io
import struct
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from omniggml.extras import install_command
from omniggml.server.api_error import ApiError

FloatArray = npt.NDArray[np.float32]

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
}
"""Format -> what browsers and players call it."""

_SUBTYPES = {"mp3": "MPEG_LAYER_III", "flac": "PCM_16"}
_ENDLESS = 0xFFFFFFFF
# Samples a frame of MPEG layer III has at rates up to 24 kHz, over 8; kbit/s by the header's index.
_FRAME_FACTOR, _BITRATES = 72, (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Encoder(Protocol):
    """Bytes of one stream, in order."""

    def encode(self, samples: FloatArray) -> bytes:
        """`samples` float32 [n] in [-1, 1] -> the bytes that are ready."""

    def finish(self) -> bytes:
        """The last bytes."""


def whole_encoder(kind: str, sample_rate: int) -> Encoder:
    """As `new_encoder`, for an answer that is sent when all of it is there: its header tells its length."""
    return WholeEncoder(kind, sample_rate) if kind in ("wav", "mp3", "flac") else new_encoder(kind, sample_rate)


def new_encoder(kind: str, sample_rate: int) -> Encoder:
    """Raises ApiError for a format that can't be made here."""
    if kind in ("pcm", "pcm16"):
        return PcmEncoder()
    if kind == "wav":
        return WavEncoder(sample_rate)
    if kind in ("mp3", "flac"):
        return SoundfileEncoder(kind, sample_rate)
    if importlib.util.find_spec("av") is None:
        raise ApiError(
            400,
            f"{kind} needs PyAV, which this server hasn't: {install_command('codecs')} there, or ask for mp3, flac, "
            "wav or pcm",
            param="response_format",
        )
    return AvEncoder(kind, sample_rate)


def pcm16(samples: FloatArray) -> bytes:
    """16-bit samples, little-endian, as a WAV file has them."""
    return np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


class PcmEncoder:
    """16-bit samples, little-endian, without a header."""

    def encode(self, samples: FloatArray) -> bytes:
        return pcm16(samples)

    def finish(self) -> bytes:
        return b""


class WavEncoder(PcmEncoder):
    """A WAV file whose length isn't known when its header is written: the largest, by which players know a stream."""

    def __init__(self, sample_rate: int) -> None:
        layout = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
        self._header = b"RIFF" + struct.pack("<I", _ENDLESS) + b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
        self._header += b"data" + struct.pack("<I", _ENDLESS)

    def encode(self, samples: FloatArray) -> bytes:
        header, self._header = self._header, b""
        return header + super().encode(samples)

    def finish(self) -> bytes:
        return self.encode(np.zeros(0, np.float32))


class WholeEncoder:
    """A file of libsndfile's with all that its header tells of what follows."""

    def __init__(self, kind: str, sample_rate: int) -> None:
        self._kind, self._rate = kind, sample_rate
        self._samples: list[FloatArray] = []

    def encode(self, samples: FloatArray) -> bytes:
        self._samples.append(samples)
        return b""

    def finish(self) -> bytes:
        file = io.BytesIO()
        samples = np.concatenate([np.zeros(0, np.float32), *self._samples])
        if self._kind == "wav":
            exact = np.frombuffer(pcm16(samples), "<i2")  # rounded as in all other answers
            soundfile.write(file, exact, self._rate, "PCM_16", format="WAV")
        else:
            soundfile.write(file, samples, self._rate, _SUBTYPES[self._kind], format=self._kind.upper())
        return file.getvalue()


class _Sink(io.RawIOBase):
    """Keeps what is appended; what is written over earlier bytes, lengths known at the end, is lost."""

    def __init__(self) -> None:
        self.ready = bytearray()
        self._position = self._end = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        behind = piece[max(0, self._end - self._position) :]
        self.ready += behind
        self._position += len(piece)
        self._end += len(behind)
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def take(self) -> bytes:
        taken = bytes(self.ready)
        self.ready.clear()
        return taken


class SoundfileEncoder:
    """MP3 and FLAC by libsndfile. An MP3 is frames of sound alone, so that several can be joined: its first frame
    would tell a length that nobody knows yet, and is left out."""

    def __init__(self, kind: str, sample_rate: int) -> None:
        self._sink = _Sink()
        self._file = soundfile.SoundFile(self._sink, "w", sample_rate, 1, _SUBTYPES[kind], format=kind.upper())
        self._left_out = 4 if kind == "mp3" else 0
        self._measured = kind != "mp3"

    def encode(self, samples: FloatArray) -> bytes:
        self._file.write(samples)
        return self._ready()

    def finish(self) -> bytes:
        self._file.close()
        return self._ready()

    def _ready(self) -> bytes:
        if not self._measured:
            if len(self._sink.ready) < self._left_out:
                return b""
            self._left_out, self._measured = _frame_length(bytes(self._sink.ready[:4]), self._file.samplerate), True
        data = self._sink.take()
        dropped, self._left_out = data[self._left_out :], max(0, self._left_out - len(data))
        return dropped


def _frame_length(header: bytes, sample_rate: int) -> int:
    """Bytes of a frame of MPEG layer III."""
    per_frame = _FRAME_FACTOR if header[1] >> 3 & 3 != 3 else 2 * _FRAME_FACTOR
    return per_frame * 1000 * _BITRATES[header[2] >> 4] // sample_rate + (header[2] >> 1 & 1)


class AvEncoder:
    """Opus in Ogg, in pages of 20 ms, and AAC in ADTS, by FFmpeg."""

    def __init__(self, kind: str, sample_rate: int) -> None:
        import av

        self._sink = _Sink()
        self._rate, self._written = sample_rate, 0
        container, codec = ("ogg", "libopus") if kind == "opus" else ("adts", "aac")
        options = {"page_duration": "20000"} if kind == "opus" else {}
        self._container = av.open(self._sink, "w", format=container, options=options)
        self._stream: Any = self._container.add_stream(codec, rate=sample_rate, layout="mono")

    def encode(self, samples: FloatArray) -> bytes:
        import av

        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = self._rate, self._written
            self._written += len(samples)
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
