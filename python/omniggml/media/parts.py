"""Messages as transformers' processors and OpenAI's interface take them, parted: texts with places for media, as a chat
template reads them, and the media in order."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omniggml.errors import InputError
from omniggml.media.audio_input import AudioLike

KINDS = ("text", "audio", "input_audio", "audio_url")
_ROLES_WITH_MEDIA = ("user",)
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_UNSEEN = ("image", "image_url", "input_image", "video", "video_url", "input_video")


@dataclass(frozen=True)
class HeardPart:
    """Audio of a message. `rate`: of samples given as an array, None where it isn't said."""

    audio: AudioLike
    rate: int | None = None


@dataclass(frozen=True)
class Parted:
    """`turns` as a chat template reads them, and the `audio` that stands in them, in order."""

    turns: list[Mapping[str, Any]]
    audio: tuple[HeardPart, ...]


def parted(turns: Sequence[Any]) -> Parted:
    """Messages whose content is text pass as they are. Raises InputError for parts of a type that isn't known, without
    what they are to hold, or where none can stand."""
    heard: list[HeardPart] = []
    plain = [_turn(number, turn, heard) for number, turn in enumerate(turns, 1)]
    return Parted(plain, tuple(heard))


def text_alone(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same conversation without what is no text in it."""
    return [
        {**turn, "content": [part for part in turn["content"] if isinstance(part, Mapping) and "text" in part]}
        if isinstance(turn.get("content"), (list, tuple))
        else turn
        for turn in turns
    ]


def _turn(number: int, turn: Any, heard: list[HeardPart]) -> Any:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    if not isinstance(content, (list, tuple)):
        return turn
    return {**turn, "content": [_part(number, turn.get("role"), part, heard) for part in content]}


def _part(number: int, role: Any, part: Any, heard: list[HeardPart]) -> Any:
    kind = _kind(number, part)
    if kind == "text":
        return part
    if role not in _ROLES_WITH_MEDIA:
        raise InputError(f"message {number} has audio in a turn of the {role}; only the user's turns can hold some")
    heard.append(_AUDIO[kind](number, part))
    return {"type": "audio"}


def _kind(number: int, part: Any) -> str:
    if not isinstance(part, Mapping):
        raise InputError(f"message {number} has a part {part!r:.80}; expected a mapping with a type")
    # transformers' templates know a part by what it holds, too.
    kind = part.get("type") or next((known for known in (*KINDS, *_UNSEEN) if known in part), None)
    if kind in _UNSEEN:
        raise InputError(f"message {number} holds a part of the type {kind}; this version hears, and can't see")
    if kind not in KINDS:
        raise InputError(f"message {number} has a part of the type {kind!r:.80}; there are {', '.join(KINDS)}")
    return str(kind)


def _plain_audio(number: int, part: Mapping[str, Any]) -> HeardPart:
    """`{"type": "audio", "audio": path | array | bytes}`, with "sampling_rate" beside an array."""
    audio = next((part[key] for key in ("audio", "path", "url") if part.get(key) is not None), None)
    if audio is None:
        raise InputError(f"message {number} has a part of audio without one: {part!r:.80}")
    if isinstance(audio, Mapping):  # as data sets have it
        return HeardPart(_of_mapping(number, audio), audio.get("sampling_rate"))
    return HeardPart(_of_text(number, audio) if isinstance(audio, str) else audio, part.get("sampling_rate"))


def _of_mapping(number: int, audio: Mapping[str, Any]) -> Any:
    found = next((audio[key] for key in ("array", "bytes", "path") if audio.get(key) is not None), None)
    if found is None:
        raise InputError(f"message {number} has audio without an array, bytes or a path: {audio!r:.80}")
    return found


def _input_audio(number: int, part: Mapping[str, Any]) -> HeardPart:
    """`{"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}}`, as OpenAI's interface has it."""
    held = part.get("input_audio")
    data = held.get("data") if isinstance(held, Mapping) else None
    if not isinstance(data, (str, bytes)):
        raise InputError(f'message {number} has input_audio without "data", the file in base64')
    return HeardPart(_decoded(number, data))


def _audio_url(number: int, part: Mapping[str, Any]) -> HeardPart:
    held = part.get("audio_url")
    url = held.get("url") if isinstance(held, Mapping) else held
    if not isinstance(url, str):
        raise InputError(f'message {number} has audio_url without "url", a data URL')
    return HeardPart(_of_text(number, url))


def _of_text(number: int, text: str) -> str | bytes:
    """A data URL's bytes, or a path. Nothing is downloaded."""
    if text[:5].lower() == "data:":
        header = _DATA_URL.match(text)
        if header is None:
            raise InputError(f"message {number} has a data URL that isn't in base64")
        return _decoded(number, text[header.end() :])
    if re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise InputError(f"message {number} names {text!r:.80}, which is not downloaded; give a path or a data URL")
    return text


def _decoded(number: int, data: str | bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"message {number} has audio whose data is no base64") from None


_AUDIO = {"audio": _plain_audio, "input_audio": _input_audio, "audio_url": _audio_url}
