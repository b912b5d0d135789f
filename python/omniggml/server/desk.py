"""Where speeches are begun: who waits, who is refused, and what is measured of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from types import TracebackType

from omniggml.audio import Audio
from omniggml.engine import Speaking
from omniggml.errors import BusyError, OmniError
from omniggml.model import Model
from omniggml.options import SpeechOptions
from omniggml.server.api_error import ApiError
from omniggml.server.metrics import Metrics
from omniggml.server.settings import ServerSettings

_SOONEST = 1.0  # seconds until a client that was refused may try again


class Desk:
    """Begins speeches on one engine of a model, and counts them by whose they are."""

    def __init__(self, model: Model, settings: ServerSettings, metrics: Metrics) -> None:
        self._room = settings.slots + settings.queue
        # Who may wait is decided here.
        self._engine = model.engine(slots=settings.slots, queue=self._room)
        self._settings, self.metrics = settings, metrics
        self._of_key: Counter[str] = Counter()
        metrics.slots.set(settings.slots)
        metrics.slots_busy.set_function(lambda: self._engine.speaking)
        metrics.waiting.set_function(lambda: self._engine.waiting)

    @property
    def speeches(self) -> int:
        """Those that somebody listens to, or waits for."""
        return sum(self._of_key.values())

    async def begin(self, text: str | None, options: SpeechOptions, key: str = "") -> BegunSpeech:
        """A speech for the holder of a key, of a whole text or of one that is fed.

        Raises ApiError 429 where there is no room for one more, InputError for a text that can't be spoken.
        """
        if self.speeches >= self._room:
            raise self._refusal("queue_full", f"{self.speeches} speeches speak or wait, and there is no room for more")
        if self._settings.per_key and self._of_key[key] >= self._settings.per_key:
            raise self._refusal(
                "key_limit", f"this key has {self._of_key[key]} speeches already, and may not have more"
            )
        self._of_key[key] += 1
        try:
            # A long text takes a while to cut into sentences.
            speech = await asyncio.to_thread(self._engine.begin_with, text, options)
        except BusyError as error:
            self.ended(key)
            raise self._refusal("queue_full", str(error)) from None
        except BaseException:
            self.ended(key)
            raise
        return BegunSpeech(self, speech, key)

    def _refusal(self, code: str, message: str) -> ApiError:
        self.metrics.refused.inc()
        return ApiError(429, message, code=code, retry_after=max(_SOONEST, self._engine.expected_wait))

    def ended(self, key: str) -> None:
        """A speech of this key is over."""
        self._of_key[key] -= 1
        if not self._of_key[key]:
            del self._of_key[key]

    def close(self) -> None:
        """Ends what is still spoken."""
        self._engine.stop()


class BegunSpeech:
    """One speech; leaving its block cancels what is left of it."""

    def __init__(self, desk: Desk, speech: Speaking, key: str) -> None:
        self._desk, self._speech, self._key = desk, speech, key
        self._begun = time.monotonic()
        self._first: float | None = None
        self._length = 0.0
        self._over = False

    def feed(self, text: str) -> None:
        """More of the text. Raises InputError for what is no text."""
        self._speech.feed(text)

    def finish(self) -> None:
        """No more text comes. Raises InputError where there was nothing to say."""
        self._speech.finish()

    async def read(self) -> Audio | None:
        """The next piece; None behind the last. Raises OmniError."""
        metrics = self._desk.metrics
        asked = time.monotonic()
        try:
            piece = await self._speech.aread()
        except OmniError:
            metrics.failed.inc()
            self._end()
            raise
        now = time.monotonic()
        if piece is None:
            if self._length and self._first is not None:
                metrics.real_time_factor.observe((now - self._first) / self._length)
            self._end()
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
        """Nothing of it is wanted any more: its slot is free within a frame."""
        if not self._over:
            self._speech.cancel(drop=True)
            self._desk.metrics.cancelled.inc()
            self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._desk.ended(self._key)

    async def __aenter__(self) -> BegunSpeech:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
