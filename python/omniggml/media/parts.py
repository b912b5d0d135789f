"""Messages as transformers' processors and OpenAI's interface take them, parted: texts with places for media, as a chat
template reads them, and the media in order."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omniggml.errors import InputError
from omniggml.media.audio_input import AudioLike
from omniggml.media.image_input import ImageLike
from omniggml.media.video_input import VideoLike
from omniggml.printable import shown

_ROLES_WITH_MEDIA = ("user",)
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class HeardPart:
    """Audio of a message. `rate`: of samples given as an array, None where it isn't said."""

    audio: AudioLike
    rate: int | None = None


@dataclass(frozen=True)
class SeenPart:
    """An image of a message, and its bounds once it is resized, None where they aren't said."""

    image: ImageLike
    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class WatchedPart:
    """A video of a message. `rate`: frames a second; `sound`: whether it is heard, too; None where that isn't said."""

    video: VideoLike
    rate: float | None = None
    sound: bool | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None


Part = HeardPart | SeenPart | WatchedPart


@dataclass(frozen=True)
class Parted:
    """`turns` as a chat template reads them, and the `media` that stand in them, in order."""

    turns: list[Mapping[str, Any]]
    media: tuple[Part, ...]


def parted(turns: Sequence[Any]) -> Parted:
    """Messages whose content is text pass as they are. Raises InputError for parts of a type that isn't known, without
    what they are to hold, or where none can stand."""
    found: list[Part] = []
    plain = [_turn(number, turn, found) for number, turn in enumerate(turns, 1)]
    return Parted(plain, tuple(found))


