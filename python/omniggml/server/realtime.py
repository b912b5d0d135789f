"""`WS /v1/realtime`: a conversation over one websocket, with OpenAI's events; whoever speaks can be interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from omniggml.audio import Audio
from omniggml.errors import OmniError
from omniggml.server.access import key_of
from omniggml.server.api_error import ApiError, as_api_error
from omniggml.server.conversation import Message, MessagePart, turns_of
from omniggml.server.encoders import as_base64, pcm16
from omniggml.server.input_audio import RATE, InputAudio, recording_of, samples_of
from omniggml.server.service import Service
from omniggml.server.spoken_answer import spoken_answer
from omniggml.server.streamed import shown as warnings_shown
from omniggml.server.thinkers import TextWish
from omniggml.server.within import within

_MOST_ITEMS = 1000
_SILENCES = 10
"""A client that says nothing for so many times `idle_seconds`, and is told nothing, has gone."""
_SUBPROTOCOL = "realtime"
_TOO_LONG, _FAILED = 1000, 1011

_Strict = ConfigDict(strict=True)


class _Output(BaseModel):
    model_config = _Strict
    voice: str | None = None


class _Sound(BaseModel):
    model_config = _Strict
    output: _Output | None = None


class SessionWish(BaseModel):
    """What a client may choose for a session, or for one response."""

    model_config = _Strict
    instructions: str | None = None
    output_modalities: list[Literal["text", "audio"]] | None = Field(default=None, min_length=1)
    max_output_tokens: int | Literal["inf"] | None = None
    audio: _Sound | None = None
    voice: str | None = Field(default=None, description="where clients of the beta put it")


class ItemPart(MessagePart):
    """A part of a turn; `audio`: samples in base64, as they are appended."""

    audio: str | None = None


class Item(BaseModel):
    """A turn of the conversation."""

    model_config = _Strict
    id: str | None = Field(default=None, max_length=100)
    type: Literal["message"] = "message"
    role: Literal["system", "user", "assistant"]
    content: list[ItemPart] = Field(min_length=1, max_length=100)


class _SessionUpdate(BaseModel):
    model_config = _Strict
    session: SessionWish


class _ItemCreate(BaseModel):
    model_config = _Strict
    item: Item
    previous_item_id: str | None = None


class _ItemDelete(BaseModel):
    model_config = _Strict
    item_id: str


class _ResponseCreate(BaseModel):
    model_config = _Strict
    response: SessionWish = SessionWish()


def realtime_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["realtime"])

    @router.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        subprotocol = _SUBPROTOCOL if _SUBPROTOCOL in socket.scope.get("subprotocols", []) else None
        await socket.accept(subprotocol=subprotocol)
        session = _Session(service, socket)
        try:
            await within(service.settings.max_seconds, session.run())
        except asyncio.TimeoutError:
            await _closed(socket, _TOO_LONG)
        except (WebSocketDisconnect, OSError, RuntimeError):
            pass
        finally:
            await session.interrupt()

    return router


def _with_recording(part: ItemPart) -> ItemPart:
    if part.audio is None:
        return part
    return part.model_copy(update={"audio": None, "input_audio": recording_of(samples_of(part.audio))})


async def _closed(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect):
        await socket.close(code)


class _Session:
    """One conversation. `items`: its turns, in order, by id."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._id = f"sess_{secrets.token_hex(10)}"
        self._wish = SessionWish(instructions="", output_modalities=["audio"])
        self._items: dict[str, Item] = {}
        self._input = InputAudio(service.settings.max_body)
        self._response: asyncio.Task[None] | None = None
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    async def run(self) -> None:
        """Until the client goes. Raises WebSocketDisconnect, TimeoutError."""
        await self._send("session.created", session=self._shown())
        silence = _SILENCES * self._service.settings.idle_seconds
        while True:
            message = await within(silence, self._socket.receive())
            if message["type"] == "websocket.disconnect":
                return
            await self._take(message.get("text") or message.get("bytes") or b"")

    async def _take(self, data: str | bytes) -> None:
        event_id: str | None = None
        try:
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                event = None
            if not isinstance(event, dict):
                raise ApiError(400, "what was sent is no event: expected a JSON object", code="invalid_event")
            given = event.get("event_id")
            event_id = given[:100] if isinstance(given, str) and given.isprintable() else None
            handler = self._handlers.get(event["type"]) if isinstance(event.get("type"), str) else None
            if handler is None:
                raise ApiError(400, f"there is no event {event.get('type')!r:.80}", code="unknown_event", param="type")
            await handler(event)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            await self._fail(ApiError(400, f"{where}: {first['msg']}", param=where, code="invalid_event"), event_id)
        except OmniError as error:
            await self._fail(as_api_error(error), event_id)

    async def _fail(self, error: ApiError, event_id: str | None = None) -> None:
        await self._send("error", error={**error.body()["error"], "event_id": event_id})

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}
        # A client that does not read holds up its own conversation alone, and not for ever.
        await within(self._service.settings.idle_seconds, self._socket.send_text(json.dumps(event)))

    def _shown(self) -> dict[str, Any]:
        rate = self._service.model.sample_rate
        heard = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": None}
        return {
            "id": self._id,
            "type": "realtime",
            "object": "realtime.session",
            "model": self._service.model_name,
            "instructions": self._wish.instructions or "",
            "output_modalities": self._wish.output_modalities,
            "max_output_tokens": self._wish.max_output_tokens or "inf",
            "audio": {
                "input": heard if self._hears else None,
                "output": {"format": {"type": "audio/pcm", "rate": rate}, "voice": self._voice(self._wish)},
            },
        }

    def _voice(self, wish: SessionWish) -> str:
        """Raises ApiError for a voice that there is none of."""
        output = wish.audio.output if wish.audio is not None else None
        named = output.voice if output is not None and output.voice is not None else wish.voice
        return str(self._service.speech_options(named).speaker)

    async def _update(self, event: dict[str, Any]) -> None:
        wish = self._with(_SessionUpdate.model_validate(event).session)
        self._voice(wish)
        self._service.check_length(wish.instructions or "", "session.instructions")
        self._wish = wish
        await self._send("session.updated", session=self._shown())

    def _with(self, wish: SessionWish) -> SessionWish:
        """The session's choices with others in their place."""
        return self._wish.model_copy(update={name: getattr(wish, name) for name in wish.model_fields_set})

    async def _create_item(self, event: dict[str, Any]) -> None:
        item = _ItemCreate.model_validate(event).item
        await self._add_said(item.model_copy(update={"content": [_with_recording(part) for part in item.content]}))

    async def _add_said(self, item: Item) -> None:
        """A turn of the client's. Raises ApiError for one that can't be answered, or is too long."""
        message = Message(role=item.role, content=list(item.content))
        turns_of([message], self._service.transcripts, hears=self._hears)  # or an error
        parts = [part for one in (*self._items.values(), item) for part in one.content]
        letters = sum(len(part.text or "") for part in parts)
        nbytes = sum(len(part.input_audio.data or "") for part in parts if part.input_audio is not None)
        settings = self._service.settings
        if len(self._items) >= _MOST_ITEMS or letters > settings.max_characters or nbytes > 2 * settings.max_body:
            raise ApiError(400, "the conversation is as long as it may be; delete items of it", code="too_long")
        await self._add(item)

    async def _add(self, item: Item, finished: bool = True) -> dict[str, Any]:
        previous = next(reversed(self._items), None)
        name = item.id or f"item_{secrets.token_hex(10)}"
        self._items[name] = item.model_copy(update={"id": name})
        plain = item.model_dump(exclude_none=True, exclude={"content": {"__all__": {"audio", "input_audio"}}})
        shown = {**plain, "id": name, "object": "realtime.item", "status": "completed"}
        if not finished:
            shown |= {"status": "in_progress", "content": []}
        await self._send("conversation.item.added", previous_item_id=previous, item=shown)
        if finished:
            await self._send("conversation.item.done", previous_item_id=previous, item=shown)
        return shown

    async def _delete_item(self, event: dict[str, Any]) -> None:
        name = _ItemDelete.model_validate(event).item_id
        if self._items.pop(name, None) is None:
            raise ApiError(404, f"there is no item {name!r:.80}", param="item_id")
        await self._send("conversation.item.deleted", item_id=name)

    async def _truncate_item(self, event: dict[str, Any]) -> None:
        """A client tells how much of an answer was heard; which words those were isn't known, so all stay."""
        name = _ItemDelete.model_validate(event).item_id
        if name not in self._items:
            raise ApiError(404, f"there is no item {name!r:.80}", param="item_id")
        end = event.get("audio_end_ms")
        shown = end if isinstance(end, int) and 0 <= end < 1 << 40 else 0
        await self._send("conversation.item.truncated", item_id=name, content_index=0, audio_end_ms=shown)

    @property
    def _hears(self) -> bool:
        return self._service.thinker.hears

    async def _append(self, event: dict[str, Any]) -> None:
        if not self._hears:
            raise ApiError(400, "this server's model does not hear: send text", code="unsupported_content")
        self._input.append(event.get("audio"))

    async def _commit(self, _: dict[str, Any]) -> None:
        part = ItemPart(type="input_audio", input_audio=self._input.take())
        name, previous = f"item_{secrets.token_hex(10)}", next(reversed(self._items), None)
        await self._send("input_audio_buffer.committed", previous_item_id=previous, item_id=name)
        await self._add_said(Item(id=name, role="user", content=[part]))

    async def _clear(self, _: dict[str, Any]) -> None:
        self._input.clear()
        await self._send("input_audio_buffer.cleared")

    async def _create_response(self, event: dict[str, Any]) -> None:
        wish = self._with(_ResponseCreate.model_validate(event).response)
        if self._response is not None and not self._response.done():
            raise ApiError(
                400, "a response is being made; cancel it first", code="conversation_already_has_active_response"
            )
        if not self._items:
            raise ApiError(400, "there is nothing to answer: create an item first", code="conversation_is_empty")
        self._response = asyncio.create_task(self._respond(wish))

    async def _cancel_response(self, _: dict[str, Any]) -> None:
        if self._response is None or self._response.done():
            raise ApiError(400, "there is no response to cancel", code="response_cancel_not_active")
        await self.interrupt()

    async def interrupt(self) -> None:
        """End the response that is being made, if there is one."""
        if self._response is not None and not self._response.done():
            self._response.cancel()
            await asyncio.wait([self._response])

    async def _respond(self, wish: SessionWish) -> None:
        try:
            await _Response(self, wish).run()
        except (WebSocketDisconnect, OSError, RuntimeError, asyncio.TimeoutError):
            await _closed(self._socket, _FAILED)

    # What a response needs of its session.

    @property
    def service(self) -> Service:
        return self._service

    @property
    def key(self) -> str:
        return key_of(self._socket)

    def turns(self, wish: SessionWish) -> list[dict[str, Any]]:
        """What the thinker reads."""
        instructions = [Message(role="system", content=wish.instructions)] if wish.instructions else []
        said = [Message(role=item.role, content=list(item.content)) for item in self._items.values()]
        return turns_of([*instructions, *said], self._service.transcripts, hears=self._hears)

    def voice(self, wish: SessionWish) -> str:
        return self._voice(wish)

    async def send(self, kind: str, **fields: Any) -> None:
        await self._send(kind, **fields)

    async def begin_answer(self, item_id: str) -> dict[str, Any]:
        """An item of the conversation that is being said."""
        return await self._add(Item(id=item_id, role="assistant", content=[ItemPart(text="")]), finished=False)

    def end_answer(self, item_id: str, text: str) -> None:
        """What was said of it stays in the conversation; nothing, if that is nothing."""
        if not text.strip():
            self._items.pop(item_id, None)
        elif item_id in self._items:
            self._items[item_id] = Item(id=item_id, role="assistant", content=[ItemPart(text=text)])


