"""Who may use the server, and how much of it one request may take: before anything of a request is looked at."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omniggml.server.api_error import ApiError
from omniggml.server.connections import FULL, too_many
from omniggml.server.service import Service
from omniggml.server.settings import LOOPBACK_NAMES, is_loopback
from omniggml.server.streamed import WARNING
from omniggml.server.within import within

EXPOSED = (WARNING, "Retry-After")
"""Headers that pages of other origins may read."""

_PUBLIC = ("/", "/health", "/page/")
"""The page, which asks for a key itself, and whether the server lives."""
_KEY_PROTOCOL = "openai-insecure-api-key."
"""A browser's websocket can't send headers, but names of protocols."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BODIES_AT_ONCE = 8
_FORBIDDEN_CLOSE = 1008

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # Styles in the text: the doctor's report has them, and is shown without any right to run.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'",
}


def key_of(connection: HTTPConnection) -> str:
    """Which key the client has, as a number; "" where none are asked for."""
    return str(connection.scope.get("omniggml.key", ""))


class Access:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, service: Service, routes: Sequence[BaseRoute]) -> None:
        self._app, self._service, self._settings = app, service, service.settings
        self._routes = routes
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http":
            send = self._watched(scope, send)
        try:
            self._check(scope)
            if scope["type"] == "websocket":
                self._check_path(scope)
        except ApiError as error:
            await self._refuse(error, scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH"):
            await self._with_body(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises ApiError."""
        if scope.get(FULL):
            raise too_many()
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._settings.api_keys and not self._settings.unprotected:
            self._check_host(host)
        self._check_origin(headers.get("origin"), host)
        preflight = scope["type"] == "http" and scope["method"] == "OPTIONS"
        if not preflight and not _is_public(scope["path"]):
            self._check_key(scope, headers)

    def _check_host(self, host: str) -> None:
        # A page elsewhere may give its own name this machine's address.
        name = urlsplit(f"//{host}").hostname if _is_authority(host) else None
        if name is None or not (is_loopback(name) or name in LOOPBACK_NAMES or name in self._settings.hosts):
            raise ApiError(403, f"{host!r:.80} is not this server's name; --allow-host allows one", code="host")

    def _check_origin(self, origin: str | None, host: str) -> None:
        allowed = self._settings.cors
        if origin is None or "*" in allowed or origin in allowed or urlsplit_netloc(origin) == host:
            return
        raise ApiError(403, f"pages from {origin!r:.80} may not use this server; --cors allows one", code="origin")

    def _check_key(self, scope: Scope, headers: Headers) -> None:
        if not self._settings.api_keys:
            return
        given = list(_keys(scope, headers))
        # All are compared, each in constant time: how long it takes tells nothing.
        matches = [
            number
            for number, key in enumerate(self._settings.api_keys)
            for one in given
            if hmac.compare_digest(one.encode(errors="replace"), key.encode())
        ]
        if not matches:
            wrong = "the API key is wrong" if given else "this server asks for an API key: Authorization: Bearer KEY"
            raise ApiError(401, wrong, code="invalid_api_key")
        scope["omniggml.key"] = matches[0]

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_path(scope)
            _check_kind(scope)
            self._check_bodies()
            body = await self._read(scope, receive)
        except ApiError as error:
            await self._refuse(error, scope, receive, send)
            return
        if body is None:
            return
        given = False

        async def once() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            await self._app(scope, once, send)
        finally:
            self._bodies -= len(body)

    def _check_path(self, scope: Scope) -> None:
        """Raises ApiError where nobody takes the body or the websocket: of what kind it is, is no question then."""
        matches = [route.matches(scope)[0] for route in self._routes]
        if Match.FULL in matches:
            return
        path = scope["path"]
        if Match.PARTIAL in matches:
            raise ApiError(405, f"{path!r:.80} takes no {scope['method']}", allow=self._methods(scope))
        kind = "websocket " if scope["type"] == "websocket" else ""
        raise ApiError(404, f"there is no {kind}{path!r:.80}")

    def _methods(self, scope: Scope) -> list[str]:
        """That a path takes."""
        asked = ({**scope, "method": method} for method in _METHODS)
        return [one["method"] for one in asked if any(route.matches(one)[0] is Match.FULL for route in self._routes)]

    def _check_bodies(self) -> None:
        """Raises ApiError where the bodies that are being read and answered are more than there should be at once."""
        if self._bodies > _BODIES_AT_ONCE * self._settings.max_body:
            raise ApiError(503, "too many requests are being read", code="busy", retry_after=1)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body, which counts until its request is answered; None where the client has gone.

        Raises ApiError for one too large or too slow. No error is kept in a variable: it would keep this frame, and
        so the body, until the collector comes by.
        """
        most = self._settings.max_body
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > most:
            raise _too_large(most)
        read, kept, whole = bytearray(), 0, False
        end = asyncio.get_running_loop().time() + self._settings.idle_seconds
        try:
            while True:
                left = end - asyncio.get_running_loop().time()
                message = await within(max(0.0, left), receive())
                if message["type"] == "http.disconnect":
                    return None
                read += message.get("body", b"")
                self._bodies += len(read) - kept
                kept = len(read)
                if kept > most:
                    raise _too_large(most)
                self._check_bodies()
                if not message.get("more_body"):
                    whole = True
                    return bytes(read)
        except asyncio.TimeoutError:
            seconds = self._settings.idle_seconds
            raise ApiError(408, f"the request did not arrive within {seconds} seconds", code="timeout") from None
        finally:
            if not whole:
                self._bodies -= kept

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
        response = error.response()
        response.headers["Connection"] = "close"
        if scope["type"] == "websocket":
            await _refuse_websocket(response, scope, receive, send)
            return
        # A page whose origin may use the server may read why it was refused, too.
        cors = CORSMiddleware(response, allow_origins=self._settings.cors, expose_headers=EXPOSED)
        await (response if scope["method"] == "OPTIONS" else cors)(scope, receive, send)

    def _watched(self, scope: Scope, send: Send) -> Send:
        """Adds the headers that every answer has, and counts."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                route = getattr(scope.get("route"), "path", "other")
                self._service.metrics.requests.labels(route, str(message["status"])).inc()
            await send(message)

        return watched


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the request is larger than {most} bytes", code="request_too_large")


def _check_kind(scope: Scope) -> None:
    """Raises ApiError. A page elsewhere can send forms and plain text without asking; JSON it can't."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"the request's Content-Type is {kind!r:.80}; expected application/json", code="media_type")


async def _refuse_websocket(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """As HTTP is refused, where the server of this application can; else by the bare 403 of a closed handshake."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _FORBIDDEN_CLOSE})
        return
    headers = response.raw_headers
    await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


def _keys(scope: Scope, headers: Headers) -> Iterator[str]:
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        yield key.strip()
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", []):
            if protocol.startswith(_KEY_PROTOCOL):
                yield protocol.removeprefix(_KEY_PROTOCOL)


def _is_public(path: str) -> bool:
    return any(path == known or (known.endswith("/") and known != "/" and path.startswith(known)) for known in _PUBLIC)


def _is_authority(host: str) -> bool:
    try:
        urlsplit(f"//{host}")
    except ValueError:
        return False
    return True


def urlsplit_netloc(url: str) -> str | None:
    """HOST:PORT of a URL; None where it has none."""
    try:
        return urlsplit(url).netloc or None
    except ValueError:
        return None
