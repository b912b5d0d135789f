"""`POST /v1/audio/speech`: a text, spoken."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from omniggml.audio import Audio
from omniggml.server.access import key_of
from omniggml.server.api_error import ERRORS, ApiError
from omniggml.server.desk import BegunSpeech
from omniggml.server.encoders import MEDIA_TYPES, Encoder, as_base64, new_encoder
from omniggml.server.events import MEDIA_TYPE, error_event, event
from omniggml.server.service import Service
from omniggml.server.streamed import Streamed, shown
from omniggml.server.tempo import FASTEST, SLOWEST, Tempo
from omniggml.text.soundness import check_text

Seed = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
"""As OpenAI's clients send it, which may have a sign: -1 is a seed like any other."""
Speed = Annotated[float, Field(ge=SLOWEST, le=FASTEST, allow_inf_nan=False)]


def unsigned(seed: int | None) -> int:
    """As the model takes it; 0 where none is named."""
    return (seed or 0) % 2**64


class VoiceId(BaseModel):
    """A voice as an object."""

    model_config = ConfigDict(strict=True)
    id: str


class SpeechRequest(BaseModel):
    """OpenAI's request; `seed` and `codes` are ours. Fields that there are none of here are passed over."""

    model_config = ConfigDict(strict=True)
    input: str = Field(min_length=1, description="the text, of any length")
    model: str | None = Field(default=None, description="whatever it names, the one model of this server speaks")
    voice: str | VoiceId | None = Field(default=None, description="a name from /v1/audio/voices, or one of OpenAI's")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = Field(
        default=None, description="mp3 where none is named; pcm is 16-bit little-endian without a header"
    )
    speed: Speed | None = None
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = Field(default=None, description="this model takes none")
    seed: Seed | None = Field(default=None, description="the same seed gives the same audio; 0 where none is named")
    codes: bool | None = Field(default=None, description="with sse: also the codes of each piece, [groups][frames]")


def speech_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["speech"])

    @router.post(
        "/v1/audio/speech",
        responses={200: {"content": {kind: {} for kind in {*MEDIA_TYPES.values(), MEDIA_TYPE}}}, **ERRORS},
        response_class=Response,
        summary="Speak a text",
    )
    async def speech(request: Request, asked: SpeechRequest) -> Response:
        service.check_length(asked.input, "input")
        check_text("input", asked.input)
        if asked.instructions and asked.instructions.strip():
            raise ApiError(400, "this model takes no instructions; leave them out", param="instructions")
        voice = asked.voice.id if isinstance(asked.voice, VoiceId) else asked.voice
        options = service.speech_options(voice, unsigned(asked.seed))
        rate, kind = service.model.sample_rate, asked.response_format or "mp3"
        encoder, tempo = new_encoder(kind, rate), Tempo(asked.speed or 1.0, rate)
        speech = await service.desk.begin(asked.input, options, key_of(request))
        seconds = service.settings.max_seconds
        if asked.stream_format == "sse":
            n_tokens = len(service.model.tokenizer.encode(asked.input))
            events = _events(speech, encoder, tempo, n_tokens, bool(asked.codes))
            return Streamed(events, MEDIA_TYPE, seconds, error_event, lambda: speech.warnings)
        return Streamed(_bytes(speech, encoder, tempo), MEDIA_TYPES[kind], seconds, None, lambda: speech.warnings)

    return router


async def _bytes(speech: BegunSpeech, encoder: Encoder, tempo: Tempo) -> AsyncGenerator[bytes, None]:
    async with speech:
        while (piece := await speech.read()) is not None:
            yield encoder.encode(tempo.stretch(piece.samples))
        yield encoder.encode(tempo.finish()) + encoder.finish()


async def _events(
    speech: BegunSpeech, encoder: Encoder, tempo: Tempo, n_tokens: int, codes: bool
) -> AsyncGenerator[bytes, None]:
    frames, stop_reason = 0, ""
    async with speech:
        while (piece := await speech.read()) is not None:
            frames, stop_reason = frames + piece.codes.shape[1], piece.stop_reason
            yield _delta(encoder.encode(tempo.stretch(piece.samples)), piece if codes else None)
        if rest := encoder.encode(tempo.finish()) + encoder.finish():
            yield _delta(rest)
        usage = {"input_tokens": n_tokens, "output_tokens": frames, "total_tokens": n_tokens + frames}
        done = {"type": "speech.audio.done", "usage": usage, "stop_reason": stop_reason}
        yield event({**done, "warnings": shown(speech.warnings)})


def _delta(data: bytes, piece: Audio | None = None) -> bytes:
    delta: dict[str, Any] = {"type": "speech.audio.delta", "audio": as_base64(data)}
    return event(delta if piece is None else {**delta, "codes": piece.codes.tolist()})
