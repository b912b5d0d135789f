"""`POST /v1/chat/completions`: a question, answered in text and aloud."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from omniggml.audio import Audio
from omniggml.server.access import key_of
from omniggml.server.api_error import CONTEXT_LENGTH, ERRORS, ApiError
from omniggml.server.conversation import LIFETIME, Message, check_last, text_of, turns_of
from omniggml.server.desk import BegunSpeech
from omniggml.server.encoders import Encoder, as_base64, new_encoder, whole_encoder
from omniggml.server.events import DONE, MEDIA_TYPE, error_event, event
from omniggml.server.service import Service
from omniggml.server.speech_route import Seed, VoiceId, unsigned
from omniggml.server.spoken_answer import spoken_answer
from omniggml.server.streamed import Streamed, shown
from omniggml.server.thinkers import Answer, TextWish

_MOST_TOKENS = 1 << 20
_Tokens = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]


_UNHEEDED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("auto", "none"),
    "function_call": ("auto", "none"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({}, []),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
    # llama.cpp's and vLLM's own.
    "min_p": (0,),
    "top_a": (0,),
    "typical_p": (1,),
    "tfs_z": (1,),
    "mirostat": (0,),
    "mirostat_mode": (0,),
    "repeat_penalty": (1,),
    "grammar": ("",),
    "json_schema": ({},),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "structured_outputs": (),
    "ignore_eos": (False,),
    "min_tokens": (0,),
    "min_length": (0,),
    "logprob_token_ids": ([],),
}
"""Fields that would change the answer and can't be heeded, and their values that ask for nothing."""


class AudioWish(BaseModel):
    """How the answer is to sound."""

    model_config = ConfigDict(strict=True)
    voice: str | VoiceId | None = None
    format: Literal["wav", "mp3", "flac", "opus", "aac", "pcm16"] = "wav"


class StreamOptions(BaseModel):
    """`include_usage`: a last chunk counts tokens."""

    model_config = ConfigDict(strict=True)
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """OpenAI's request. Fields that would change the answer and can't be heeded are refused, others passed over."""

    model_config = ConfigDict(strict=True, extra="allow")
    messages: list[Message] = Field(min_length=1)
    model: str | None = Field(default=None, description="whatever it names, the one model of this server answers")
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioWish | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=_MOST_TOKENS, description="0 and -1: all")] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None

    def check(self) -> None:
        """Raises ApiError for what can't be heeded, unless its value asks for nothing."""
        further = self.model_extra or {}
        wrong = next((name for name, none in _UNHEEDED.items() if further.get(name) not in (None, *none)), None)
        if wrong is None and (self.response_format or {"type": "text"}).get("type") != "text":
            wrong = "response_format"
        if wrong is not None:
            raise ApiError(400, f"{wrong} can't be heeded here; leave it out", param=wrong, code="unsupported")
        stops = self._stops
        if len(stops) > 16 or any(not 0 < len(stop) <= 256 for stop in stops):
            raise ApiError(400, "stop takes up to 16 texts of 1 to 256 characters", param="stop")

    @property
    def _stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wish(self) -> TextWish:
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        top_k = None if self.top_k is None else max(0, self.top_k)
        return TextWish(
            limit,
            self.temperature,
            self.top_p,
            unsigned(self.seed),
            top_k,
            self.repetition_penalty,
            self._stops,
        )

    @property
    def spoken(self) -> AudioWish | None:
        """How the answer sounds; None where it is only read."""
        return (self.audio or AudioWish()) if "audio" in (self.modalities or ()) else None


@dataclass
class _Chat:
    """One answer in the making."""

    service: Service
    answer: Answer
    encoder: Encoder | None
    audio_id: str | None
    speech: BegunSpeech | None
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))
    text: str = ""
    frames: int = 0
    cut: bool = False

    def encoded(self, piece: Audio) -> bytes:
        assert self.encoder is not None
        self.frames += piece.codes.shape[1]
        self.cut = self.cut or piece.stop_reason not in ("", "eos", "empty")
        return self.encoder.encode(piece.samples)

    def rest(self) -> bytes:
        return b"" if self.encoder is None else self.encoder.encode(np.zeros(0, np.float32)) + self.encoder.finish()

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.service.model_name}

    def usage(self) -> dict[str, Any]:
        written = self.answer.n_tokens + self.frames
        return {
            "prompt_tokens": self.answer.n_prompt,
            "completion_tokens": written,
            "total_tokens": self.answer.n_prompt + written,
            "completion_tokens_details": {"audio_tokens": self.frames, "text_tokens": self.answer.n_tokens},
        }

    @property
    def finish_reason(self) -> str:
        """A limit may have cut what is written, or what is heard of it."""
        return "length" if self.cut else self.answer.finish_reason

    def warnings(self) -> list[str]:
        """So far."""
        return [*self.answer.warnings, *(self.speech.warnings if self.speech is not None else ())]

    def warned(self) -> dict[str, Any]:
        """A field that tells them, where there are any."""
        told = shown(self.warnings())
        return {"warnings": told} if told else {}

    def keep(self) -> int:
        """Let later turns name this answer; until when."""
        if self.audio_id is not None:
            self.service.transcripts.put(self.audio_id, self.text)
        return int(time.time()) + LIFETIME


