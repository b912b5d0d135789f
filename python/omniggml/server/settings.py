"""What a person can choose about a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from omniggml.errors import InputError
from omniggml.options import check_integer
from omniggml.thinker_server import ThinkerServer

LOOPBACK_NAMES = ("localhost", "localhost.localdomain")
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class ServerSettings:
    """`host`, `port`: where it listens; port 0 takes a free one. `api_keys`: who has none of them is refused; without
    a key only loopback addresses are served, unless `unprotected`. `hosts`: further names by which browsers may call a
    server without a key. `cors`: origins of pages that may use the server, "*" for all.

    `slots`: speeches at a time; `queue`: how many more wait before one is refused; `per_key`: how many of these one key
    may have, 0 for all. `max_characters` of one text, `max_frames` of one speech (None: the model's limit), `max_body`
    bytes of a request, `max_connections`, `max_seconds` that one answer may take, and `idle_seconds` that a client may
    keep silent or stop reading in the middle of a request. `drain_seconds`: how long answers may go on after SIGTERM.

    `thinker`: the server that writes the answers of chats in the model's place.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    unprotected: bool = False
    hosts: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    slots: int = 4
    queue: int = 64
    per_key: int = 0
    max_characters: int = 100_000
    max_frames: int | None = None
    max_body: int = 16 * 2**20
    max_connections: int = 512
    max_seconds: int = 3600
    idle_seconds: int = 60
    drain_seconds: int = 60
    thinker: ThinkerServer | None = None

    def __post_init__(self) -> None:
        check_integer("port", self.port, 0, 65535)
        for name, low in (("slots", 1), ("queue", 0), ("per_key", 0), ("max_characters", 1), ("max_body", 1024)):
            check_integer(name, getattr(self, name), low, 2**40)
        for name in ("max_connections", "max_seconds", "idle_seconds"):
            check_integer(name, getattr(self, name), 1, 2**31)
        check_integer("drain_seconds", self.drain_seconds, 0, 2**31)
        if self.max_frames is not None:
            check_integer("max_frames", self.max_frames, 1)
        if any(len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable() for key in self.api_keys):
            raise InputError(f"an API key has fewer than {_SHORTEST_KEY} characters, or some that no header can carry")
        if not self.api_keys and not self.unprotected and not is_loopback(self.host):
            raise InputError(
                f"{self.host} can be reached from other machines: name an --api-key that they have to send, or say "
                "--unprotected"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may be anything."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
