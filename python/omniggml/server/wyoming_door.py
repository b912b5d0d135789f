"""Wyoming, by which Home Assistant asks for speech: JSON lines and samples over TCP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event, async_write_event
from wyoming.info import Attribution, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from omniggml.errors import InputError, OmniError
from omniggml.printable import printable
from omniggml.server.desk import BegunSpeech
from omniggml.server.encoders import pcm16
from omniggml.server.service import Service
from omniggml.server.within import within
from omniggml.text.soundness import check_text
from omniggml.version import __version__

_LONGEST_EVENT = 1 << 20
_NO_EVENT = "what was sent is no event of Wyoming, which is a line of JSON"
_ATTRIBUTION = Attribution("omniggml", "")


class _BoundedReader(asyncio.StreamReader):
    """The length of an event's data is its sender's word, which is not taken for any number of bytes. `ended`: whether
    no event was begun when the connection ended."""

    ended = False

    async def readline(self) -> bytes:
        line = await super().readline()
        self.ended = not line
        return line

    async def readexactly(self, n: int) -> bytes:
        if not 0 <= n <= _LONGEST_EVENT:
            raise InputError(f"an event of {n} bytes; at most {_LONGEST_EVENT} are taken")
        return await super().readexactly(n)


async def open_wyoming(service: Service, host: str, port: int) -> asyncio.Server:
    """Listen. Raises InputError where that port can't be had."""
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.StreamReaderProtocol:
        reader = _BoundedReader(limit=_LONGEST_EVENT, loop=loop)
        return asyncio.StreamReaderProtocol(
            reader, lambda _, writer: _Conversation(service, reader, writer).run(), loop=loop
        )

    try:
        return await loop.create_server(protocol, host, port)
    except OSError as error:
        raise InputError(f"{host}:{port} can't be served: {error.strerror or error}") from error


class _Conversation:
    """One connection."""

    def __init__(self, service: Service, reader: _BoundedReader, writer: asyncio.StreamWriter) -> None:
        self._service, self._reader, self._writer = service, reader, writer
        self._speech: BegunSpeech | None = None
        self._length = 0
        self._sending: asyncio.Task[None] | None = None
        self._handlers: dict[str, Callable[[Event], Awaitable[None]]] = {
            "describe": self._describe,
            "ping": self._ping,
            "synthesize": self._synthesize,
            "synthesize-start": self._start,
            "synthesize-chunk": self._chunk,
            "synthesize-stop": self._stop,
        }

    async def run(self) -> None:
        idle = self._service.settings.idle_seconds
        try:
            while (event := await within(idle, async_read_event(self._reader))) is not None:
                if not await self._handle(event):
                    return
            if not self._reader.ended:
                raise InputError(_NO_EVENT)
        except (asyncio.TimeoutError, OSError, EOFError):
            pass  # silent for too long, or gone
        except (ValueError, TypeError, KeyError, AttributeError, InputError, RecursionError) as error:
            await self._complain(error)
        finally:
            self._drop()
            self._writer.close()

    async def _complain(self, error: Exception) -> None:
        """Where the next event begins isn't known any more, so this is the last one."""
        told = str(error) if isinstance(error, InputError) else _NO_EVENT
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            await self._send(Error(printable(told), "protocol"))

    async def _handle(self, event: Event) -> bool:
        """Whether it went well. Clients wait for the end of the audio, or of the connection, and pass over an error: it
        is the last of a connection."""
        handler = self._handlers.get(event.type)
        try:
            if handler is not None:
                await handler(event)
        except OmniError as error:
            told = str(error)
        except KeyError as error:
            told = f"{event.type} lacks {error.args[0]}"
        except (ValueError, TypeError, AttributeError):
            told = f"{event.type} has something that is none of its kind"
        else:
            return True
        self._drop()
        await self._send(Error(printable(told)))
        return False

    async def _describe(self, event: Event) -> None:
        voices = [
            TtsVoice(name, _ATTRIBUTION, True, name, __version__, languages=["en"])
            for name in self._service.model.speakers
        ]
        program = TtsProgram(
            "omniggml",
            _ATTRIBUTION,
            True,
            "Qwen3-Omni speech on ggml",
            __version__,
            voices=voices,
            supports_synthesize_streaming=True,
        )
        await self._send(Info(tts=[program]))

    async def _ping(self, event: Event) -> None:
        await self._send(Pong(Ping.from_event(event).text))

    async def _synthesize(self, event: Event) -> None:
        # Clients that stream send the whole text once more, for servers that don't.
        if self._speech is not None:
            return
        asked = Synthesize.from_event(event)
        check_text("text", asked.text)
        self._service.check_length(asked.text, "text")
        await self._begin(asked.voice, asked.text)
        await self._said()

    async def _start(self, event: Event) -> None:
        self._drop()
        await self._begin(SynthesizeStart.from_event(event).voice)

    async def _chunk(self, event: Event) -> None:
        self._feed(SynthesizeChunk.from_event(event).text)

    async def _stop(self, event: Event) -> None:
        SynthesizeStop.from_event(event)
        if self._speech is None:
            raise InputError("a synthesize-stop without a synthesize-start before it")
        self._speech.finish()
        await self._said()
        await self._send(SynthesizeStopped())

    async def _begin(self, voice: SynthesizeVoice | None, text: str | None = None) -> None:
        name = None if voice is None else voice.speaker or voice.name
        options = self._service.speech_options(name if name is None else str(name))
        self._speech = await self._service.desk.begin(text, options)
        self._length = 0
        self._sending = asyncio.create_task(self._send_audio(self._speech))

    def _feed(self, text: Any) -> None:
        check_text("text", text)
        self._length += len(text)
        if self._length > self._service.settings.max_characters:
            raise InputError(f"the text is longer than {self._service.settings.max_characters} characters")
        if self._speech is None:
            raise InputError("a piece of text without a synthesize-start before it")
        self._speech.feed(text)

    async def _said(self) -> None:
        """All of it, sent."""
        assert self._sending is not None
        try:
            await within(self._service.settings.max_seconds, self._sending)
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        if self._speech is not None:
            self._speech.cancel()
        self._speech = self._sending = None

    async def _send_audio(self, speech: BegunSpeech) -> None:
        rate = self._service.model.sample_rate
        await self._send(AudioStart(rate, 2, 1))
        while (piece := await speech.read()) is not None:
            await self._send(AudioChunk(rate, 2, 1, pcm16(piece.samples)))
        await self._send(AudioStop())

    async def _send(self, event: Eventable) -> None:
        await within(self._service.settings.idle_seconds, async_write_event(event.event(), self._writer))
