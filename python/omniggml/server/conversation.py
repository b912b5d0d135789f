"""The messages of a chat as OpenAI's clients send them -> turns of text and recordings, and the answers they may come
back to."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from omniggml.server.api_error import ApiError
from omniggml.text.soundness import check_text

LIFETIME = 3600
"""Seconds in which an answer's audio can be named in a later turn."""
_MOST_KEPT = 4096

_HEARD = ("input_audio", "audio_url")
_SEEN = ("image_url",)
_UNKNOWN = (*_HEARD, *_SEEN, "input_image", "video_url", "file", "image", "audio", "video")


class Recording(BaseModel):
    """A recording of a user: a file in base64. Its format is read off the file."""

    model_config = ConfigDict(strict=True)
    data: str | None = None
    format: str | None = None


class DataUrl(BaseModel):
    """A file in a URL: data:TYPE;base64,DATA. No other URL is fetched."""

    model_config = ConfigDict(strict=True)
    url: str | None = None


class MessagePart(BaseModel):
    """A part of a message; text, for a model that hears a recording, for one that sees an image."""

    model_config = ConfigDict(strict=True)
    type: str = "text"
    text: str | None = None
    input_audio: Recording | None = None
    audio_url: DataUrl | None = None
    image_url: DataUrl | None = None


class AudioId(BaseModel):
    """An answer that this server gave."""

    model_config = ConfigDict(strict=True)
    id: str


class Message(BaseModel):
    """A turn of a conversation."""

    model_config = ConfigDict(strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[MessagePart] | None = None
    audio: AudioId | None = Field(default=None, description="instead of content: an earlier answer by its audio's id")


class Transcripts:
    """What was said in audio that clients name by its id, for an hour."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def keep(self, text: str) -> tuple[str, int]:
        """The id under which a text is found, and until when."""
        name, until = f"audio_{secrets.token_hex(12)}", time.time() + LIFETIME
        self.put(name, text)
        return name, int(until)

    def put(self, name: str, text: str) -> None:
        """Keep a text under a given id."""
        self._kept[name] = (time.time() + LIFETIME, text)
        while len(self._kept) > _MOST_KEPT or next(iter(self._kept.values()))[0] < time.time():
            self._kept.popitem(last=False)

    def find(self, name: str) -> str:
        """Raises ApiError for an id that was never given, or too long ago."""
        until, text = self._kept.get(name, (0.0, ""))
        if until < time.time():
            raise ApiError(404, f"there is no audio {name!r:.80}, or it was longer than an hour ago", param="messages")
        return text


def turns_of(
    messages: Sequence[Message], transcripts: Transcripts, *, hears: bool = False, sees: bool = False
) -> list[dict[str, Any]]:
    """Turns of text, and where the model `hears` of recordings, where it `sees` of images. Raises ApiError for what it
    can't take in.

    Turns in which nothing is said are left out: front ends keep an answer that was stopped before its first word, and a
    system's that nobody wrote. The last user's stays.
    """
    taken = (*(_HEARD if hears else ()), *(_SEEN if sees else ()))
    for message in messages:
        _check_parts(message)
    turns = [
        {
            "role": "system" if message.role == "developer" else message.role,
            "content": _parted(message, taken)
            if _holds_any(message, taken)
            else check_text(f"message {number}", _text(message, transcripts)),
        }
        for number, message in enumerate(messages, 1)
    ]
    last = _last_user(messages)
    return [turn for number, turn in enumerate(turns) if number == last or not _is_empty(turn["content"])]


def check_last(messages: Sequence[Message], transcripts: Transcripts) -> None:
    """Raises ApiError where the last that a user says is nothing."""
    last = _last_user(messages)
    if not _holds_any(messages[last], (*_HEARD, *_SEEN)) and not _text(messages[last], transcripts).strip():
        raise ApiError(400, f"messages.{last} is empty; say something in it", param=f"messages.{last}")


def _last_user(messages: Sequence[Message]) -> int:
    """The place of a user's last message; of the last one of all where no user says anything."""
    users = [number for number, message in enumerate(messages) if message.role == "user"]
    return users[-1] if users else len(messages) - 1


def _is_empty(content: str | list[dict[str, Any]]) -> bool:
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return all(part["type"] == "text" and not part["text"].strip() for part in parts)


def text_of(turns: Sequence[dict[str, Any]]) -> str:
    """All that is to be read in turns."""
    parts = [turn["content"] if isinstance(turn["content"], list) else [{"text": turn["content"]}] for turn in turns]
    return "".join(part.get("text", "") for turn in parts for part in turn)


def _check_parts(message: Message) -> None:
    """Raises ApiError for a part with more than what its type says: the rest would be passed over."""
    for part in message.content if isinstance(message.content, list) else ():
        if part.type in _UNKNOWN and part.type not in (*_HEARD, *_SEEN):
            continue  # nothing of it is taken, which is told of it as a whole
        expected = part.type if part.type in (*_HEARD, *_SEEN) else "text"
        further = [name for name in ("text", *_HEARD, *_SEEN) if name != expected and getattr(part, name) is not None]
        if further:
            raise ApiError(400, f"a message has a part of type {part.type!r:.80} with {further[0]}", param="messages")


def _holds_any(message: Message, kinds: Sequence[str]) -> bool:
    return isinstance(message.content, list) and any(part.type in kinds for part in message.content)


def _parted(message: Message, taken: Sequence[str]) -> list[dict[str, Any]]:
    assert isinstance(message.content, list)
    return [_media(part) if part.type in taken else _written(part) for part in message.content]


def _written(part: MessagePart) -> dict[str, Any]:
    return {"type": "text", "text": check_text("a message", _part_text(part))}


def _media(part: MessagePart) -> dict[str, Any]:
    if part.type == "input_audio":
        return _recording(part)
    held = part.audio_url if part.type == "audio_url" else part.image_url
    url = None if held is None else held.url
    # Anything else would be a path of this machine, or somebody else's server.
    if url is None or url[:5].lower() != "data:":
        raise ApiError(400, f"a message has {part.type} without a data: URL; no other is fetched", param="messages")
    return {"type": part.type, part.type: {"url": url}}


def _recording(part: MessagePart) -> dict[str, Any]:
    held = part.input_audio
    if held is None or held.data is None:
        raise ApiError(400, 'a message has input_audio without "data", a file in base64', param="messages")
    return {"type": "input_audio", "input_audio": held.model_dump(exclude_none=True)}


def _text(message: Message, transcripts: Transcripts) -> str:
    if message.audio is not None:
        return transcripts.find(message.audio.id)
    if not isinstance(message.content, list):
        return message.content or ""
    return "\n".join(_part_text(part) for part in message.content)


def _part_text(part: MessagePart) -> str:
    if part.type in _UNKNOWN:
        kind = "hear" if part.type in (*_HEARD, "audio") else "see" if part.type != "file" else "open files"
        raise ApiError(
            400,
            f"a message has a part of type {part.type}, and this server's model does not {kind}: send text",
            param="messages",
            code="unsupported_content",
        )
    if part.text is None or part.type not in ("text", "input_text", "output_text"):
        raise ApiError(400, f"a message has a part of type {part.type!r:.80} without text", param="messages")
    return part.text
