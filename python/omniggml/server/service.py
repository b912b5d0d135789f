"""What all doors of one server share: the model, once it is loaded, and what stands around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from omniggml.errors import InputError, OmniError
from omniggml.loading import BUILT_IN
from omniggml.model import Model
from omniggml.openai_voices import speaker_of
from omniggml.options import SpeechOptions
from omniggml.server.api_error import ApiError
from omniggml.server.conversation import Transcripts
from omniggml.server.desk import Desk
from omniggml.server.metrics import Metrics
from omniggml.server.settings import ServerSettings
from omniggml.server.thinkers import ChatThinker

BUILT_IN_NAME = "omniggml"


class Service:
    """`status`: "loading", "ready", "draining" (answers what was begun, begins nothing) or "failed"."""

    def __init__(self, settings: ServerSettings, load: Callable[[], Model]) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.transcripts = Transcripts()
        self.status = "loading"
        self.failure: OmniError | None = None
        self.created = int(time.time())
        self._load = load
        self._model: Model | None = None
        self._desk: Desk | None = None
        self._thinker: ChatThinker | None = None
        self._loading: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to load the model, in a thread; requests are answered with 503 meanwhile."""
        self._loading = asyncio.create_task(self._opened())

    async def _opened(self) -> None:
        try:
            self._model = await asyncio.to_thread(self._loaded_and_tried)
        except OmniError as error:
            self.status, self.failure = "failed", error
            return
        settings = self.settings
        self._desk = Desk(self._model, settings, self.metrics)
        # A thinker elsewhere has its own idea of how many it writes at a time.
        at_a_time = settings.slots if settings.thinker is None else settings.slots + settings.queue
        self._thinker = ChatThinker(self._model, at_a_time, settings.thinker)
        if self.status == "loading":
            self.status = "ready"

    def _loaded_and_tried(self) -> Model:
        model = self._load()
        if not model.has_voice:
            raise ApiError(500, f"{model.path} has no voice, and a server speaks")
        model.speak("a", max_frames=1)  # what is made once is not made while somebody waits
        return model

    async def loaded(self) -> None:
        """Wait until the model is there. Raises OmniError where it can't be loaded."""
        if self._loading is not None:
            await self._loading
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        if self._thinker is not None:
            await self._thinker.close()
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)

    @property
    def model(self) -> Model:
        """Raises ApiError 503 before it is loaded."""
        if self._model is None or self._desk is None:
            raise ApiError(503, f"the model is {self.status}", code=self.status, retry_after=1)
        return self._model

    @property
    def desk(self) -> Desk:
        """Raises ApiError 503 before the model is loaded, and once the server is on its way out."""
        if self._desk is None or self.status != "ready":
            raise ApiError(503, f"the server is {self.status}", code=self.status, retry_after=5)
        return self._desk

    @property
    def thinker(self) -> ChatThinker:
        """Raises ApiError 503 as `desk` does."""
        if self._thinker is None or self.status != "ready":
            raise ApiError(503, f"the server is {self.status}", code=self.status, retry_after=5)
        return self._thinker

    @property
    def speeches(self) -> int:
        """Those that speak or wait."""
        return 0 if self._desk is None else self._desk.speeches

    @property
    def model_name(self) -> str:
        """By which /v1/models shows it."""
        path = Path(self.model.path)
        return BUILT_IN_NAME if path == BUILT_IN else path.name.removesuffix(".gguf").removesuffix("-speech")

    def speech_options(self, voice: str | None, seed: int = 0) -> SpeechOptions:
        """Raises ApiError for a voice that there is none of."""
        try:
            speaker = speaker_of(self.model, voice)
        except InputError as error:
            raise ApiError(400, str(error), param="voice") from None
        return SpeechOptions(speaker=speaker, seed=seed, max_frames=self.settings.max_frames)

    def check_length(self, text: str, param: str, code: str = "text_too_long") -> None:
        """Raises ApiError for a text longer than one may be."""
        if len(text) > self.settings.max_characters:
            raise ApiError(
                400,
                f"the text has {len(text)} characters, and this server takes {self.settings.max_characters} at once",
                param=param,
                code=code,
            )
