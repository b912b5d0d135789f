"""Recordings and images in messages as OpenAI's interface has them, for a server that is to answer."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from omniggml.audio import Audio
from omniggml.errors import InputError
from omniggml.media.audio_input import RATE, read_samples
from omniggml.media.image_input import read_image
from omniggml.media.parts import HeardPart, Part, SeenPart, parted

_OURS = ("audio", "image", "video")
"""Types of parts that hold paths, bytes or arrays, which no server can read."""


def as_sent(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The conversation with what only this process can read as WAV and PNG in base64; what has OpenAI's form already
    stays as it is. Raises InputError for what can't be read, and for videos, which that interface doesn't have."""
    return [
        {**turn, "content": [_sent(turn, part) for part in turn["content"]]}
        if isinstance(turn.get("content"), (list, tuple))
        else turn
        for turn in turns
    ]


def _sent(turn: Mapping[str, Any], part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in _OURS:
        return part
    return _in_base64(parted([{**turn, "content": [part]}]).media[0])


def _in_base64(part: Part) -> dict[str, Any]:
    if isinstance(part, HeardPart):
        file = Audio(read_samples(part.audio, part.rate), RATE).wav_bytes()
        return {"type": "input_audio", "input_audio": {"data": _text(file), "format": "wav"}}
    if isinstance(part, SeenPart):
        picture = io.BytesIO()
        read_image(part.image, "the image").save(picture, "PNG")
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_text(picture.getvalue())}"}}
    raise InputError(
        "a server that writes the answer is given no videos; give it images of them, and the sound as audio"
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
