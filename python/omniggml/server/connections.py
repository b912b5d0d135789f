"""HTTP connections that do not wait for ever: for the head of a request, or for a client that stopped reading."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def impatient(seconds: float) -> type[H11Protocol]:
    """A protocol for uvicorn that gives up on a client after so many seconds."""
    return type("ImpatientProtocol", (_ImpatientProtocol,), {"seconds": seconds})


class _ImpatientProtocol(H11Protocol):
    seconds = 60.0
    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_head(True)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head(self.conn.their_state is h11.IDLE)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, error: Exception | None) -> None:
        self._wait_for_head(False)
        super().connection_lost(error)

    def _wait_for_head(self, waits: bool) -> None:
        if not waits and self._head is not None:
            self._head.cancel()
            self._head = None
        elif waits and self._head is None:
            self._head = self.loop.call_later(self.seconds, self.transport.abort)
