"""Words while one step takes long: the last ones again, with the seconds that it has taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from omniggml.doctor import thresholds as bounds


class Heartbeat:
    """Called with words, it passes them on to `announce`; while none come it says the last again, from a thread of its
    own, which lives as long as the context. What `announce` raises there is raised by the next call, or by the end."""

    def __init__(self, announce: Callable[[str], None] | None, first: str) -> None:
        self._announce = announce
        self._words, self._since = first, time.monotonic()
        self._said_at = self._since
        self._raised: Exception | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()  # words come one after the other
        self._thread = threading.Thread(target=self._beat, name="omniggml-heartbeat", daemon=True)

    def __call__(self, words: str) -> None:
        if self._announce is None:
            return
        with self._lock:
            self._words, self._since = words, time.monotonic()
            self._say(words)

    def __enter__(self) -> Heartbeat:
        if self._announce is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._announce is not None:
            self._thread.join()
        if kind is None and self._raised is not None:
            raise self._raised

    def _say(self, words: str) -> None:
        if self._raised is not None:
            raise self._raised
        assert self._announce is not None
        self._said_at = time.monotonic()
        self._announce(words)

    def _beat(self) -> None:
        wait = bounds.SILENT_SECONDS
        while not self._ended.wait(wait):
            with self._lock:
                silent = time.monotonic() - self._said_at
                if silent >= bounds.SILENT_SECONDS:
                    silent = 0.0
                    if not self._repeated():
                        return
            wait = bounds.SILENT_SECONDS - silent

    def _repeated(self) -> bool:
        try:
            self._say(f"{self._words} ({time.monotonic() - self._since:.0f} s so far)")
        except Exception as error:  # the person's own; it belongs to the thread that asked
            self._raised = error
        return self._raised is None