class _Response:
    """One answer, and the events that tell of it."""

    def __init__(self, session: _Session, wish: SessionWish) -> None:
        self._session, self._wish = session, wish
        self._id, self._item = f"resp_{secrets.token_hex(10)}", f"item_{secrets.token_hex(10)}"
        self._aloud = "audio" in (wish.output_modalities or ())
        self._text, self._frames = "", 0
        self._warnings: list[str] = []
        self._place = {"response_id": self._id, "item_id": self._item, "output_index": 0, "content_index": 0}

    async def run(self) -> None:
        """To its end, or until it is cancelled."""
        status, details = "completed", None
        shown = {"id": self._id, "object": "realtime.response", "output": [], "output_modalities": self._modalities}
        await self._session.send("response.created", response={**shown, "status": "in_progress", "usage": None})
        usage = None
        try:
            usage = await self._say()
        except asyncio.CancelledError:
            status, details = "cancelled", {"type": "cancelled", "reason": "client_cancelled"}
        except OmniError as error:
            body = as_api_error(error).body()["error"]
            status, details = "failed", {"type": "failed", "error": body}
            await self._session.send("error", error={**body, "event_id": None})
        item = self._shown("completed" if status == "completed" else "incomplete")
        self._session.end_answer(self._item, self._text)
        done = {**shown, "status": status, "status_details": details, "output": [item], "usage": usage}
        if told := warnings_shown(self._warnings):
            done["warnings"] = told
        await self._session.send("response.done", response=done)

    @property
    def _modalities(self) -> list[str]:
        return ["audio"] if self._aloud else ["text"]

    def _part(self) -> dict[str, Any]:
        if self._aloud:
            return {"type": "output_audio", "transcript": self._text}
        return {"type": "output_text", "text": self._text}

    def _shown(self, status: str) -> dict[str, Any]:
        item = {"id": self._item, "object": "realtime.item", "type": "message", "role": "assistant", "status": status}
        return {**item, "content": [self._part()]}

    async def _say(self) -> dict[str, Any]:
        session, service, send = self._session, self._session.service, self._session.send
        tokens = self._wish.max_output_tokens
        turns = session.turns(self._wish)
        answer = service.thinker.answer(turns, TextWish(max_tokens=tokens if isinstance(tokens, int) else None))
        speech = None
        if self._aloud:
            options = service.speech_options(session.voice(self._wish))
            speech = service.desk.expect(options, session.key)
        ready = spoken_answer(answer, speech)
        try:
            item = await session.begin_answer(self._item)
            await send("response.output_item.added", response_id=self._id, output_index=0, item=item)
            await send("response.content_part.added", **self._place, part=self._part())
            async for one in ready:
                await self._tell(one)
        finally:
            self._warnings += answer.warnings
            if speech is not None:
                self._warnings += speech.warnings
                speech.cancel()
            await ready.aclose()
        await self._told()
        written = answer.n_tokens + self._frames
        return {
            "input_tokens": answer.n_prompt,
            "output_tokens": written,
            "total_tokens": answer.n_prompt + written,
            "output_token_details": {"text_tokens": answer.n_tokens, "audio_tokens": self._frames},
        }

    async def _tell(self, one: str | Audio) -> None:
        send = self._session.send
        if isinstance(one, Audio):
            self._frames += one.codes.shape[1]
            if len(one.samples):
                await send("response.output_audio.delta", **self._place, delta=as_base64(pcm16(one.samples)))
        elif one:
            self._text += one
            kind = "response.output_audio_transcript.delta" if self._aloud else "response.output_text.delta"
            await send(kind, **self._place, delta=one)

    async def _told(self) -> None:
        send = self._session.send
        if self._aloud:
            await send("response.output_audio.done", **self._place)
            await send("response.output_audio_transcript.done", **self._place, transcript=self._text)
        else:
            await send("response.output_text.done", **self._place, text=self._text)
        await send("response.content_part.done", **self._place, part=self._part())
        item = self._shown("completed")
        await send("response.output_item.done", response_id=self._id, output_index=0, item=item)
        await send("conversation.item.done", previous_item_id=None, item=item)
