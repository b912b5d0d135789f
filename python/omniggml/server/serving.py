"""A server's life: it opens its port, loads, serves, and answers what was begun before it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.model import Model
from omniggml.printable import printable
from omniggml.server.app import create_app
from omniggml.server.connections import impatient, impatient_websocket
from omniggml.server.service import Service
from omniggml.server.settings import ServerSettings, is_loopback
from omniggml.server.within import within

_LOG = logging.getLogger("omniggml.server")
_LONGEST_HEAD = 32 * 1024
_LONGEST_MESSAGE = 4 * 2**20  # of a websocket
_PING_SECONDS = 20.0
_LEAVING_SECONDS = 5  # in which whoever was cut off is forgotten
_UNSENT = 128 * 1024  # bytes that the system keeps for a client
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 2**20  # bytes


def serve(
    settings: ServerSettings,
    load: Callable[[], Model],
    announce: Callable[[str], object],
    *,
    wyoming: int | None = None,
) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP, then finish what was begun; a second signal ends that, too. How many
    answers were cut then.

    `announce` is told the address once the model is loaded. `wyoming`: a port for that protocol, on the same host.
    Raises InputError where a port can't be had, OmniError where the model can't be loaded.
    """
    return_large_blocks()
    app = create_app(settings, load)
    listener = new_listener(settings)
    with listener, _warnings_in_the_log():
        server = DrainingServer(configuration(app, settings), app.state.service)
        asyncio.run(server.run_on(listener, announce, wyoming))
    return server.cut


def ending_signals() -> list[signal.Signals]:
    """The signals that ask a server to end. To one that was started with nohup, a terminal that closes says nothing."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def return_large_blocks() -> None:
    """Have each freed block of a megabyte or more given back to the system. glibc by itself takes those below the
    largest that was ever freed, up to 32 MiB, from heaps that it keeps, so that a server grew with its requests."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def new_listener(settings: ServerSettings) -> socket.socket:
    """A socket on the host and port. Raises InputError where that can't be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Seconds of sound, not minutes: what is made for a client that has left, or doesn't read, is lost.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise InputError(f"{settings.host}:{settings.port} can't be served: {error.strerror or error}") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def configuration(app: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    """How uvicorn serves: it waits for nobody for ever, and takes nothing of any length."""
    return uvicorn.Config(
        app,
        http=impatient(settings.idle_seconds),
        ws=impatient_websocket(settings.idle_seconds),
        ws_max_size=_LONGEST_MESSAGE,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        log_config=None,
        access_log=_LOG.isEnabledFor(logging.INFO),
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        timeout_keep_alive=settings.idle_seconds,
        timeout_graceful_shutdown=_LEAVING_SECONDS,  # the rest of `drain_seconds` is over by then
    )


class DrainingServer(uvicorn.Server):
    """Begins nothing new after a signal, answers what was begun, then ends."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._draining: asyncio.Task[None] | None = None
        self._wyoming: asyncio.Server | None = None
        self.cut = 0

    async def run_on(
        self, listener: socket.socket, announce: Callable[[str], object], wyoming: int | None = None
    ) -> None:
        """Serve until a signal; see `serve`."""
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in ending_signals():
                self._loop.add_signal_handler(number, self._drain)
        serving = asyncio.create_task(self.serve(sockets=[listener]))
        try:
            while not self.started and not serving.done():
                await asyncio.sleep(0.01)
            if self.started and await self._is_loaded(serving):
                announce(f"serving {_url(listener)}")
                if wyoming is not None:
                    announce(f"serving {await self._open_wyoming(wyoming)}")
        except Exception:
            self.should_exit = True
            await serving
            raise
        await serving

    async def _is_loaded(self, serving: asyncio.Task[None]) -> bool:
        """Waits for the model; False where a signal ends the server before. Raises OmniError where it can't be
        loaded."""
        loaded = asyncio.create_task(self._service.loaded())
        await asyncio.wait({loaded, serving}, return_when=asyncio.FIRST_COMPLETED)
        if self.should_exit or not loaded.done():
            loaded.cancel()
            return False
        loaded.result()
        return True

    async def _open_wyoming(self, port: int) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of what that library stands on
                from omniggml.server.wyoming_door import open_wyoming
        except ModuleNotFoundError as error:
            raise InputError(f"Wyoming needs {error.name}: {install_command('wyoming')}") from None
        host = self._service.settings.host
        if not is_loopback(host) and not self._service.settings.unprotected:
            raise InputError(f"Wyoming knows no keys, and {host} can be reached from other machines: --unprotected")
        self._wyoming = await open_wyoming(self._service, host, port)
        return f"tcp://{host}:{self._wyoming.sockets[0].getsockname()[1]}"

    def drain(self) -> None:
        """Begin nothing more, and end when all is answered; asked twice, at once. From any thread."""
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        if self._draining is not None or self._service.status == "loading":
            self._cut_off()
            self.should_exit = True
            self.force_exit = self._draining is not None
            return
        self._service.status = "draining"
        self._draining = asyncio.create_task(self._drained())

    async def _drained(self) -> None:
        end = time.monotonic() + self._service.settings.drain_seconds
        while (self._service.speeches or self._answering()) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        if self._wyoming is not None:
            self._wyoming.close()
        self._cut_off()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn would leave the application as it is, which complains of that
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_LEAVING_SECONDS, self.lifespan.shutdown())

    def _answering(self) -> list[Any]:
        return [one for one in self.server_state.connections if getattr(one, "answering", False)]

    def _cut_off(self) -> None:
        """End the connections whose requests are still answered, which is to those who answer as if the client had
        left. None ends as a whole answer does: nobody takes half of one for it."""
        answering = self._answering()
        cut = max(self._service.speeches, len(answering))
        if cut:
            self.cut += cut
            _LOG.warning("%d %s cut: the time to end them was over", cut, "answer was" if cut == 1 else "answers were")
        for connection in answering:
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the loop's already."""
        yield


@contextlib.contextmanager
def _warnings_in_the_log() -> Iterator[None]:
    """What could not be spoken of a text is logged each time, and not remembered: texts are strangers' and many."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: _LOG.warning("%s", printable(str(message)))
        yield
