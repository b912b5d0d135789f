"""What clients of `WS /v1/realtime` send. What can't be heeded here is refused, not passed over: who asks for it would
wait for what never comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from omniggml.server.api_error import ApiError, told_of
from omniggml.server.conversation import MessagePart
from omniggml.server.speech_route import Speed, VoiceId

_MOST_TOKENS = 1 << 20
_NOT_HERE = "it can't be heeded here; leave it out"

Nothing = Annotated[list[Any], Field(max_length=0)]


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Samples(_Sent):
    """The one kind there is."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class _Output(_Sent):
    format: Samples | None = None
    voice: str | VoiceId | None = None
    speed: Speed | None = None


class _Input(_Sent):
    format: Samples | None = None
    noise_reduction: None = None
    transcription: None = None
    turn_detection: None = None


class _ResponseSound(_Sent):
    output: _Output | None = None


class _SessionSound(_ResponseSound):
    input: _Input | None = None


class _Wish(_Sent):
    """What may be chosen for a session, and for one response."""

    instructions: str | None = None
    output_modalities: list[Literal["text", "audio"]] | None = Field(default=None, min_length=1)
    max_output_tokens: Annotated[int, Field(ge=1, le=_MOST_TOKENS)] | Literal["inf"] | None = None
    audio: _ResponseSound | None = None
    voice: str | None = Field(default=None, description="where clients of the beta put it")
    tools: Nothing | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None
    prompt: None = None


class SessionWish(_Wish):
    """A session, which may be one that was shown. `model`: whatever it names, the one model of this server answers."""

    audio: _SessionSound | None = None
    id: str | None = None
    type: Literal["realtime"] | None = None
    object: Literal["realtime.session"] | None = None
    model: str | None = None
    include: Nothing | None = None
    tracing: None = None
    truncation: Literal["disabled"] | None = None


class ItemPart(MessagePart):
    """A part of a turn; `audio`: samples in base64, as they are appended."""

    model_config = ConfigDict(strict=True, extra="forbid")
    audio: str | None = None

    @field_validator("image_url", mode="before")
    @classmethod
    def _is_url(cls, given: Any) -> Any:
        """An input_image has its URL as it is; a chat's has it in an object."""
        return {"url": given} if isinstance(given, str) else given


class Item(_Sent):
    """A turn of the conversation."""

    id: str | None = Field(default=None, min_length=1, max_length=100)
    type: Literal["message"] = "message"
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None
    role: Literal["system", "user", "assistant"]
    content: list[ItemPart] = Field(min_length=1, max_length=100)


class ItemReference(_Sent):
    """A turn of the conversation by its id."""

    type: Literal["item_reference"]
    id: str


class ResponseWish(_Wish):
    """One response. `input`: what it answers in the conversation's place; `conversation`: "none" for an answer that
    stays outside of it."""

    conversation: Literal["auto", "none"] | None = None
    input: list[Annotated[Item | ItemReference, Field(union_mode="left_to_right")]] | None = Field(
        default=None, max_length=1000
    )
    metadata: dict[str, str] | None = Field(default=None, max_length=16)


class Event(_Sent):
    """What all events have, and some have nothing more."""

    type: str
    event_id: str | None = None


class SessionUpdate(Event):
    session: SessionWish


class ItemCreate(Event):
    item: Item
    previous_item_id: str | None = None


class ItemNamed(Event):
    item_id: str


class ItemTruncate(ItemNamed):
    content_index: Literal[0] = 0
    audio_end_ms: Annotated[int, Field(ge=0, lt=1 << 40)]


class AudioAppend(Event):
    audio: Any = None


class ResponseCreate(Event):
    response: ResponseWish = ResponseWish()


class ResponseCancel(Event):
    response_id: str | None = None


@dataclass(frozen=True)
class ResponseChoices:
    """How a session, or one response, is answered."""

    instructions: str = ""
    output_modalities: Sequence[str] = ("audio",)
    max_output_tokens: int | None = None
    voice: str | None = None
    speed: float = 1.0

    def changed_by(self, wish: _Wish) -> ResponseChoices:
        """These, with what is wished in their place."""
        output = (wish.audio.output if wish.audio is not None else None) or _Output()
        voice = output.voice.id if isinstance(output.voice, VoiceId) else output.voice or wish.voice
        tokens = self.max_output_tokens if wish.max_output_tokens is None else wish.max_output_tokens
        return ResponseChoices(
            self.instructions if wish.instructions is None else wish.instructions,
            self.output_modalities if wish.output_modalities is None else wish.output_modalities,
            tokens if isinstance(tokens, int) else None,
            self.voice if voice is None else voice,
            self.speed if output.speed is None else output.speed,
        )

    @property
    def aloud(self) -> bool:
        return "audio" in self.output_modalities


def malformed(event: Mapping[str, Any], error: ValidationError) -> ApiError:
    """The first thing that is wrong, by the path of its field in what was sent."""
    first = error.errors()[0]
    where = ".".join(_path(event, first["loc"], first["type"] == "missing"))
    none_taken = first["type"] == "too_long" and first["ctx"]["max_length"] == 0
    refused = none_taken or first["type"] in ("extra_forbidden", "none_required")
    return ApiError(400, f"{where}: {_NOT_HERE if refused else told_of(first)}", param=where, code="invalid_event")


def _path(sent: Any, where: Sequence[int | str], missing: bool) -> list[str]:
    """Without the kinds that were tried for a field."""
    path = []
    for part in where:
        there = part in sent if isinstance(sent, dict) else isinstance(sent, list) and isinstance(part, int)
        if there:
            sent = sent[part]
            path.append(str(part))
        elif missing and part == where[-1]:
            path.append(str(part))
    return path
