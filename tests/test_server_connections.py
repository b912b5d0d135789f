"""Connections that wait, and what is refused before the application hears of it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")

import omniggml
from served import Served, served

UPGRADE = (
    "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HOST = "Host: localhost\r\n"
_MOST = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(omniggml.load(n_threads=1), idle_seconds=1, max_connections=_MOST, max_frames=2) as running:
        yield running


def connected(server: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def all_of(client: socket.socket) -> bytes:
    """What arrives until the connection ends."""
    answer = b""
    try:
        while piece := client.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def refusal(answer: bytes) -> tuple[int, dict[str, Any]]:
    """The status of an answer and its error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "request_line, more",
    [
        ("POST /v1/audio/speech", "Content-Length: 2\r\n\r\n{}"),
        ("GET /", "Content-Length: 2\r\n\r\n{}"),
        ("GET /v1/realtime", "Transfer-Encoding: chunked\r\n\r\n"),
        ("POST /v1/realtime", "\r\n"),
        ("GET /v1/realtime", "".join(f"X-{n}: x\r\n" for n in range(150)) + "\r\n"),
        ("GET /" + "a" * 9000, "\r\n"),
    ],
)
def test_a_websocket_that_can_not_be_is_refused_at_once(server: Served, request_line: str, more: str) -> None:
    with connected(server) as client:
        begun = time.monotonic()
        client.sendall(f"{request_line} HTTP/1.1\r\n{UPGRADE}{more}".encode())
        status, error = refusal(all_of(client))
    assert status == 400 and "websocket" in error["message"] and time.monotonic() - begun < 0.9


@pytest.mark.parametrize(
    "first, drip",
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
        (b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (f"GET /nowhere HTTP/1.1\r\n{UPGRADE}Content-Length: 9\r\n\r\n".encode(), b"x"),
    ],
)
def test_nobody_is_waited_for_longer_than_the_idle_limit(server: Served, first: bytes, drip: bytes) -> None:
    """Whatever was said before, and however slowly more comes."""
    with connected(server) as client:
        begun = time.monotonic()
        client.sendall(first)
        client.settimeout(0.3)
        while time.monotonic() < begun + 10:
            try:
                if not client.recv(65536):
                    break
            except TimeoutError:
                client.sendall(drip)
            except OSError:
                break
        assert time.monotonic() - begun < 4


def test_a_crowd_of_them_keeps_nobody_out(server: Served) -> None:
    crowd = [connected(server) for _ in range(3 * _MOST)]
    for client in crowd:
        client.sendall(f"POST /v1/audio/speech HTTP/1.1\r\n{UPGRADE}Content-Length: 2\r\n\r\n{{}}".encode())
    time.sleep(0.5)
    assert server.ask("/health").status == 200
    for client in crowd:
        client.close()


@pytest.mark.parametrize("more", ["", UPGRADE])
def test_one_connection_too_many(server: Served, more: str) -> None:
    crowd = [connected(server) for _ in range(_MOST)]
    time.sleep(0.1)
    with connected(server) as client:
        client.sendall(f"GET /v1/realtime HTTP/1.1\r\n{more or HOST}\r\n".encode())
        answer = all_of(client)
    status, error = refusal(answer)
    assert status == 503 and error["code"] == "busy" and b"retry-after: 1" in answer.lower()
    for one in crowd:
        one.close()


@pytest.mark.parametrize(
    "sent, expected",
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 400),
        (b"nothing\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431),
        (b"GET /" + b"a" * 40_000, 414),
    ],
)
def test_what_is_no_http_is_told_as_all_errors_are(server: Served, sent: bytes, expected: int) -> None:
    with connected(server) as client:
        client.sendall(sent)
        status, error = refusal(all_of(client))
    assert status == expected and error["type"] == "invalid_request_error"


KEY = "a-key-of-ours"
PAGE = "http://page.example"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    with served(omniggml.load(n_threads=1), api_keys=(KEY,), cors=(PAGE,), max_frames=2, max_body=2048) as running:
        yield running


@pytest.mark.parametrize(
    "path, more, expected",
    [
        ("/v1/realtime", "", 401),
        ("/v1/realtime", "Authorization: Bearer another-key\r\n", 401),
        ("/v1/realtime", "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.another\r\n", 401),
        ("/v1/real", f"Authorization: Bearer {KEY}\r\n", 404),
        ("/v1/audio/speech", f"Authorization: Bearer {KEY}\r\n", 404),
        ("/v1/realtime", f"Authorization: Bearer {KEY}\r\nOrigin: http://other.example\r\n", 403),
    ],
)
def test_a_refused_websocket_is_told_why(guarded: Served, path: str, more: str, expected: int) -> None:
    with connected(guarded) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\n{UPGRADE}{more}\r\n".encode())
        status, error = refusal(all_of(client))
    assert status == expected and len(error["message"]) > 10


@pytest.mark.parametrize(
    "path, body, headers, expected",
    [
        ("/v1/models", None, {"Authorization": ""}, 401),
        ("/v1/audio/speech", b"x" * 4096, {}, 413),
        ("/v1/audio/speech", b"x", {"Content_Type": "text/plain"}, 415),
        ("/v1/models", {}, {}, 405),
        ("/v1/nothing", {}, {}, 404),
    ],
)
def test_pages_may_read_why_they_were_refused(
    guarded: Served, path: str, body: Any, headers: dict[str, str], expected: int
) -> None:
    given = {"Authorization": f"Bearer {KEY}", **headers}
    answer = guarded.ask(path, body, Origin=PAGE, **given)
    assert answer.status == expected and answer.headers["access-control-allow-origin"] == PAGE
    if expected == 405:
        assert answer.headers["allow"] == "GET"
    other = guarded.ask(path, body, Origin="http://other.example", **given)
    assert other.status == 403 and "access-control-allow-origin" not in other.headers
