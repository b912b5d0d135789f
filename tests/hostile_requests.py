"""Requests that nobody means well: `python tests/hostile_requests.py [REQUESTS [EXAMPLES]]` sends so many to a server
of its own, while slow and silent clients hold connections to it; then so many random requests for each operation of its
schema, by schemathesis (10,000 and 200).

It prints how many answers of each status there were, and ends with 1 where one was a 500, where the server died or its
memory grew, where a speech was left over, or an answer is none that the schema tells of.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0
_AT_A_TIME = 16
_SETTLED = 60.0  # seconds in which all that was begun has ended
_IDLE = 5  # seconds after which the server gives up on who is silent
_HOLDERS = 12  # clients who are
_GIGABYTE = 1 << 30

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
    (
        "/v1/chat/completions",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "UklGR!==", "format": "wav"}}],
                }
            ]
        },
    ),
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
            [
                *(self._mutated, self._mutated, self._torn, self._garbage, self._lying, self._leaving, self._websocket),
                *(self._no_base64, self._huge),
            ]
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
            node[key] = copy.deepcopy(self._random.choice(_ODD))

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

    def _no_base64(self) -> str:
        """Data that is hardly any."""
        data = self._random.choice(
            ["!", "A" * 5, "\u00e4\u00f6", "AAAA" * 100_000, "=" * 100, "UklGRg" + "A" * 1000 + "=="]
        )
        recording = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        by_url = {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}}
        message = {"role": "user", "content": [self._random.choice([recording, by_url])]}
        path, body = self._random.choice(
            [
                ("/v1/chat/completions", {"messages": [message], "max_tokens": 2}),
                ("/v1/doctor", {self._random.choice(["codes", "audio"]): data}),
            ]
        )
        return self._exchange(self._request(path, json.dumps(body).encode()))

    def _huge(self) -> str:
        """A gigabyte, as it says or in pieces: as much of it as is taken."""
        path, _ = self._valid()
        chunked = self._random.random() < 0.5
        head = self._request(path, b"", None if chunked else _GIGABYTE)
        if chunked:
            head = head.replace(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n")
        with socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT) as client:
            client.sendall(head)
            piece, sent = b"x" * (1 << 20), 0
            try:
                while sent < _GIGABYTE:
                    client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    sent += len(piece)
            except OSError:
                pass
            found = re.match(rb"HTTP/1\.1 (\d{3})", client.recv(100))
            return found[1].decode() if found else "closed"

    def _leaving(self) -> str:
        """A long text, and nobody who listens."""
        body = {"input": "the dog runs in the garden. " * self._random.randint(1, 60), "response_format": "wav"}
        return self._exchange(self._request("/v1/audio/speech", json.dumps(body).encode()), wait=False)

    def _websocket(self) -> str:
        with socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT) as client:
            client.sendall(_handshake(self._random.randbytes(16)))
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


class Holders:
    """Clients who hold connections: some send a request so slowly that it never ends, others say nothing, over HTTP or
    in a websocket. Whom the server gives up on comes back. `given_up`: how many it was."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self.given_up = 0

    def __enter__(self) -> Holders:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _hold(self) -> None:
        held = [self._connect(number) for number in range(_HOLDERS)]
        while not self._over.wait(0.5):
            for number, client in enumerate(held):
                if not self._goes_on(number, client):
                    self.given_up += 1
                    client.close()
                    held[number] = self._connect(number)
        for client in held:
            client.close()

    def _connect(self, number: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT)
        if number % 3 == 0:
            client.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        elif number % 3 == 1:
            client.sendall(_handshake(b"0" * 16))
        client.setblocking(False)
        return client

    def _goes_on(self, number: int, client: socket.socket) -> bool:
        try:
            if number % 3 == 0:
                client.sendall(b"x")
            return bool(client.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False


def _handshake(key: bytes) -> bytes:
    return (
        "GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


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
    limits = ["--slots", "2", "--queue", "8", "--idle-seconds", str(_IDLE)]
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
    with ThreadPoolExecutor(_AT_A_TIME) as threads, Holders(port) as holders:
        for start in range(0, n_requests, max(1, n_requests // 10)):
            batch = range(start, min(n_requests, start + max(1, n_requests // 10)))
            seen.update(threads.map(lambda number: Attacker(port, seed + number).attack(), batch))
            base = base or resident_mib(server.pid)
        end = time.monotonic() + _SETTLED
        while not holders.given_up and time.monotonic() < end:
            time.sleep(0.2)
    assert holders.given_up, "nobody holds a connection for ever"
    seen["held given_up"] = holders.given_up
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


def try_the_schema(url: str, n_examples: int) -> int:
    """Random requests for every operation of a server; how many. Raises where an answer is none that its schema tells
    of, or an error of the server's."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import CHECKS, load_all_checks, not_a_server_error

    load_all_checks()
    names = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    checks = [not_a_server_error, *CHECKS.get_by_names(names)]
    tried = 0
    for operation in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        call = operation.ok()

        @hypothesis.settings(
            max_examples=n_examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=call.as_strategy())
        def examine(case: schemathesis.Case) -> None:
            nonlocal tried
            doctor = case.path == "/v1/doctor" and isinstance(case.body, dict)
            # Without anything that it could be wrong about the doctor takes its time over the model itself.
            if not doctor or any(case.body.get(name) for name in ("codes", "audio", "text")):
                case.call_and_validate(checks=checks, timeout=_TIMEOUT)
                tried += 1

        examine()
    return tried


def _main() -> int:
    n_requests, n_examples = (int(sys.argv[at]) if len(sys.argv) > at else most for at, most in ((1, 10_000), (2, 200)))
    answers, grown = besiege(n_requests) if n_requests else (Counter[str](), 0.0)
    for kind, count in sorted(answers.items()):
        print(f"{kind:24} {count}")
    print(f"memory grew by {grown:.0f} MiB", flush=True)
    if n_examples:
        from served import served

        with served(max_frames=2, max_characters=200) as server:
            print(f"{try_the_schema(server.url, n_examples)} random requests by the schema: no error of the server's")
    return int(grown > MOST_GROWTH_MIB)


if __name__ == "__main__":
    sys.exit(_main())