def chat_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["chat"])

    @router.post(
        "/v1/chat/completions",
        responses={200: {"content": {kind: {} for kind in ("application/json", MEDIA_TYPE)}}, **ERRORS},
        response_class=Response,
        summary="Answer, in text and aloud",
    )
    async def chat(request: Request, asked: ChatRequest) -> Response:
        asked.check()
        thinker = service.thinker
        turns = turns_of(asked.messages, service.transcripts, hears=thinker.hears, sees=thinker.sees)
        check_last(asked.messages, service.transcripts)
        service.check_length(text_of(turns), "messages", CONTEXT_LENGTH)
        spoken, speech, encoder = asked.spoken, None, None
        answer = service.thinker.answer(turns, asked.wish)
        if spoken is not None:
            voice = spoken.voice.id if isinstance(spoken.voice, VoiceId) else spoken.voice
            options = service.speech_options(voice, unsigned(asked.seed))
            kind = "pcm16" if asked.stream and spoken.format == "wav" else spoken.format
            encoder = (new_encoder if asked.stream else whole_encoder)(kind, service.model.sample_rate)
            speech = service.desk.expect(options, key_of(request))
        audio_id = None if spoken is None else f"audio_{secrets.token_hex(12)}"
        begun = _Chat(service, answer, encoder, audio_id, speech)
        ready, seconds = spoken_answer(answer, speech), service.settings.max_seconds
        if asked.stream:
            counted = asked.stream_options is not None and bool(asked.stream_options.include_usage)
            return Streamed(_chunks(begun, ready, counted), MEDIA_TYPE, seconds, error_event, begun.warnings)
        return Streamed(_whole(begun, ready), "application/json", seconds, None, begun.warnings)

    return router


async def _whole(chat: _Chat, ready: AsyncGenerator[str | Audio, None]) -> AsyncGenerator[bytes, None]:
    data = bytearray()
    try:
        async for one in ready:
            if isinstance(one, str):
                chat.text += one
            else:
                data += chat.encoded(one)
    finally:
        await ready.aclose()
    data += chat.rest()
    message: dict[str, Any] = {"role": "assistant", "content": chat.text, "refusal": None}
    if chat.audio_id is not None:
        audio = {"id": chat.audio_id, "data": as_base64(bytes(data)), "transcript": chat.text}
        message |= {"content": None, "audio": {**audio, "expires_at": chat.keep()}}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": chat.finish_reason}
    whole = {**chat.head("chat.completion"), "choices": [choice], "usage": chat.usage(), **chat.warned()}
    yield json.dumps(whole).encode()


async def _chunks(chat: _Chat, ready: AsyncGenerator[str | Audio, None], counted: bool) -> AsyncGenerator[bytes, None]:
    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **further: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**chat.head("chat.completion.chunk"), "choices": [choice], **further})

    def audio(**fields: Any) -> bytes:
        return chunk({"audio": {"id": chat.audio_id, **fields}})

    try:
        first = await anext(ready, "")
        yield chunk({"role": "assistant", "content": None if chat.audio_id else "", "refusal": None})
        async for one in _with_first(first, ready):
            if not isinstance(one, str):
                if data := chat.encoded(one):
                    yield audio(data=as_base64(data))
                continue
            chat.text += one
            if one:
                yield audio(transcript=one) if chat.audio_id else chunk({"content": one})
    finally:
        await ready.aclose()
    if rest := chat.rest():
        yield audio(data=as_base64(rest))
    if chat.audio_id is not None:
        yield audio(expires_at=chat.keep())
    yield chunk({}, chat.finish_reason, **chat.warned())
    if counted:
        yield event({**chat.head("chat.completion.chunk"), "choices": [], "usage": chat.usage()})
    yield DONE


async def _with_first(first: str | Audio, rest: AsyncGenerator[str | Audio, None]) -> AsyncGenerator[str | Audio, None]:
    yield first
    async for one in rest:
        yield one