def text_alone(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same conversation without what is no text in it."""
    return [
        {**turn, "content": [part for part in turn["content"] if isinstance(part, Mapping) and "text" in part]}
        if isinstance(turn.get("content"), (list, tuple))
        else turn
        for turn in turns
    ]


def _turn(number: int, turn: Any, found: list[Part]) -> Any:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    if not isinstance(content, (list, tuple)):
        return turn
    return {**turn, "content": [_part(number, turn.get("role"), part, found) for part in content]}


def _part(number: int, role: Any, part: Any, found: list[Part]) -> Any:
    kind = _kind(number, part)
    if kind == "text":
        return part
    noun, read = _READERS[kind]
    if role not in _ROLES_WITH_MEDIA:
        raise InputError(f"message {number} has {noun} in a turn of the {role}; only the user's turns can hold some")
    found.append(read(number, part))
    return {"type": noun}


def _kind(number: int, part: Any) -> str:
    if not isinstance(part, Mapping):
        raise InputError(f"message {number} has a part {shown(part)}; expected a mapping with a type")
    # transformers' templates know a part by what it holds, too.
    kind = part.get("type") or next((known for known in KINDS if known in part), None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"message {number} has a part of the type {shown(kind)}; there are {', '.join(KINDS)}")
    return kind


# --- audio ------------------------------------------------------------------------------------------------------------


def _plain_audio(number: int, part: Mapping[str, Any]) -> HeardPart:
    """`{"type": "audio", "audio": path | array | bytes}`, with "sampling_rate" beside an array."""
    audio = _held(number, "audio", part)
    if isinstance(audio, Mapping):  # as data sets have it
        return HeardPart(_of_mapping(number, audio), audio.get("sampling_rate"))
    return HeardPart(_named(number, "audio", audio), part.get("sampling_rate"))


def _of_mapping(number: int, audio: Mapping[str, Any]) -> Any:
    found = next((audio[key] for key in ("array", "bytes", "path") if audio.get(key) is not None), None)
    if found is None:
        raise InputError(f"message {number} has audio without an array, bytes or a path: {shown(audio)}")
    return found


def _input_audio(number: int, part: Mapping[str, Any]) -> HeardPart:
    """`{"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}}`, as OpenAI's interface has it."""
    held = part.get("input_audio")
    data = held.get("data") if isinstance(held, Mapping) else None
    if not isinstance(data, (str, bytes)):
        raise InputError(f'message {number} has input_audio without "data", the file in base64')
    return HeardPart(_decoded(number, "audio", data))


def _audio_url(number: int, part: Mapping[str, Any]) -> HeardPart:
    held = part.get("audio_url")
    return HeardPart(_of_text(number, "audio", _url_of(number, "audio_url", held)))


# --- images and videos ------------------------------------------------------------------------------------------------


def _image(number: int, part: Mapping[str, Any]) -> SeenPart:
    """`{"type": "image", "image": path | bytes | array}`, and what transformers' and OpenAI's interfaces call it."""
    image = _held(number, "image", part)
    bytes_or_path = image.get("bytes") or image.get("path") if isinstance(image, Mapping) else image
    if bytes_or_path is None:
        raise InputError(f"message {number} has an image without bytes or a path: {shown(image)}")
    return SeenPart(_named(number, "image", bytes_or_path), part.get("min_pixels"), part.get("max_pixels"))


def _image_url(number: int, part: Mapping[str, Any]) -> SeenPart:
    url = _url_of(number, "image_url", part.get("image_url"))
    return SeenPart(_of_text(number, "image", url), part.get("min_pixels"), part.get("max_pixels"))


def _video(number: int, part: Mapping[str, Any]) -> WatchedPart:
    """`{"type": "video", "video": path | bytes | frames}`, "fps" beside it."""
    return _watched(part, _named(number, "video", _held(number, "video", part)))


def _video_url(number: int, part: Mapping[str, Any]) -> WatchedPart:
    return _watched(part, _of_text(number, "video", _url_of(number, "video_url", part.get("video_url"))))


def _watched(part: Mapping[str, Any], video: Any) -> WatchedPart:
    sound = part.get("use_audio_in_video")
    if sound is not None and not isinstance(sound, bool):
        raise InputError(f"use_audio_in_video is {shown(sound)}; expected true or false")
    return WatchedPart(video, part.get("fps"), sound, part.get("min_pixels"), part.get("max_pixels"))


# --- what all go through ----------------------------------------------------------------------------------------------


def _held(number: int, kind: str, part: Mapping[str, Any]) -> Any:
    held = next((part[key] for key in (kind, "path", "url") if part.get(key) is not None), None)
    if held is None:
        raise InputError(f"message {number} has a part of {kind} without one: {shown(part)}")
    return held


def _url_of(number: int, kind: str, held: Any) -> str:
    url = held.get("url") if isinstance(held, Mapping) else held
    if not isinstance(url, str):
        raise InputError(f'message {number} has {kind} without "url", a data URL')
    return url


def _named(number: int, kind: str, given: Any) -> Any:
    return _of_text(number, kind, given) if isinstance(given, str) else given


def _of_text(number: int, kind: str, text: str) -> str | bytes:
    """A data URL's bytes, or a path. Nothing is downloaded."""
    if text[:5].lower() == "data:":
        header = _DATA_URL.match(text)
        if header is None:
            raise InputError(f"message {number} has a data URL that isn't in base64")
        return _decoded(number, kind, text[header.end() :])
    if re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise InputError(f"message {number} names {shown(text)}, which is not downloaded; give a path or a data URL")
    return text


def _decoded(number: int, kind: str, data: str | bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"message {number} has {kind} whose data is no base64") from None


_READERS: dict[str, tuple[str, Callable[[int, Mapping[str, Any]], Part]]] = {
    "audio": ("audio", _plain_audio),
    "input_audio": ("audio", _input_audio),
    "audio_url": ("audio", _audio_url),
    "image": ("image", _image),
    "image_url": ("image", _image_url),
    "input_image": ("image", _image_url),
    "video": ("video", _video),
    "video_url": ("video", _video_url),
}
"""Type of a part -> what a chat template calls it, and what reads it."""

KINDS = ("text", *_READERS)
