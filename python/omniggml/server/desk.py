"""Where speeches are begun: who waits, who is refused, and what is measured of each."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from omniggml.audio import Audio
from omniggml.errors import OmniError
from omniggml.model import Model
from omniggml.options import SpeechOptions
from omniggml.server.api_error import ApiError
from omniggml.server.metrics import Metrics
from omniggml.server.settings import ServerSettings
from omniggml.server.stream_engine import StreamEngine, StreamSpeech

_SPEECH_SECONDS = 4.0
"""What a speech is taken to last before one was measured."""
_NEWEST_COUNTS = 0.2


class Desk:
    """Begins speeches on one model, at most `slots` and `queue` of them."""

    def __init__(self, model: Model, settings: ServerSettings, metrics: Metrics) -> None:
        self._engine = StreamEngine(model, settings.slots)
        self._settings, self.metrics = settings, metrics
        self._of_key: Counter[str] = Counter()
        self._seconds = _SPEECH_SECONDS
        metrics.slots.set(settings.slots)

    @property
    def speeches(self) -> int:
        """Those that speak or wait."""
        return self._of_key.total()

    def begin(self, options: SpeechOptions, key: str = "") -> BegunSpeech:
        """A speech for the holder of a key. Raises ApiError 429 where there is no room for one more."""
        limit = self._settings.slots + self._settings.queue
        if self.speeches >= limit:
            self.metrics.refused.inc()
            raise ApiError(
                429,
                f"{self.speeches} speeches speak or wait already, which is all that this server has room for",
                code="queue_full",
                retry_after=self.seconds_to_a_slot,
            )
        if self._settings.per_key and self._of_key[key] >= self._settings.per_key:
            self.metrics.refused.inc()
            raise ApiError(
                429,
                f"this key has {self._of_key[key]} speeches already, which is all that it may have at a time",
                code="key_limit",
                retry_after=self._seconds,
            )
        self._of_key[key] += 1
        self._show()
        return BegunSpeech(self, self._engine.begin(options), key)

    @property
    def seconds_to_a_slot(self) -> float:
        """An estimate, by what speeches lasted lately."""
        waiting = max(0, self.speeches - self._settings.slots)
        return self._seconds * (waiting + 1) / self._settings.slots

    def end(self, key: str, seconds: float | None) -> None:
        """A speech has ended; it lasted so long, or was left."""
        self._of_key[key] -= 1
        if not self._of_key[key]:
            del self._of_key[key]
        if seconds is not None:
            self._seconds += _NEWEST_COUNTS * (seconds - self._seconds)
        self._show()

    def _show(self) -> None:
        busy = min(self.speeches, self._settings.slots)
        self.metrics.slots_busy.set(busy)
        self.metrics.waiting.set(self.speeches - busy)

    def close(self) -> None:
        self._engine.close()


class BegunSpeech:
    """One speech; leaving its block cancels what is left of it."""

    def __init__(self, desk: Desk, speech: StreamSpeech, key: str) -> None:
        self._desk, self._speech, self._key = desk, speech, key
        self._begun = self._last = time.monotonic()
        self._first: float | None = None
        self._length = 0.0
        self._over = False

    def feed(self, text: str) -> None:
        """More of the text."""
        self._speech.feed(text)

    def finish(self) -> None:
        """No more text comes."""
        self._speech.finish()

    async def read(self) -> Audio | None:
        """The next piece; None behind the last. Raises OmniError."""
        metrics = self._desk.metrics
        asked = time.monotonic()
        try:
            piece = await self._speech.read()
        except OmniError:
            metrics.failed.inc()
            self._end(None)
            raise
        now = time.monotonic()
        if piece is None:
            if self._length and self._first is not None:
                metrics.real_time_factor.observe((now - self._first) / self._length)
            self._end(now - self._begun)
            return None
        if self._first is None:
            self._first = now
            metrics.first_audio.observe(now - self._begun)
        elif frames := piece.codes.shape[1]:
            metrics.frame_time.observe((now - asked) / frames)
        metrics.frames.inc(piece.codes.shape[1])
        metrics.audio_seconds.inc(piece.duration)
        self._length += piece.duration
        return piece

    def cancel(self) -> None:
        """Nothing of it is wanted any more."""
        if not self._over:
            self._speech.cancel()
            self._desk.metrics.cancelled.inc()
            self._end(None)

    def _end(self, seconds: float | None) -> None:
        if not self._over:
            self._over = True
            self._desk.end(self._key, seconds)

    async def __aenter__(self) -> BegunSpeech:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
