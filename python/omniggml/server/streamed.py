"""An answer that is sent while it is made, and given up when nobody listens any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from omniggml.errors import OmniError
from omniggml.printable import printable
from omniggml.server.api_error import ApiError, as_api_error

WARNING = "X-Omniggml-Warning"
_LONGEST_HEADER = 1000
_MOST_WARNINGS = 10


class Streamed(Response):
    """`pieces` as the body. Where making the first one fails the answer is that error with its status; later ones are
    told by `in_band`, or break the connection, so that nobody takes half of an answer for the whole. A header tells the
    `warnings` that there are by then."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        seconds: float,
        in_band: Callable[[ApiError], bytes] | None = None,
        warnings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        super().__init__(media_type=media_type, headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._pieces, self._seconds, self._in_band, self._warnings = pieces, seconds, in_band, warnings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._send_all(scope, receive, send))
        gone = asyncio.create_task(_until_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = work.done()
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})
            with contextlib.suppress(RuntimeError):
                await self._pieces.aclose()
        if finished:
            work.result()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self._pieces, b"")
        except OmniError as error:
            await as_api_error(error).response()(scope, receive, send)
            return
        if warned := shown(self._warnings()):
            self.headers[WARNING] = as_header(warned)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            async for piece in self._pieces:
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except OmniError as error:
            if self._in_band is None:
                raise
            await send({"type": "http.response.body", "body": self._in_band(as_api_error(error)), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def shown(warnings: Sequence[str]) -> list[str]:
    """As a client is told them: each once, of bounded length and number, since they quote what clients send."""
    told = list(dict.fromkeys(printable(warning) for warning in warnings))
    return [*told[:_MOST_WARNINGS], "and more"] if len(told) > _MOST_WARNINGS else told


def as_header(warnings: Sequence[str]) -> str:
    """All of them in ASCII, where other letters are escapes."""
    return printable("; ".join(warnings).encode("ascii", "backslashreplace").decode("ascii"), _LONGEST_HEADER)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
