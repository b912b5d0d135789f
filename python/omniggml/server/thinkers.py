"""Who writes the answers of a chat: the model's own thinker, or any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from omniggml.answer_at_url import event_of
from omniggml.model import Model
from omniggml.options import TextOptions
from omniggml.server.api_error import ApiError

Turns = Sequence[Mapping[str, Any]]

_CONNECT_SECONDS = 10.0
_LONGEST_EVENT = 1 << 20
_DEFAULT_TOKENS = 1024


@dataclass(frozen=True)
class TextWish:
    """How an answer is to be written; None: as its writer does by itself. `stop`: it ends before any of these."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass
class Answer:
    """One answer. `bits` of its text come as they are written; the rest is known at their end: `finish_reason` ("stop"
    or "length"), tokens read and written, 0 where the writer doesn't tell."""

    bits: AsyncGenerator[str, None]
    finish_reason: str = "stop"
    n_prompt: int = 0
    n_tokens: int = 0


class ChatThinker(Protocol):
    """Writes answers."""

    @property
    def hears(self) -> bool:
        """Whether recordings in a conversation are passed on to it."""

    def answer(self, turns: Turns, wish: TextWish) -> Answer:
        """The answer to a conversation; its bits raise OmniError where there is none."""

    async def close(self) -> None:
        """Write no more."""


class OwnThinker:
    """The model's; so many answers at a time, each in a thread."""

    def __init__(self, model: Model, at_a_time: int) -> None:
        self._model = model
        self._pool = ThreadPoolExecutor(at_a_time, "omniggml-thinker")

    @property
    def hears(self) -> bool:
        return self._model.has_ears

    def answer(self, turns: Turns, wish: TextWish) -> Answer:
        """As `ChatThinker.answer`. Raises ApiError where the model has no thinker."""
        if not self._model.has_thinker:
            raise ApiError(
                400,
                "this server has no thinker, which writes the answers: it needs a NAME-thinker.gguf or --thinker-url; "
                "/v1/audio/speech speaks a given text",
                code="no_thinker",
            )
        answer = Answer(_nothing())
        answer.bits = stopped_at(self._bits(turns, wish, answer), wish.stop)
        return answer

    async def _bits(self, turns: Turns, wish: TextWish, answer: Answer) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(self._pool, self._model.stream_text, turns, _text_options(wish))
        answer.n_prompt = text.n_prompt
        while (bit := await loop.run_in_executor(self._pool, next, text, None)) is not None:
            answer.n_tokens = len(text.tokens)
            yield bit
        answer.finish_reason = "stop" if text.stop_reason == "eos" else "length"

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _text_options(wish: TextWish) -> TextOptions:
    greedy = wish.temperature == 0
    return TextOptions(
        seed=wish.seed or 0,
        greedy=greedy,
        temperature=None if greedy else wish.temperature,
        top_p=None if greedy else wish.top_p,
        max_tokens=_DEFAULT_TOKENS if wish.max_tokens is None else wish.max_tokens,
    )


class ThinkerAtUrl:
    """An OpenAI-compatible server, llama-server for one. It is given the conversation as the client sent it."""

    def __init__(self, url: str, key: str | None, model: str | None) -> None:
        base = url.rstrip("/").removesuffix("/v1")
        self._url, self._model = f"{base}/v1/chat/completions", model
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Between two tokens a server may think for long; a client that has gone ends the request.
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout)

    @property
    def hears(self) -> bool:
        """It says itself what it can't take in."""
        return True

    def answer(self, turns: Turns, wish: TextWish) -> Answer:
        """As `ChatThinker.answer`."""
        answer = Answer(_nothing())
        answer.bits = stopped_at(self._bits(turns, wish, answer), wish.stop)
        return answer

    async def _bits(self, turns: Turns, wish: TextWish, answer: Answer) -> AsyncGenerator[str, None]:
        asked = {"messages": list(turns), "stream": True, "stream_options": {"include_usage": True}}
        asked |= {
            "model": self._model,
            "max_tokens": wish.max_tokens,
            "temperature": wish.temperature,
            "top_p": wish.top_p,
            "seed": wish.seed,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                if response.status_code != 200:
                    raise await _refusal(response)
                async for event in _events(response):
                    if bit := _told(event, answer):
                        yield bit
        except httpx.HTTPError as error:
            raise ApiError(
                502, f"the thinker at {self._url} does not answer: {error!r:.200}", code="thinker"
            ) from error

    async def close(self) -> None:
        await self._client.aclose()


async def _refusal(response: httpx.Response) -> ApiError:
    told = bytearray()
    async for piece in response.aiter_bytes():
        told += piece
        if len(told) > _LONGEST_EVENT:
            break
    try:
        message = str(json.loads(told)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = told[:200].decode(errors="replace")
    status = response.status_code if response.status_code in (400, 413, 429, 503) else 502
    return ApiError(status, f"the thinker answers with {response.status_code}: {message}", code="thinker")


async def _events(response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON of server-sent events. Raises ApiError for what is none."""
    left = b""
    async for piece in response.aiter_bytes():
        *lines, left = (left + piece).split(b"\n")
        if len(left) > _LONGEST_EVENT:
            raise ApiError(502, "the thinker sends an event without an end", code="thinker")
        for line in lines:
            try:
                event = event_of(line)
            except ValueError as error:
                raise ApiError(502, f"the thinker sends what is no event: {error}", code="thinker") from None
            if event is not None:
                yield event


def _told(event: Mapping[str, Any], answer: Answer) -> str:
    """The text that an event brings; what else it tells goes into the answer."""
    try:
        if event.get("error"):
            raise ApiError(502, f"the thinker failed: {event['error']!r:.200}", code="thinker")
        if usage := event.get("usage"):
            answer.n_prompt, answer.n_tokens = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        for choice in event.get("choices") or []:
            if choice.get("finish_reason"):
                answer.finish_reason = "length" if choice["finish_reason"] == "length" else "stop"
            return str(choice["delta"].get("content") or "")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ApiError(502, "the thinker sends what is no answer of a chat", code="thinker") from None
    return ""


async def stopped_at(bits: AsyncGenerator[str, None], stops: Sequence[str]) -> AsyncGenerator[str, None]:
    """The bits up to the first of some texts; what may be the beginning of one is held back."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    held = ""
    try:
        async for bit in bits:
            held += bit
            found = [at for stop in stops if (at := held.find(stop)) >= 0]
            if found:
                held = held[: min(found)]
                break
            if len(held) > longest:
                yield held[: len(held) - longest]
                held = held[len(held) - longest :]
    finally:
        await bits.aclose()
    if held:
        yield held


async def _nothing() -> AsyncGenerator[str, None]:
    return
    yield ""
