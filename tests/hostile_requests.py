"""Requests that nobody means well: `python tests/hostile_requests.py [REQUESTS]` sends so many to a server of its own.

It prints how many answers of each status there were, and ends with 1 where one was a 500, where the server died or its
memory grew, or where a speech was left over.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_TIMEOUT = 30.0
_AT_A_TIME = 16
_SETTLED = 60.0  # seconds in which all that was begun has ended

MOST_GROWTH_MIB = 300
"""Beyond what the first requests took: slots, queue and bodies in flight have bounds, and so has their sum."""

_VALID: list[tuple[str, dict[str, Any]]] = [
    ("/v1/audio/speech", {"input": "hello world", "voice": "alloy", "response_format": "wav", "speed": 1.0}),
    ("/v1/audio/speech", {"input": "hello", "stream_format": "sse", "codes": True, "response_format": "pcm"}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}),
    (
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
            "modalities": ["text", "audio"],
            "audio": {"voice": "ethan", "format": "pcm16"},
            "stream": True,
            "max_tokens": 4,
        },
    ),
    ("/v1/doctor", {"codes": "AAAA!", "audio": "===="}),
]

_ODD: list[Any] = [
    *(None, True, -1, 0, 2**64, 10**400, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "x" * 20_000, [], {}),
    *(
        [[]],
        [None],
        {"id": 3},
        {"type": "input_audio"},
        "\u202e\x1b[2J",
        "../../etc/passwd",
        "http://127.0.0.1:1/",
        "%s%n",
    ),
]

_EVENTS = [
    {"type": "session.update", "session": {"voice": "ethan"}},
    {
        "type": "conversation.item.create",
        "item": {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    },
    {"type": "response.create"},
    {"type": "response.cancel"},
    {"type": "input_audio_buffer.append", "audio": "!"},
]


class Attacker:
    """Sends one bad request after another, each of the kind and form that `seed` leads to."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)

    def attack(self) -> str:
        """One request; its kind and the status that it was answered with, if it was."""
        kind: Callable[[], str] = self._random.choice(
            [self._mutated, self._mutated, self._torn, self._garbage, self._lying, self._leaving, self._websocket]
        )
        try:
            return f"{kind.__name__.strip('_')} {kind()}"
        except (OSError, TimeoutError):
            return f"{kind.__name__.strip('_')} closed"

    def _exchange(self, data: bytes, wait: bool = True) -> str:
        with socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT) as client:
            client.sendall(data)
            if not wait:
                return "left"
            answer = b""
            while len(answer) < 100_000 and (piece := client.recv(65536)):
                answer += piece
            found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
            return found[1].decode() if found else "closed"

    def _request(self, path: str, body: bytes, length: int | None = None, **headers: str) -> bytes:
        head = {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Content-Length": str(len(body) if length is None else length),
            "Connection": "close",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body

    def _valid(self) -> tuple[str, dict[str, Any]]:
        path, body = self._random.choice(_VALID)
        return path, json.loads(json.dumps(body))

    def _mutated(self) -> str:
        """Values of other types, too large, or missing, at any depth."""
        path, body = self._valid()
        for _ in range(self._random.randint(1, 3)):
            self._spoil(body)
        return self._exchange(self._request(path, json.dumps(body).encode()))

    def _spoil(self, node: Any) -> None:
        if not isinstance(node, (dict, list)) or not node:
            return
        key = self._random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if self._random.random() < 0.4:
            self._spoil(node[key])
        elif self._random.random() < 0.2:
            del node[key]
        else:
            node[key] = self._random.choice(_ODD)

    def _torn(self) -> str:
        """JSON that ends, with bytes turned over."""
        path, body = self._valid()
        data = bytearray(json.dumps(body).encode())
        for _ in range(self._random.randint(0, 4)):
            data[self._random.randrange(len(data))] = self._random.randrange(256)
        del data[self._random.randint(1, len(data)) :]
        return self._exchange(self._request(path, bytes(data)))

    def _garbage(self) -> str:
        """No HTTP, or hardly."""
        line = self._random.choice(
            [
                self._random.randbytes(200),
                b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
                b"GET /%00%ff/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                b"GET /v1/models/%1b%5b2J HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                b"BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                b"GET /health HTTP/1.1\r\nHost: \x00\r\n\r\n",
            ]
        )
        return self._exchange(line + b"\r\n\r\n")

    def _lying(self) -> str:
        """Lengths that aren't, bodies without an end, kinds that aren't taken."""
        path, body = self._valid()
        data = json.dumps(body).encode()
        choice = self._random.randrange(5)
        if choice == 0:
            return self._exchange(self._request(path, data, 10**9))
        if choice == 1:
            return self._exchange(self._request(path, b"[" * 200_000))
        if choice == 2:
            return self._exchange(self._request(path, b'{"input":"' + b"x" * (17 << 20) + b'"}'))
        if choice == 3:
            return self._exchange(self._request(path, data, Content_Type="text/plain", Origin="http://evil.example"))
        chunks = self._request(path, b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        return self._exchange(chunks + b"FFFFFFFFFFFFFFFF\r\nx")

    def _leaving(self) -> str:
        """A long text, and nobody who listens."""
        body = {"input": "the dog runs in the garden. " * self._random.randint(1, 60), "response_format": "wav"}
        return self._exchange(self._request("/v1/audio/speech", json.dumps(body).encode()), wait=False)

    def _websocket(self) -> str:
        with socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT) as client:
            key = base64.b64encode(self._random.randbytes(16)).decode()
            client.sendall(
                f"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            answer = client.recv(65536)
            for _ in range(self._random.randint(0, 6)):
                client.sendall(self._frame())
            found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
            return found[1].decode() if found else "closed"

    def _frame(self) -> bytes:
        """A frame of a websocket: an event, spoiled or not, garbage, or one that says that it is enormous."""
        event = json.loads(json.dumps(self._random.choice(_EVENTS)))
        if self._random.random() < 0.5:
            self._spoil(event)
        data = json.dumps(event).encode()
        choice = self._random.randrange(6)
        if choice == 0:
            return self._random.randbytes(50)
        if choice == 1:
            return b"\x81\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0"
        mask = self._random.randbytes(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", min(len(data), 65535))
        return b"\x81" + size + mask + masked[:65535]


def resident_mib(pid: int) -> float:
    """Memory that a process has had at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def speeches(port: int) -> float:
    """Those that speak or wait, by the server's own count."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    counts = re.findall(rb"^omniggml_(?:queue_speeches|slots_busy) ([\d.]+)", answer, re.MULTILINE)
    assert len(counts) == 2, answer[:200]
    return sum(map(float, counts))


def besiege(n_requests: int, seed: int = 0) -> tuple[Counter[str], float]:
    """Statuses by kind of request, and by how many MiB the server's memory grew after the first tenth of them.

    Raises AssertionError where the server dies, answers with 500, or keeps a speech that nobody hears.
    """
    command = [sys.executable, "-m", "omniggml", "serve", "--port", "0", "--threads", "1", "--max-frames", "200"]
    limits = ["--slots", "2", "--queue", "8", "--idle-seconds", "5"]
    with tempfile.NamedTemporaryFile("wb") as log:
        server = subprocess.Popen([*command, *limits], stderr=log)
        try:
            return _besieged(server, Path(log.name), n_requests, seed)
        finally:
            server.kill()
            server.wait()


def _besieged(server: subprocess.Popen[bytes], log: Path, n_requests: int, seed: int) -> tuple[Counter[str], float]:
    while not (found := re.search(r"serving http://127\.0\.0\.1:(\d+)\n", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    port = int(found[1])
    seen: Counter[str] = Counter()
    base = 0.0
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for start in range(0, n_requests, max(1, n_requests // 10)):
            batch = range(start, min(n_requests, start + max(1, n_requests // 10)))
            seen.update(threads.map(lambda number: Attacker(port, seed + number).attack(), batch))
            base = base or resident_mib(server.pid)
    assert server.poll() is None, "it lives"
    end = time.monotonic() + _SETTLED
    while (left := speeches(port)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left, "every speech has ended"
    growth = resident_mib(server.pid) - base
    server.terminate()
    assert server.wait(60) == 0
    complaints = log.read_text()
    assert "Traceback" not in complaints, complaints[-4000:]
    assert not [kind for kind in seen if kind.endswith(" 500")], seen
    return seen, growth


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    answers, grown = besiege(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    for kind, count in sorted(answers.items()):
        print(f"{kind:24} {count}")
    print(f"memory grew by {grown:.0f} MiB")
    sys.exit(grown > MOST_GROWTH_MIB)
