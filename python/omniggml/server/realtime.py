"""`WS /v1/realtime`: a conversation over one websocket, with OpenAI's events; whoever speaks can be interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from omniggml.audio import Audio
from omniggml.errors import OmniError
from omniggml.server.access import key_of
from omniggml.server.api_error import ApiError, as_api_error
from omniggml.server.conversation import Message, turns_of
from omniggml.server.encoders import FloatArray, as_base64, pcm16
from omniggml.server.input_audio import RATE, InputAudio, recording_of, samples_of
from omniggml.server.realtime_events import (
    AudioAppend,
    Event,
    Item,
    ItemCreate,
    ItemNamed,
    ItemPart,
    ItemReference,
    ItemTruncate,
    ResponseCancel,
    ResponseChoices,
    ResponseCreate,
    ResponseWish,
    SessionUpdate,
    SessionWish,
    malformed,
)
from omniggml.server.service import Service
from omniggml.server.spoken_answer import spoken_answer
from omniggml.server.streamed import shown as warnings_shown
from omniggml.server.tempo import Tempo
from omniggml.server.thinkers import TextWish
from omniggml.server.within import within

_MOST_ITEMS = 1000
_SILENCES = 10
"""A client that says nothing for so many times `idle_seconds`, and is told nothing, has gone."""
_SUBPROTOCOL = "realtime"
_TOO_LONG, _FAILED = 1000, 1011

_OF_OTHER_TRANSPORTS = {"output_audio_buffer.clear": "a websocket's client has the audio itself: response.cancel"}


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


def _no_event(kind: object) -> ApiError:
    elsewhere = _OF_OTHER_TRANSPORTS.get(kind) if isinstance(kind, str) else None
    told = f"there is no event {kind!r:.80}" + (f" here; {elsewhere}" if elsewhere else "")
    return ApiError(400, told, code="unknown_event", param="type")


def _message(item: Item) -> Message:
    return Message(role=item.role, content=list(item.content))


def _shown_item(item: Item) -> dict[str, Any]:
    """Without its sound, which its client has."""
    plain = item.model_dump(exclude_none=True, exclude={"content": {"__all__": {"audio", "input_audio"}}})
    return {**plain, "object": "realtime.item", "status": "completed"}


def _with_recordings(item: Item) -> Item:
    return item.model_copy(update={"content": [_with_recording(part) for part in item.content]})


def _with_recording(part: ItemPart) -> ItemPart:
    if part.audio is None:
        return part
    if part.type != "input_audio":
        raise ApiError(400, f"a part of type {part.type!r:.80} holds audio", param="item.content")
    return part.model_copy(update={"audio": None, "input_audio": recording_of(samples_of(part.audio))})


async def _closed(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect):
        await socket.close(code)


class _Session:
    """One conversation. `items`: its turns, in order, by id."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._id = f"sess_{secrets.token_hex(10)}"
        self._conversation = f"conv_{secrets.token_hex(10)}"
        self._choices = ResponseChoices()
        self._items: dict[str, Item] = {}
        self._input = InputAudio(service.settings.max_body)
        self._response: asyncio.Task[None] | None = None
        self._response_id = ""
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
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
                raise _no_event(event.get("type"))
            try:
                await handler(event)
            except ValidationError as error:
                raise malformed(event, error) from None
        except OmniError as error:
            await self._fail(as_api_error(error), event_id)

    async def _fail(self, error: ApiError, event_id: str | None = None) -> None:
        await self._send("error", error={**error.body()["error"], "event_id": event_id})

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}
        # A client that does not read holds up its own conversation alone, and not for ever.
        await within(self._service.settings.idle_seconds, self._socket.send_text(json.dumps(event)))

    def _shown(self) -> dict[str, Any]:
        choices, rate = self._choices, self._service.model.sample_rate
        heard = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": None}
        spoken = {"format": {"type": "audio/pcm", "rate": rate}, "voice": self.voice(choices), "speed": choices.speed}
        return {
            "id": self._id,
            "type": "realtime",
            "object": "realtime.session",
            "model": self._service.model_name,
            "instructions": choices.instructions,
            "output_modalities": choices.output_modalities,
            "max_output_tokens": choices.max_output_tokens or "inf",
            "tools": [],
            "tool_choice": "auto",
            "truncation": "disabled",
            "audio": {"input": heard if self._hears else None, "output": spoken},
        }

    def voice(self, choices: ResponseChoices) -> str:
        """Raises ApiError for a voice that there is none of."""
        return str(self._service.speech_options(choices.voice).speaker)

    def tempo(self, choices: ResponseChoices) -> Tempo:
        """Raises ApiError for another speed than 1.0 where none can be made."""
        return Tempo(choices.speed, self._service.model.sample_rate)

    async def _update(self, event: dict[str, Any]) -> None:
        wish = SessionUpdate.model_validate(event).session
        if wish.id not in (None, self._id):
            raise ApiError(400, f"the session's id is {self._id}, and stays it", param="session.id")
        self._choices = self._chosen(wish, "session")
        await self._send("session.updated", session=self._shown())

    def _chosen(self, wish: SessionWish | ResponseWish, where: str) -> ResponseChoices:
        """Raises ApiError for choices that there aren't."""
        choices = self._choices.changed_by(wish)
        self.voice(choices)
        self.tempo(choices)
        self._service.check_length(choices.instructions, f"{where}.instructions")
        return choices

    async def _create_item(self, event: dict[str, Any]) -> None:
        asked = ItemCreate.model_validate(event)
        await self._add_said(_with_recordings(asked.item), self._place_behind(asked.previous_item_id))

    def _place_behind(self, previous: str | None) -> int:
        """Where in the conversation an item comes; "root" is its beginning. Raises ApiError."""
        if previous is None or previous == "root":
            return 0 if previous else len(self._items)
        self._named(previous, "previous_item_id")
        return list(self._items).index(previous) + 1

    def _named(self, name: str, param: str = "item_id") -> Item:
        """Raises ApiError for an item that there is none of."""
        if name not in self._items:
            raise ApiError(404, f"there is no item {name!r:.80}", param=param)
        return self._items[name]

    async def _add_said(self, item: Item, place: int) -> None:
        """A turn of the client's. Raises ApiError for one that can't be answered, or is too long."""
        if item.id in self._items:
            raise ApiError(400, f"there is an item {item.id!r:.80} already", param="item.id")
        turns_of([_message(item)], self._service.transcripts, hears=self._hears)  # or an error
        self._check_length([*self._items.values(), item])
        await self._add(item, place)

    def _check_length(self, items: Sequence[Item]) -> None:
        """Raises ApiError for more turns than may be, or longer ones."""
        parts = [part for one in items for part in one.content]
        letters = sum(len(part.text or "") for part in parts)
        nbytes = sum(len(part.input_audio.data or "") for part in parts if part.input_audio is not None)
        settings = self._service.settings
        if len(items) > _MOST_ITEMS or letters > settings.max_characters or nbytes > 2 * settings.max_body:
            raise ApiError(400, "the conversation is as long as it may be; delete items of it", code="too_long")

    async def _add(self, item: Item, place: int, finished: bool = True) -> dict[str, Any]:
        name = item.id or f"item_{secrets.token_hex(10)}"
        known = list(self._items.items())
        previous = known[place - 1][0] if place else None
        self._items = dict([*known[:place], (name, item.model_copy(update={"id": name})), *known[place:]])
        shown = _shown_item(self._items[name])
        if not finished:
            shown |= {"status": "in_progress", "content": []}
        await self._send("conversation.item.added", previous_item_id=previous, item=shown)
        if finished:
            await self._send("conversation.item.done", previous_item_id=previous, item=shown)
        return shown

    async def _delete_item(self, event: dict[str, Any]) -> None:
        name = ItemNamed.model_validate(event).item_id
        self._named(name)
        del self._items[name]
        await self._send("conversation.item.deleted", item_id=name)

    async def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self._named(ItemNamed.model_validate(event).item_id)
        await self._send("conversation.item.retrieved", item=_shown_item(item))

    async def _truncate_item(self, event: dict[str, Any]) -> None:
        """A client tells how much of an answer was heard; which words those were isn't known, so all stay."""
        asked = ItemTruncate.model_validate(event)
        self._named(asked.item_id)
        at = {"content_index": asked.content_index, "audio_end_ms": asked.audio_end_ms}
        await self._send("conversation.item.truncated", item_id=asked.item_id, **at)

    @property
    def _hears(self) -> bool:
        return self._service.thinker.hears

    async def _append(self, event: dict[str, Any]) -> None:
        if not self._hears:
            raise ApiError(400, "this server's model does not hear: send text", code="unsupported_content")
        self._input.append(AudioAppend.model_validate(event).audio)

    async def _commit(self, event: dict[str, Any]) -> None:
        Event.model_validate(event)
        part = ItemPart(type="input_audio", input_audio=self._input.take())
        name, previous = f"item_{secrets.token_hex(10)}", next(reversed(self._items), None)
        await self._send("input_audio_buffer.committed", previous_item_id=previous, item_id=name)
        await self._add_said(Item(id=name, role="user", content=[part]), len(self._items))

    async def _clear(self, event: dict[str, Any]) -> None:
        Event.model_validate(event)
        self._input.clear()
        await self._send("input_audio_buffer.cleared")

    async def _create_response(self, event: dict[str, Any]) -> None:
        wish = ResponseCreate.model_validate(event).response
        choices = self._chosen(wish, "response")
        if self._response is not None and not self._response.done():
            raise ApiError(
                400, "a response is being made; cancel it first", code="conversation_already_has_active_response"
            )
        items = list(self._items.values()) if wish.input is None else [self._asked(one) for one in wish.input]
        if not items and not (wish.input is not None and choices.instructions):
            raise ApiError(400, "there is nothing to answer: create an item first", code="conversation_is_empty")
        self._check_length(items)
        system = [Message(role="system", content=choices.instructions)] if choices.instructions else []
        messages = [*system, *(_message(item) for item in items)]
        turns = turns_of(messages, self._service.transcripts, hears=self._hears)
        response = _Response(self, choices, turns, outside=wish.conversation == "none", metadata=wish.metadata)
        self._response_id = response.id
        self._response = asyncio.create_task(self._respond(response))

    def _asked(self, one: Item | ItemReference) -> Item:
        """An item that one response alone reads. Raises ApiError."""
        return self._named(one.id, "response.input") if isinstance(one, ItemReference) else _with_recordings(one)

    async def _cancel_response(self, event: dict[str, Any]) -> None:
        name = ResponseCancel.model_validate(event).response_id
        if self._response is None or self._response.done() or name not in (None, self._response_id):
            raise ApiError(400, "there is no such response to cancel", code="response_cancel_not_active")
        await self.interrupt()

    async def interrupt(self) -> None:
        """End the response that is being made, if there is one."""
        if self._response is not None and not self._response.done():
            self._response.cancel()
            await asyncio.wait([self._response])

    async def _respond(self, response: _Response) -> None:
        try:
            await response.run()
        except (WebSocketDisconnect, OSError, RuntimeError, asyncio.TimeoutError):
            await _closed(self._socket, _FAILED)

    # What a response needs of its session.

    @property
    def service(self) -> Service:
        return self._service

    @property
    def key(self) -> str:
        return key_of(self._socket)

    @property
    def conversation(self) -> str:
        return self._conversation

    async def send(self, kind: str, **fields: Any) -> None:
        await self._send(kind, **fields)

    async def begin_answer(self, item_id: str) -> dict[str, Any]:
        """An item of the conversation that is being said."""
        item = Item(id=item_id, role="assistant", content=[ItemPart(text="")])
        return await self._add(item, len(self._items), finished=False)

    def end_answer(self, item_id: str, text: str) -> None:
        """What was said of it stays in the conversation; nothing, if that is nothing."""
        if not text.strip():
            self._items.pop(item_id, None)
        elif item_id in self._items:
            self._items[item_id] = Item(id=item_id, role="assistant", content=[ItemPart(text=text)])


