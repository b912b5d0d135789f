"""An answer that a server writes: llama.cpp's, which gives token ids, or any OpenAI-compatible one with text."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from omniggml.errors import InputError
from omniggml.options import TextOptions
from omniggml.printable import printable
from omniggml.reasoning import Reasoning
from omniggml.thinker_server import ThinkerServer
from omniggml.tokenizer import Tokenizer
from omniggml.writing import Conversation, Writing

Turns = Sequence[Mapping[str, Any]]

_LONGEST_LINE = 1 << 20
_LONGEST_REFUSAL = 200
_CONNECT_SECONDS = 10.0
_PATIENCE = 600.0
"""Between two tokens a server may think for long."""
_LONGEST_WAIT = 86400.0
_PROBE = "The first words of a text, to see whether the server has this vocabulary: 12 caf\u00e9s."


class ThinkerServerError(InputError):
    """What a server that was to write an answer did instead. `status`: of its refusal, 0 where it sent none;
    `retry_after`: after how many seconds it is to be asked again, 0 where it doesn't say."""

    def __init__(self, message: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class _Connections:
    """To a server: each request has one of its own."""

    def __init__(self, server: ThinkerServer) -> None:
        self.base = server.base
        parts = urlsplit(server.base)
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._address, self._path = (parts.hostname or "", parts.port), parts.path
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if server.key:
            self._headers["Authorization"] = f"Bearer {server.key}"

    def open(self) -> HTTPConnection:
        """Raises ThinkerServerError where nobody listens."""
        connection = self._kind(*self._address, timeout=_CONNECT_SECONDS)
        try:
            connection.connect()
        except (OSError, HTTPException, ValueError) as error:
            raise ThinkerServerError(f"no server answers at {self.base}: {error!s:.200}") from None
        connection.sock.settimeout(_PATIENCE)
        return connection

    def post(self, connection: HTTPConnection, path: str, body: Mapping[str, Any]) -> HTTPResponse:
        """The answer to JSON. Raises ThinkerServerError where there is none, or a refusal."""
        try:
            connection.request("POST", self._path + path, json.dumps(body), self._headers)
            response = connection.getresponse()
            if response.status == HTTPStatus.OK:
                return response
            told = response.read(_LONGEST_LINE)
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise ThinkerServerError(f"no server answers at {self.base}: {error!s:.200}") from None
        connection.close()
        raise ThinkerServerError(
            f"the server at {self.base} answers with {response.status}: {_reason(told)}",
            response.status,
            _seconds(response.getheader("Retry-After", "")),
        )

    def told(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What one request is answered with; nothing where that is a refusal, no JSON, or the end of the connection, as
        servers have it that know no such path. Raises ThinkerServerError where nobody listens."""
        connection = self.open()
        try:
            with self.post(connection, path, body) as response:
                told = json.loads(response.read(_LONGEST_LINE))
        except (ThinkerServerError, OSError, HTTPException, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}


class AnswerAtUrl(Writing):
    """Bits of an answer's text as they come, without what the model thought aloud before it; the server is asked for
    the first by `ask`, or when it is drawn. `tokens` so far, in the model's own ids, where the server has its
    vocabulary and tells them; else none. `n_prompt`, `n_tokens`: as far as it tells. `stop_reason`: empty until the
    end, then "eos" or "token_limit"."""

    def __init__(
        self,
        server: ThinkerServer,
        turns: Turns,
        options: TextOptions,
        tokenizer: Tokenizer,
        conversation: Conversation,
    ) -> None:
        self._model, self._connections = server.model, _Connections(server)
        self._turns, self._options, self._tokenizer = turns, options, tokenizer
        self.conversation = conversation
        self.tokens: list[int] = []
        self.n_prompt = self._n_told = 0
        self._stop_reason = ""
        self._reasoning = Reasoning()
        self._held: list[int] = []  # tokens of what isn't known to be the answer
        self._tells_tokens = False
        self._events: Generator[dict[str, Any], None, None] | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    @property
    def n_tokens(self) -> int:
        return max(self._n_told, len(self.tokens))

    @property
    def stop_reason(self) -> str:
        return self._stop_reason

    def ask(self) -> None:
        """Raises InputError where no server answers, or with what it says instead."""
        options = self._options
        asked: dict[str, Any] = {
            "stream": True,
            "model": self._model,
            "seed": options.seed,
            "temperature": 0.0 if options.greedy else options.temperature,
            "top_k": options.top_k,
            "top_p": options.top_p,
            "repeat_penalty": options.repetition_penalty,
        }
        prompt = self._llama_prompt()
        if prompt is not None:
            asked |= {"prompt": prompt, "n_predict": options.max_tokens, "return_tokens": True}
            self._events = self._read_events("/completion", asked)
        else:
            asked |= {"messages": list(self._turns), "max_tokens": options.max_tokens}
            asked |= {"stream_options": {"include_usage": True}}
            self._events = self._read_events("/v1/chat/completions", asked)

    def close(self) -> None:
        """Nobody wants the rest: the server is told, by the end of the connection, even while its next token is waited
        for. From any thread."""
        self._closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def __next__(self) -> str:
        if self._events is None:
            self.ask()
        assert self._events is not None
        for event in self._events:
            bit = self._answered(self._bit(event))
            if bit:
                return bit
        if not self._stop_reason:
            raise ThinkerServerError(f"the server at {self._connections.base} left off in the middle of its answer")
        if rest := self._reasoning.rest():
            self.tokens += _without_end(self._held, self._tokenizer)
            return rest
        raise StopIteration

    def _answered(self, bit: str) -> str:
        """What of it is the answer, of which `tokens` are."""
        known = self._reasoning.over
        answer = self._reasoning.take(bit)
        if self._reasoning.over:
            if self._reasoning.found and not known and self._tells_tokens:
                self._held = self._tokenizer.encode(answer)  # a token may be of both
            self.tokens += self._held
        if self._reasoning.over or self._reasoning.found:
            self._held = []
        if self._stop_reason:
            self.tokens = _without_end(self.tokens, self._tokenizer)
        return answer

    def _bit(self, event: Mapping[str, Any]) -> str:
        try:
            if event.get("error"):
                raise ThinkerServerError(f"the server at {self._connections.base} failed: {event['error']!r:.200}")
            if usage := event.get("usage"):
                self.n_prompt, self._n_told = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
            if "choices" in event:
                choice = event["choices"][0] if event["choices"] else {}
                if choice.get("finish_reason"):
                    self._stop_reason = "token_limit" if choice["finish_reason"] == "length" else "eos"
                delta = choice.get("delta") or {}
                if delta.get("tool_calls"):
                    raise ThinkerServerError(f"the server at {self._connections.base} calls a tool, and there is none")
                return str(delta.get("content") or "")
            self._held += [int(token) for token in event.get("tokens") or []]
            self._tells_tokens = self._tells_tokens or bool(self._held)
            if event.get("stop"):
                self._stop_reason = "token_limit" if event.get("stop_type") == "limit" else "eos"
                self.n_prompt = int(event.get("tokens_evaluated") or 0)
            return str(event.get("content") or "")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
            raise ThinkerServerError(
                f"the server at {self._connections.base} sends what is no answer: {event!r:.80}"
            ) from None

    def _llama_prompt(self) -> str | None:
        """The conversation as llama.cpp's server writes it for its model; None where it is another server, has another
        vocabulary, or is to take in more than text."""
        if not all(isinstance(turn.get("content"), str) for turn in self._turns):
            return None
        told = self._connections.told
        if told("/tokenize", {"content": _PROBE}).get("tokens") != self._tokenizer.encode(_PROBE):
            return None
        prompt = told("/apply-template", {"messages": list(self._turns)}).get("prompt")
        return prompt if isinstance(prompt, str) else None

    def _read_events(self, path: str, asked: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        connection = self._connections.open()
        self._socket = connection.sock
        if self._closed:
            self.close()
        body = {name: value for name, value in asked.items() if value is not None}
        return self._events_of(self._connections.post(connection, path, body))

    def _events_of(self, response: HTTPResponse) -> Generator[dict[str, Any], None, None]:
        """The JSON of server-sent events."""
        with response:
            while True:
                try:
                    line = response.readline(_LONGEST_LINE)
                except (OSError, HTTPException, ValueError) as error:
                    raise ThinkerServerError(
                        f"the server at {self._connections.base} left off: {error!r:.200}"
                    ) from None
                if not line:
                    return
                if line.strip() == b"data: [DONE]":
                    self._stop_reason = self._stop_reason or "eos"
                    return
                try:
                    event = _event_of(line)
                except ValueError as error:
                    raise ThinkerServerError(
                        f"the server at {self._connections.base} sends what is no event: {error}"
                    ) from None
                if event is not None:
                    yield event


def _event_of(line: bytes) -> dict[str, Any] | None:
    """The JSON that a line of server-sent events holds; None where it holds none. Raises ValueError, with the beginning
    of what came, for what is no JSON object."""
    data = line.strip().removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or not data:
        return None
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise ValueError(repr(data[:80]))
    return event


def _reason(told: bytes) -> str:
    """Why a server refuses: the message of OpenAI's form, or the beginning of what it sent."""
    try:
        message = str(json.loads(told)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = told.decode(errors="replace")
    return printable(message, _LONGEST_REFUSAL)


def _seconds(told: str) -> float:
    """Of a Retry-After: a number, or until a date; 0 for anything else."""
    if told.strip().isdecimal():
        return min(float(told[:20]), _LONGEST_WAIT)
    try:
        left = parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
    return max(0.0, min(left, _LONGEST_WAIT))


def _without_end(tokens: list[int], tokenizer: Tokenizer) -> list[int]:
    """The end of the turn is not said."""
    return tokens[:-1] if tokens and tokens[-1] == tokenizer.eos_id else tokens
