"""A short siege; `tests/hostile_requests.py` is a long one. And the schema, tried at random by schemathesis."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

pytest.importorskip("fastapi")

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import omniggml
from hostile_requests import MOST_GROWTH_MIB, besiege, try_the_schema
from omniggml.server.access import Access
from omniggml.server.api_error import ApiError
from omniggml.server.settings import ServerSettings
from processes import SANITIZED
from served import served


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_siege() -> None:
    answers, growth = besiege(150)
    statuses = {kind.split()[1] for kind in answers}
    assert {"400", "200", "101"} <= statuses
    assert SANITIZED or growth < MOST_GROWTH_MIB  # a sanitizer keeps what was freed


@pytest.mark.slow
def test_the_schema_holds() -> None:
    """Every answer is one that the schema tells of, and none is an error of ours."""
    pytest.importorskip("schemathesis")
    with served(omniggml.load(n_threads=1), max_frames=2, max_characters=200) as server:
        assert try_the_schema(server.url, 15) >= 50


_MOST = 2048


class Door:
    """The server's first door with `app` behind it: what is posted through it in pieces, and the statuses it gives."""

    def __init__(self, app: ASGIApp) -> None:
        service: Any = SimpleNamespace(settings=ServerSettings(max_body=_MOST), metrics=Mock())
        self._access = Access(app, service, [Route("/said", Mock(), methods=["POST"])])

    async def post(self, *pieces: bytes) -> int:
        left = list(pieces)
        statuses = []

        async def receive() -> Message:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Message) -> None:
            statuses.append(message.get("status"))

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/said", "headers": headers, "query_string": b""}
        await self._access(scope, receive, send)
        return int(statuses[0] or 0)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_a_refused_body_goes_at_once() -> None:
    """And doesn't wait for the collector of cycles, behind which gigabytes would pile up."""
    door = Door(_answer)
    gc.collect()
    gc.disable()
    try:
        assert [asyncio.run(door.post(*[b"x" * 1024] * n)) for n in (1, 2, 3, 5)] == [200, 200, 413, 413]
        assert not [kept for kept in gc.get_objects() if isinstance(kept, ApiError)]
    finally:
        gc.enable()


def test_bodies_count_until_they_are_answered() -> None:
    """So many large ones at once, whoever sends them; whoever comes later is told to."""

    async def crowd() -> list[int]:
        came, done = asyncio.Semaphore(0), asyncio.Event()

        async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
            came.release()
            await done.wait()
            await _answer(scope, receive, send)

        door = Door(slowly)
        first = [asyncio.create_task(door.post(b"x" * _MOST)) for _ in range(8)]
        for _ in first:
            await came.acquire()
        refused = await door.post(b"x" * _MOST)
        done.set()
        return [*await asyncio.gather(*first), refused, await door.post(b"x" * _MOST)]

    assert asyncio.run(asyncio.wait_for(crowd(), 60)) == [200] * 8 + [503, 200]
