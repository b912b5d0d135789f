"""Connections that do not wait for ever: for a request, for its answer to be read, or for a websocket's handshake. And
refusals of what is no HTTP, in the form that all errors have."""

from __future__ import annotations

import asyncio
import http
import sys
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from omniggml.server.api_error import ApiError

FULL = "omniggml.full"
"""In the scope of a request that came over one connection too many."""
_BODY = (b"content-length", b"transfer-encoding")


def impatient(seconds: float) -> type[H11Protocol]:
    """A protocol for uvicorn that gives up on a client after so many seconds."""
    return type("ImpatientProtocol", (_ImpatientProtocol,), {"seconds": seconds})


def impatient_websocket(seconds: float) -> type[WebSocketsSansIOProtocol]:
    """The same for websockets: until they are accepted, and once they aren't read. Then pings tell who lives."""
    return type("ImpatientWebsocket", (_ImpatientWebsocket,), {"seconds": seconds})


def too_many() -> ApiError:
    return ApiError(503, "too many connections", code="busy", retry_after=1)


class _Alarm:
    """Ends a connection after so many seconds in one state."""

    def __init__(self, protocol: H11Protocol | WebSocketsSansIOProtocol, seconds: float) -> None:
        self._protocol, self._seconds = protocol, seconds
        self._handle: asyncio.TimerHandle | None = None

    def set(self, runs: bool) -> None:
        """Begin to count, or go on, or stop."""
        if not runs and self._handle is not None:
            self._handle.cancel()
            self._handle = None
        elif runs and self._handle is None:
            self._handle = self._protocol.loop.call_later(self._seconds, self._protocol.transport.abort)


class _ImpatientProtocol(H11Protocol):
    seconds = 60.0

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._idle, self._unread = _Alarm(self, self.seconds), _Alarm(self, self.seconds)
        self._upgraded = False
        self._most, self.limit_concurrency = self.limit_concurrency, None  # uvicorn's own refusal is plain text
        self._application, self.app = self.app, self._counted

    @property
    def answering(self) -> bool:
        """Whether a request is being answered: whose body doesn't come is the application's to refuse."""
        return self.cycle is not None and not self.cycle.response_complete

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_full():
            scope[FULL] = True
        await self._application(scope, receive, send)

    def _is_full(self) -> bool:
        return self._most is not None and max(len(self.connections), len(self.tasks)) > self._most

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.set(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.set(False)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._unread.set(False)
        self._idle.set(False)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        # The library for websockets reads no body, and nobody would be told so.
        if event.method != b"GET" or any(name in _BODY and value.strip() != b"0" for name, value in self.headers):
            self._refuse(ApiError(400, "a websocket begins with a GET without a body", code="websocket"))
        elif self._is_full():
            self._refuse(too_many())
        else:
            self._upgraded = True
            self.headers = [(name, value) for name, value in self.headers if name not in _BODY]
            super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP: uvicorn calls this where h11 raised."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431 and b"\n" not in self.conn.trailing_data[0]:
            status = 414
        words = {414: "the URL is too long", 431: "the request's headers are too large"}
        self._refuse(ApiError(status, words.get(status, f"what was sent is no request of HTTP: {error or msg}")))

    def _refuse(self, error: ApiError) -> None:
        """Tell it past the application, which never heard of the request, and end the connection."""
        if self.answering:
            # Half of an answer may have been sent, behind which nothing else has a place.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            self.transport.write(_as_bytes(error))
        self.transport.close()

    def _wait(self) -> None:
        self._idle.set(not self._upgraded and not self.answering and not _is_lost(self.transport))


class _ImpatientWebsocket(WebSocketsSansIOProtocol):
    seconds = 60.0

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._unaccepted, self._unread = _Alarm(self, self.seconds), _Alarm(self, self.seconds)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unaccepted.set(True)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            error: BaseException = self.conn.handshake_exc
            words = f"the websocket's handshake can't be read: {error.__cause__ or error}"
            self.transport.write(_as_bytes(ApiError(400, words, code="websocket")))
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.conn.state is State.OPEN:
            self._unaccepted.set(False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.set(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.set(False)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._unread.set(False)
        self._unaccepted.set(False)


def _is_lost(transport: asyncio.Transport) -> bool:
    """Whether nothing more comes of a connection, and nothing is left to be read of it."""
    return transport.is_closing() and not transport.get_write_buffer_size()


def _as_bytes(error: ApiError) -> bytes:
    response = error.response()
    response.headers["Connection"] = "close"
    response.headers["X-Content-Type-Options"] = "nosniff"
    head = [b"HTTP/1.1 %d %s" % (error.status, http.HTTPStatus(error.status).phrase.encode())]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"", bytes(response.body)])
