"""A server on a real port, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import omniggml
from omniggml.server.app import create_app
from omniggml.server.service import Service
from omniggml.server.serving import DrainingServer, configuration, new_listener
from omniggml.server.settings import ServerSettings


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(frozen=True)
class Served:
    """`url`: without a slash at its end; `wyoming`: a port, where asked for."""

    url: str
    wyoming: int
    service: Service

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET, or POST of JSON (bytes as they are)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): one for name, one in headers.items()}}
        request = urllib.request.Request(self.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())


@contextmanager
def served(model: omniggml.Model | None = None, wyoming: bool = False, **settings: Any) -> Iterator[Served]:
    """Serve `model`, or the built-in voice, until the block is left; then everything that was begun has ended."""
    chosen = ServerSettings(port=0, **settings)
    app = create_app(chosen, lambda: model or omniggml.load())
    listener = new_listener(chosen)
    server = DrainingServer(configuration(app, chosen), app.state.service)
    addresses: list[str] = []
    ready = threading.Event()

    def announce(words: str) -> None:
        addresses.append(words.split()[-1])
        if len(addresses) == 1 + wyoming:
            ready.set()

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(server.run_on(listener, announce, 0 if wyoming else None))
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    if failures:
        raise failures[0]
    try:
        yield Served(addresses[0], int(addresses[-1].rpartition(":")[2]) if wyoming else 0, app.state.service)
    finally:
        server.drain()
        thread.join(60)
        listener.close()
    assert not thread.is_alive(), "the server ends when it is asked to"
    assert app.state.service.speeches == 0, "every speech was ended"
