"""Where speeches are begun: who waits, who is refused, and what is measured of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType

from omniggml.audio import Audio
from omniggml.engine import Speaking, SpeechEngine
from omniggml.errors import BusyError, OmniError
from omniggml.model import Model
from omniggml.options import SpeechOptions
from omniggml.server.api_error import ApiError
from omniggml.server.metrics import Metrics
from omniggml.server.settings import ServerSettings
from omniggml.warning import heard
from omniggml.writing import Writing

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
        speech = self.expect(options, key)
        # A long text takes a while to cut into sentences.
        await speech.begin(lambda engine: engine.begin_with(text, options))
        return speech

    def expect(self, options: SpeechOptions, key: str = "") -> BegunSpeech:
        """The speech of an answer, which is begun once its conversation was read. Raises ApiError as `begin` does."""
        if self.speeches >= self._room:
            raise self.refusal("queue_full", f"{self.speeches} speeches speak or wait, and there is no room for more")
        if self._settings.per_key and self._of_key[key] >= self._settings.per_key:
            raise self.refusal("key_limit", f"this key has {self._of_key[key]} speeches already, and may not have more")
        self._of_key[key] += 1
        return BegunSpeech(self, self._engine, options, key)

    def refusal(self, code: str, message: str) -> ApiError:
        """What somebody is told for whom there is no room."""
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
    """One speech; leaving its block cancels what is left of it. `warnings`: what of its text can't be spoken, as far as
    that is known by now."""

    def __init__(self, desk: Desk, engine: SpeechEngine, options: SpeechOptions, key: str) -> None:
        self._desk, self._engine, self._options, self._key = desk, engine, options, key
        self._speech: Speaking | None = None
        self.warnings: list[str] = []
        self._begun = time.monotonic()
        self._first: float | None = None
        self._length = 0.0
        self._over = False

    async def begin(self, begin: Callable[[SpeechEngine], Speaking]) -> None:
        """Begin it, in a thread. Raises ApiError, InputError; then it is over."""
        try:
            with heard(self.warnings):
                self._speech = await asyncio.to_thread(begin, self._engine)
        except BusyError as error:
            self._end()
            raise self._desk.refusal("queue_full", str(error)) from None
        except BaseException:
            self._end()
            raise

    async def begin_answer(self, answer: Writing) -> None:
        """Begin that of an answer, whose conversation was read. Raises as `begin` does."""
        await self.begin(lambda engine: engine.begin_answer(answer, self._options))

    def feed(self, text: str) -> None:
        """More of the text. Raises InputError for what is no text."""
        self._spoken.feed(text)

    def feed_tokens(self, tokens: Sequence[int]) -> None:
        """More of it as tokens. Raises InputError for ids that there aren't."""
        self._spoken.feed_tokens(tokens)

    def finish(self) -> None:
        """No more text comes. Raises InputError where there was nothing to say."""
        with heard(self.warnings):
            self._spoken.finish()

    @property
    def _spoken(self) -> Speaking:
        assert self._speech is not None
        return self._speech

    async def read(self) -> Audio | None:
        """The next piece; None behind the last. Raises OmniError."""
        metrics = self._desk.metrics
        asked = time.monotonic()
        try:
            piece = await self._spoken.aread()
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
            if self._speech is not None:
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
