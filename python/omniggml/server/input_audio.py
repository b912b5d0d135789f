"""What a websocket's client lets hear: samples, 16-bit little-endian mono at 24 kHz, until they are a turn."""

from __future__ import annotations

import base64
import binascii
import io
import wave

from omniggml.server.api_error import ApiError
from omniggml.server.conversation import Recording

RATE = 24000
_BYTES_A_SAMPLE = 2
_SHORTEST = RATE * _BYTES_A_SAMPLE // 10
"""A tenth of a second: less is nothing that was meant."""


class InputAudio:
    """The samples of one turn that is being said; at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._samples = bytearray()

    def append(self, data: object) -> None:
        """More of them, in base64. Raises ApiError for what is none, and for more than may be."""
        samples = samples_of(data)
        if len(self._samples) + len(samples) > self._most:
            raise ApiError(400, f"the audio is longer than {self._most} bytes; commit or clear it", code="too_long")
        self._samples += samples

    def clear(self) -> None:
        """Forget them."""
        self._samples.clear()

    def take(self) -> Recording:
        """All of them. Raises ApiError where they are hardly any."""
        if len(self._samples) < _SHORTEST:
            raise ApiError(400, "there is less than 0.1 s of audio to commit", code="input_audio_buffer_commit_empty")
        taken, self._samples = bytes(self._samples), bytearray()
        return recording_of(taken)


def samples_of(data: object) -> bytes:
    """Raises ApiError for what is no base64."""
    try:
        return base64.b64decode(data if isinstance(data, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "audio is not base64", param="audio", code="invalid_audio") from None


def recording_of(samples: bytes) -> Recording:
    """The samples as a WAV file. Raises ApiError for half a sample."""
    if len(samples) % _BYTES_A_SAMPLE:
        raise ApiError(400, "audio ends in the middle of a sample of 16 bits", param="audio", code="invalid_audio")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, _BYTES_A_SAMPLE, RATE, 0, "NONE", ""))
        writer.writeframes(samples)
    return Recording(data=base64.b64encode(file.getvalue()).decode("ascii"), format="wav")