class _Response:
    """One answer, and the events that tell of it."""

    def __init__(
        self,
        session: _Session,
        choices: ResponseChoices,
        turns: list[dict[str, Any]],
        *,
        outside: bool,
        metadata: dict[str, str] | None,
    ) -> None:
        """`outside`: whether it stays out of the conversation."""
        self._session, self._choices, self._turns, self._outside = session, choices, turns, outside
        self.id, self._item = f"resp_{secrets.token_hex(10)}", f"item_{secrets.token_hex(10)}"
        self._aloud, self._metadata = choices.aloud, metadata
        self._tempo = session.tempo(choices)
        self._text, self._frames = "", 0
        self._cut = False
        self._warnings: list[str] = []
        self._place = {"response_id": self.id, "item_id": self._item, "output_index": 0, "content_index": 0}

    async def run(self) -> None:
        """To its end, or until it is cancelled."""
        status, details = "completed", None
        shown = {
            "id": self.id,
            "object": "realtime.response",
            "conversation_id": None if self._outside else self._session.conversation,
            "output": [],
            "output_modalities": self._modalities,
            "metadata": self._metadata,
        }
        await self._session.send("response.created", response={**shown, "status": "in_progress", "usage": None})
        usage = None
        try:
            usage = await self._say()
            if self._cut:
                status, details = "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}
        except asyncio.CancelledError:
            status, details = "cancelled", {"type": "cancelled", "reason": "client_cancelled"}
        except OmniError as error:
            body = as_api_error(error).body()["error"]
            status, details = "failed", {"type": "failed", "error": body}
            await self._session.send("error", error={**body, "event_id": None})
        item = self._shown("completed" if status == "completed" else "incomplete")
        if not self._outside:
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
        answer = service.thinker.answer(self._turns, TextWish(max_tokens=self._choices.max_output_tokens))
        speech = None
        if self._aloud:
            options = service.speech_options(session.voice(self._choices))
            speech = service.desk.expect(options, session.key)
        ready = spoken_answer(answer, speech)
        try:
            item = await self._begun()
            await send("response.output_item.added", response_id=self.id, output_index=0, item=item)
            await send("response.content_part.added", **self._place, part=self._part())
            async for one in ready:
                await self._tell(one)
        finally:
            self._warnings += answer.warnings
            if speech is not None:
                self._warnings += speech.warnings
                speech.cancel()
            await ready.aclose()
        await self._send_samples(self._tempo.finish())
        self._cut = self._cut or answer.finish_reason == "length"
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
            self._cut = self._cut or one.stop_reason not in ("", "eos", "empty")
            await self._send_samples(self._tempo.stretch(one.samples))
        elif one:
            self._text += one
            kind = "response.output_audio_transcript.delta" if self._aloud else "response.output_text.delta"
            await send(kind, **self._place, delta=one)

    async def _send_samples(self, samples: FloatArray) -> None:
        if len(samples):
            await self._session.send("response.output_audio.delta", **self._place, delta=as_base64(pcm16(samples)))

    async def _begun(self) -> dict[str, Any]:
        """Its item, as it is shown."""
        if not self._outside:
            return await self._session.begin_answer(self._item)
        return {**self._shown("in_progress"), "content": []}

    async def _told(self) -> None:
        send = self._session.send
        if self._aloud:
            await send("response.output_audio.done", **self._place)
            await send("response.output_audio_transcript.done", **self._place, transcript=self._text)
        else:
            await send("response.output_text.done", **self._place, text=self._text)
        await send("response.content_part.done", **self._place, part=self._part())
        item = self._shown("incomplete" if self._cut else "completed")
        await send("response.output_item.done", response_id=self.id, output_index=0, item=item)
        if not self._outside:
            await send("conversation.item.done", previous_item_id=None, item=item)
