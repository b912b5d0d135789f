"""An answer that a server writes: llama.cpp's, which gives token ids, or any OpenAI-compatible one with text."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from omniggml.errors import InputError
from omniggml.options import TextOptions
from omniggml.tokenizer import Tokenizer

Turns = Sequence[Mapping[str, Any]]

_LONGEST_LINE = 1 << 20
_PATIENCE = 600.0
"""Between two tokens a server may think for long."""
_PROBE = "The first words of a text, to see whether the server has this vocabulary: 12 caf\u00e9s."


class AnswerAtUrl(Iterator[str]):
    """Bits of an answer's text as they come. `tokens` so far, in the model's own ids, where the server has its
    vocabulary and tells them; else none. `stop_reason`: empty until the end, then "eos" or "token_limit"."""

    def __init__(self, url: str, turns: Turns, options: TextOptions, tokenizer: Tokenizer) -> None:
        """Asks the server. Raises InputError where none answers, or with what it says instead."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"{url!r:.80} is no address of a server; expected http://HOST:PORT")
        self._base = url.rstrip("/").removesuffix("/v1")
        self._tokenizer = tokenizer
        self.tokens: list[int] = []
        self.stop_reason = ""
        asked: dict[str, Any] = {
            "stream": True,
            "seed": options.seed,
            "temperature": 0.0 if options.greedy else options.temperature,
            "top_k": options.top_k,
            "top_p": options.top_p,
            "repeat_penalty": options.repetition_penalty,
        }
        prompt = self._llama_prompt(turns)
        if prompt is not None and self._has_this_vocabulary():
            asked |= {"prompt": prompt, "n_predict": options.max_tokens, "return_tokens": True}
            self._events = self._read_events("/completion", asked)
        else:
            asked |= {"messages": list(turns), "max_tokens": options.max_tokens}
            self._events = self._read_events("/v1/chat/completions", asked)

    def __next__(self) -> str:
        while not self.stop_reason:
            event = next(self._events, None)
            if event is None:
                raise InputError(f"the server at {self._base} left off in the middle of its answer")
            bit = self._bit(event)
            if bit:
                return bit
        self._events.close()
        raise StopIteration

    def _bit(self, event: Mapping[str, Any]) -> str:
        try:
            if event.get("error"):
                raise InputError(f"the server at {self._base} failed: {event['error']!r:.200}")
            if "choices" in event:
                choice = event["choices"][0] if event["choices"] else {}
                if choice.get("finish_reason"):
                    self.stop_reason = "token_limit" if choice["finish_reason"] == "length" else "eos"
                return str((choice.get("delta") or {}).get("content") or "")
            self.tokens += [int(token) for token in event.get("tokens") or []]
            if event.get("stop"):
                self.stop_reason = "token_limit" if event.get("stop_type") == "limit" else "eos"
                self.tokens = _without_end(self.tokens, self._tokenizer)
            return str(event.get("content") or "")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise InputError(f"the server at {self._base} sends what is no answer: {event!r:.80}") from None

    def _llama_prompt(self, turns: Turns) -> str | None:
        """The conversation as llama.cpp's server writes it for its model; None where it is another server."""
        told = self._told("/apply-template", {"messages": list(turns)})
        prompt = told.get("prompt") if told else None
        return prompt if isinstance(prompt, str) else None

    def _has_this_vocabulary(self) -> bool:
        told = self._told("/tokenize", {"content": _PROBE})
        return bool(told) and told is not None and told.get("tokens") == self._tokenizer.encode(_PROBE)

    def _told(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """What one request is answered with; None where that is a refusal or no JSON."""
        try:
            with self._post(path, body) as response:
                told = json.loads(response.read(_LONGEST_LINE))
        except (HTTPError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def _read_events(self, path: str, asked: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        body = {name: value for name, value in asked.items() if value is not None}
        try:
            response = self._post(path, body)
        except HTTPError as error:
            told = error.read(200).decode(errors="replace")
            raise InputError(f"the server at {self._base} answers with {error.code}: {told}") from None
        return self._events_of(response)

    def _events_of(self, response: HTTPResponse) -> Generator[dict[str, Any], None, None]:
        """The JSON of server-sent events."""
        with response:
            while True:
                try:
                    line = response.readline(_LONGEST_LINE)
                except (OSError, HTTPException) as error:
                    raise InputError(f"the server at {self._base} left off: {error!r:.200}") from None
                if not line:
                    return
                try:
                    event = event_of(line)
                except ValueError as error:
                    raise InputError(f"the server at {self._base} sends what is no event: {error}") from None
                if event is not None:
                    yield event

    def _post(self, path: str, body: Mapping[str, Any]) -> HTTPResponse:
        request = Request(
            self._base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            response: HTTPResponse = urlopen(request, timeout=_PATIENCE)
        except HTTPError:
            raise
        except (URLError, OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise InputError(f"no server answers at {self._base}: {reason!s:.200}") from None
        return response


def event_of(line: bytes) -> dict[str, Any] | None:
    """The JSON that a line of server-sent events holds; None where it holds none. Raises ValueError, with the beginning
    of what came, for what is no JSON object."""
    data = line.strip().removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data in (b"", b"[DONE]"):
        return None
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise ValueError(repr(data[:80]))
    return event


def _without_end(tokens: list[int], tokenizer: Tokenizer) -> list[int]:
    """The end of the turn is not said."""
    return tokens[:-1] if tokens and tokens[-1] == tokenizer.eos_id else tokens
