"""An answer that is written and spoken at once: text and audio in the order in which they are ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from omniggml.audio import Audio
from omniggml.errors import InputError, OmniError
from omniggml.printable import printable
from omniggml.server.api_error import ApiError
from omniggml.server.desk import BegunSpeech
from omniggml.server.thinkers import Answer
from omniggml.writing import Dictation

_AHEAD = 8
"""Pieces that are kept for a client that reads slowly; then thinker and voice wait."""

_SHOWN = 200
"""Letters of an answer that can't be spoken."""

Ready = str | Audio | OmniError | None


async def spoken_answer(answer: Answer, speech: BegunSpeech | None) -> AsyncGenerator[str | Audio, None]:
    """Bits of the text and, where there is a speech, its audio. Leaving off early cancels both. Raises OmniError."""
    ready: asyncio.Queue[Ready] = asyncio.Queue(_AHEAD)
    begun: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        workers = [asyncio.create_task(_write(answer, speech, begun, ready))]
        if speech is not None:
            await stack.enter_async_context(speech)
            workers.append(asyncio.create_task(_speak(speech, begun, ready)))
        try:
            for _ in workers:
                while (one := await ready.get()) is not None:
                    if isinstance(one, OmniError):
                        raise one
                    yield one
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
            await answer.bits.aclose()


async def _write(
    answer: Answer, speech: BegunSpeech | None, begun: asyncio.Future[bool], ready: asyncio.Queue[Ready]
) -> None:
    """The text to whoever reads, and to whoever speaks it. `begun`: whether anything is spoken."""
    dictation: Dictation | None = None
    text = ""
    try:
        async for bit in answer.bits:
            text += bit
            if speech is not None:
                dictation = dictation or await _begun(answer, speech)
                dictation.go_on(bit)
                if dictation.begun and not begun.done():
                    begun.set_result(True)
            await ready.put(bit)
        if speech is not None:
            _finish(dictation, text)
    except OmniError as error:
        await ready.put(error)
    if not begun.done():
        begun.set_result(False)
    await ready.put(None)


async def _begun(answer: Answer, speech: BegunSpeech) -> Dictation:
    assert answer.writing is not None
    await speech.begin_answer(answer.writing)
    return Dictation(answer.writing, speech, by_text=answer.cut)


def _finish(dictation: Dictation | None, text: str) -> None:
    """Raises ApiError for an answer that says nothing aloud: nothing at all, or in letters that the voice has no sounds
    for. Silence would look like an answer."""
    try:
        if dictation is not None:
            dictation.finish()
        if dictation is None or not dictation.begun:
            raise InputError("it has no words")
    except InputError as error:
        about = f"{error}; it is {printable(text, _SHOWN)!r}" if text.strip() else str(error)
        raise ApiError(
            400,
            f"the answer can't be spoken: {about}; ask for text alone, or for another answer",
            param="modalities",
            code="unspeakable_answer",
        ) from None


async def _speak(speech: BegunSpeech, begun: asyncio.Future[bool], ready: asyncio.Queue[Ready]) -> None:
    try:
        while await begun and (piece := await speech.read()) is not None:
            await ready.put(piece)
    except OmniError as error:
        await ready.put(error)
    await ready.put(None)
