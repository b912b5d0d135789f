"""Who writes the answers of a chat: the model's own thinker, or a server that writes in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from omniggml.answer_at_url import ThinkerServerError
from omniggml.model import Model
from omniggml.options import TextOptions
from omniggml.server.api_error import ApiError
from omniggml.thinker_server import ThinkerServer
from omniggml.warning import heard
from omniggml.writing import Writing

Turns = Sequence[Mapping[str, Any]]

_DEFAULT_TOKENS = 1024
_PASSED_ON = (400, 413, 429, 503)
"""Refusals of a thinker elsewhere that are its client's own; any other is this server's 502."""
_SOONEST = 1.0
"""Seconds until a thinker is asked again that doesn't say when."""


@dataclass(frozen=True)
class TextWish:
    """How an answer is to be written; None: as its writer does by itself. `stop`: it ends before any of these."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()


@dataclass
class Answer:
    """One answer. `bits` of its text come as they are written; `writing`: who writes it, from the first bit on, or the
    end where there is none; `cut`: whether its text may end before its tokens do; `warnings`: of what was asked.
    `finish_reason`: "stop" or "length", known at the end."""

    bits: AsyncGenerator[str, None]
    cut: bool
    writing: Writing | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def finish_reason(self) -> str:
        reason = "" if self.writing is None else self.writing.stop_reason
        return "stop" if reason in ("", "eos") else "length"

    @property
    def n_prompt(self) -> int:
        return 0 if self.writing is None else self.writing.n_prompt

    @property
    def n_tokens(self) -> int:
        return 0 if self.writing is None else self.writing.n_tokens


class ChatThinker:
    """Writes so many answers at a time, each in a thread. `server`: None for the model's own thinker."""

    def __init__(self, model: Model, at_a_time: int, server: ThinkerServer | None = None) -> None:
        self._model, self._server = model, server
        self._pool = ThreadPoolExecutor(at_a_time, "omniggml-thinker")
        self._open: set[Writing] = set()

    @property
    def hears(self) -> bool:
        """Whether recordings in a conversation are passed on; another server says itself what it can't take in."""
        return self._server is not None or self._model.has_ears

    @property
    def sees(self) -> bool:
        """The same of images."""
        return self._server is not None or self._model.has_eyes

    def answer(self, turns: Turns, wish: TextWish) -> Answer:
        """The answer to a conversation; its bits raise OmniError where there is none. Raises ApiError where nobody
        writes answers here."""
        if self._server is None and not self._model.has_thinker:
            raise ApiError(
                400,
                "this server has no thinker, which writes the answers: it needs a NAME-thinker.gguf or --thinker-url; "
                "/v1/audio/speech speaks a given text",
                code="no_thinker",
            )
        answer = Answer(_nothing(), cut=bool(wish.stop))
        answer.bits = stopped_at(self._bits(turns, _text_options(wish), answer), wish.stop)
        return answer

    async def _bits(self, turns: Turns, options: TextOptions, answer: Answer) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()

        def begun() -> Writing:
            return self._model.answer(turns, options, thinker_url=self._server)

        try:
            with heard(answer.warnings):
                context = copy_context()
            answer.writing = writing = await loop.run_in_executor(self._pool, context.run, begun)
            self._open.add(writing)
            try:
                while (bit := await loop.run_in_executor(self._pool, next, writing, None)) is not None:
                    yield bit
            finally:
                self._open.discard(writing)
                writing.close()
        except ThinkerServerError as error:
            status = error.status if error.status in _PASSED_ON else 502
            again = max(_SOONEST, error.retry_after) if status in (429, 503) else 0
            raise ApiError(status, f"the thinker is no help: {error}", code="thinker", retry_after=again) from error

    async def close(self) -> None:
        """Write no more."""
        for writing in self._open:
            writing.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _text_options(wish: TextWish) -> TextOptions:
    greedy = 0 in (wish.temperature, wish.top_p)  # of no mass at all, only the likeliest token is left
    return TextOptions(
        seed=wish.seed or 0,
        greedy=greedy,
        temperature=None if greedy else wish.temperature,
        top_p=None if greedy else wish.top_p,
        top_k=None if greedy else wish.top_k,
        repetition_penalty=wish.repetition_penalty,
        max_tokens=_DEFAULT_TOKENS if wish.max_tokens is None else wish.max_tokens,
    )


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
