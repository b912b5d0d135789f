"""Speeches side by side over `Model.stream`, a thread each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from omniggml.audio import Audio
from omniggml.errors import OmniError
from omniggml.model import Model
from omniggml.options import SpeechOptions
from omniggml.text.spans import sentences

_PIECES_AHEAD = 2
"""Pieces that are made before the one that is being read; a slow reader stalls its own speech."""

Result = TypeVar("Result")


class StreamEngine:
    """`slots` speeches at a time, first come, first served."""

    def __init__(self, model: Model, slots: int) -> None:
        self.model = model
        self.gate = asyncio.Semaphore(slots)
        self._pool = ThreadPoolExecutor(slots, "omniggml-server")

    def begin(self, options: SpeechOptions) -> StreamSpeech:
        return StreamSpeech(self, options)

    async def run(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class StreamSpeech:
    """One speech: text goes in, pieces of audio come out."""

    def __init__(self, engine: StreamEngine, options: SpeechOptions) -> None:
        self._engine, self._options = engine, options
        self._text, self._fed, self._finished = "", 0, False
        self._changed = asyncio.Event()
        self._pieces: asyncio.Queue[Audio | OmniError | None] = asyncio.Queue(_PIECES_AHEAD)
        self._task = asyncio.create_task(self._run())

    def feed(self, text: str) -> None:
        """More of the text; complete sentences are spoken at once."""
        self._text += text
        self._fed += 1
        self._changed.set()

    def finish(self) -> None:
        """No more text comes."""
        self._finished = True
        self._changed.set()

    async def read(self) -> Audio | None:
        """The next piece; None behind the last. Raises OmniError."""
        piece = await self._pieces.get()
        if isinstance(piece, OmniError):
            raise piece
        return piece

    def cancel(self) -> None:
        """Nothing of it is wanted any more."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._engine.gate:
                while (text := await self._next_text()) is not None:
                    await self._speak(text)
            await self._pieces.put(None)
        except OmniError as error:
            await self._pieces.put(error)

    async def _speak(self, text: str) -> None:
        model, options = self._engine.model, self._options
        keywords = {name: getattr(options, name) for name in options.__dataclass_fields__}
        pieces: Iterator[Audio] = await self._engine.run(lambda: model.stream(text, **keywords))
        while (piece := await self._engine.run(lambda: next(pieces, None))) is not None:
            await self._pieces.put(replace(piece, stop_reason=piece.stop_reason if self._finished else ""))

    async def _next_text(self) -> str | None:
        while True:
            if self._finished:
                text, self._text = self._text, ""
                return text if text and (self._fed == 1 or re.search(r"\w", text)) else None
            *whole, rest = sentences(self._text) or [""]
            if whole:
                self._text = rest
                return " ".join(whole)
            self._changed.clear()
            await self._changed.wait()
