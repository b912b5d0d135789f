"""Where answers are written that the model's own thinker doesn't write."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.printable import shown


@checked
@dataclass(frozen=True)
class ThinkerServer:
    """A server that writes answers: llama.cpp's, or any OpenAI-compatible one. `url`: http://HOST:PORT, with or without
    /v1; `key`: sent to it; `model`: named to it."""

    url: str
    key: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise InputError(f"{shown(self.url, 200)} is no address of a server; expected http://HOST:PORT")
        if self.key is not None and not (self.key.strip() and self.key.isascii() and self.key.isprintable()):
            raise InputError(f"the key for {self.url:.200} is empty, or has letters that no header can carry")

    @property
    def base(self) -> str:
        """The address without /v1."""
        return self.url.rstrip("/").removesuffix("/v1")
