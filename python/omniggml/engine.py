"""Speeches side by side: text goes in while it is written, audio comes out while it is spoken.

with model.engine(slots=4, queue=16) as engine:
    voice = engine.begin(speaker="ethan")     # raises BusyError where the queue is full
    voice.feed("Some text, "); voice.feed("and more."); voice.finish()
    while (piece := voice.read()) is not None: ...          # or: piece = await voice.aread()
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.arrays import token_ids
from omniggml.audio import Audio
from omniggml.checked import checked
from omniggml.coming_text import ComingSpan, ComingText
from omniggml.errors import InputError, OmniError
from omniggml.in_turn import Joined, Plan, Planned
from omniggml.options import SpeechKeywords, SpeechOptions
from omniggml.text.soundness import check_text
from omniggml.text.written import warning_of
from omniggml.warning import warn
from omniggml.writing import Conversation, Writing

if TYPE_CHECKING:
    # Where coroutines wait it is imported then: it takes as long as NumPy, and most programs have none.
    import asyncio

    from typing_extensions import Unpack

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

MOST_SLOTS, MOST_WAITING = 1024, 1 << 20
_MOST_AHEAD = 8
"""Spans of a text that are spoken, whole, while the one before them is heard: as many as slots, but no more seconds of
audio than this for a listener who is slow."""
_LOOKED_AGAIN = 0.5
"""Seconds until the thread that waits for audio looks whether its engine is still there."""


@dataclass(frozen=True)
class SpeechTimings:
    """Seconds that a speech has taken so far: `waiting` for a slot; `prompt`, `talker`, `predictor` and `sampling`,
    shared with whoever speaks at the same time; `vocoder`; `idle` in its slot, for text or for a listener; `first` from
    the beginning to the first samples. `frames` so far, of `prompt_positions` before them."""

    waiting: float
    prompt: float
    talker: float
    predictor: float
    sampling: float
    vocoder: float
    idle: float
    first: float
    frames: int
    prompt_positions: int


class BeginSpan(Protocol):
    """Begins the speech of a span."""

    def __call__(
        self,
        engine: _native.SpeechEngine,
        conversation: Sequence[int],
        answer: Sequence[int],
        options: SpeechOptions,
        *,
        thinker_hidden: FloatArray | None,
        ahead: bool,
        positions: IntArray | None,
        finished: bool,
        after: int,
    ) -> _native.EngineSpeech: ...


@dataclass(frozen=True)
class SpeechSide:
    """What an engine needs to know of its model: how a speech is begun, a whole text cut into spans, a text that is
    still being written made tokens, that of an answer, the samples of so many frames, and those a second."""

    begin: BeginSpan
    planned: Callable[[str, SpeechOptions], tuple[list[int], Plan[Planned]]]
    coming: Callable[[SpeechOptions], tuple[list[int], ComingText]]
    answered: Callable[[Writing, SpeechOptions], ComingText]
    n_samples: Callable[[int], int]
    sample_rate: int


@checked
class SpeechEngine:
    """Speaks up to `slots` texts side by side; `queue` more wait, first come, first served, and one more is refused.

    Made by `Model.engine`. Every method may be called from any thread, and `begin` and all of a `Speaking` in
    coroutines: nothing but `read` waits. A process that is forked from the one that made it can't use it.
    """

    def __init__(self, native: _native.SpeechEngine, side: SpeechSide) -> None:
        self._native, self._side = native, side
        self._readable = _Readable(native)
        self._process = os.getpid()
        weakref.finalize(self, _stop_in, self._process, native)

    def begin(self, text: str | None = None, **options: Unpack[SpeechKeywords]) -> Speaking:
        """A speech of a whole text, as `Model.speak` speaks it, or of one that is fed. `options`: see `SpeechOptions`.

        Raises InputError as `Model.speak` does, and BusyError where there is no room for one more.
        """
        return self.begin_with(text, SpeechOptions(**options))

    def begin_with(self, text: str | None, options: SpeechOptions) -> Speaking:
        """The same with the options in one."""
        if text is None:
            conversation, coming = self._side.coming(options)
            return Speaking(self, options, Conversation(conversation), coming)
        conversation, planned = self._side.planned(text, options)
        return Speaking(self, options, Conversation(conversation), planned)

    def begin_answer(self, answer: Writing, options: SpeechOptions) -> Speaking:
        """A speech of an answer that is being written (`Model.answer`), in its conversation, as `Model.chat` speaks it.
        It is fed by a `Dictation`."""
        return Speaking(self, options, answer.conversation, self._side.answered(answer, options))

    def _require_own_process(self) -> None:
        if os.getpid() != self._process:
            self._native.stop()  # which says so there

    @property
    def slots(self) -> int:
        """Speeches side by side."""
        return self._native.n_slots

    @property
    def speaking(self) -> int:
        """Speeches that have a slot."""
        return self._native.n_speaking

    @property
    def waiting(self) -> int:
        """Speeches that wait for one."""
        return self._native.n_waiting

    @property
    def expected_wait(self) -> float:
        """Seconds until a speech that begins now has a slot, as far as the speeches so far tell."""
        return self._native.expected_wait

    def close(self) -> None:
        """Takes no more speeches: `begin` raises BusyError."""
        self._native.close()

    def drain(self, timeout: float) -> bool:
        """Closes, and waits until what was begun is spoken; False where that takes longer than `timeout` seconds."""
        return self._native.drain(timeout)

    async def adrain(self, timeout: float) -> bool:
        """As `drain`, in a coroutine."""
        import asyncio

        return await asyncio.to_thread(self.drain, timeout)

    def stop(self) -> None:
        """Ends what is being spoken within a frame, as cancelled, and the engine's threads."""
        self._native.stop()

    def __enter__(self) -> SpeechEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _stop_in(process: int, native: _native.SpeechEngine) -> None:
    """A process that was forked from that one has nothing to stop."""
    if os.getpid() == process:
        native.stop()


@checked
class Speaking:
    """One speech. Text goes in by `feed`, which never waits, and `finish`; audio comes out by `read` or by iterating,
    with `await` by `aread` or `async for`. One thread may feed while another reads.

    What follows in a text can't change what was spoken of it: the last word is held back until its end is seen
    (`docs/speaking.md` says how much). Leaving its `with` or `async with` block cancels what is left.
    """

    def __init__(
        self,
        engine: SpeechEngine,
        options: SpeechOptions,
        conversation: Conversation,
        text: ComingText | Plan[Planned],
    ) -> None:
        """Made by `SpeechEngine.begin` and `Model.speaking`."""
        self._engine, self._side, self._options = engine, engine._side, options
        self._conversation = conversation
        self._coming = text if isinstance(text, ComingText) else None
        self._spans: Plan[ComingSpan] | Plan[Planned] = Plan(text.spans) if isinstance(text, ComingText) else text
        self._lock = threading.Lock()
        self._fed = 0  # tokens of the newest span that its speech has
        self._speeches: list[_native.EngineSpeech] = []
        self._at = 0  # the span that is being read
        self._heard = self._frames = self._samples = 0  # pieces of it, and what was in them
        self._joined = Joined()
        self._left = options.max_frames
        self._cancelled = self._over = False
        self._finished: set[int] = set()  # spans whose speech has all its text
        self._begin_next()

    # --- text in ----------------------------------------------------------------------------------------------------

    def feed(self, text: str) -> None:
        """More of the text: words, parts of words, anything. Raises InputError after `finish`, for a speech that was
        begun with its text, after `feed_tokens`, for text that is no valid Unicode or holds zero bytes, and, which ends
        the speech, for a text with a <speak> root and one that the context has no room for."""
        with self._lock:
            coming = self._text_to_come()
            if coming.has_tokens:
                raise InputError("this speech was fed tokens; what follows has to be tokens, too")
            check_text("the text to speak", text)
            with self._ended_by_errors():
                coming.feed(text)
                self._give()

    def feed_tokens(self, tokens: Sequence[int]) -> None:
        """More of it as token ids, as a language model with this vocabulary writes them: they are spoken as they are.
        For a speech of which nothing was fed as text. Raises InputError as `feed` does, after `feed`, and for ids that
        there aren't, of which none is taken."""
        with self._lock:
            coming = self._text_to_come()
            ids = coming.checked_tokens(token_ids(tokens))
            with self._ended_by_errors():
                coming.feed_tokens(ids)
                self._give()

    def finish(self) -> None:
        """No more text. What was held back is spoken, and the speech ends when the model has said it all. Characters
        that the voice has no sounds for are named in a warning.

        Raises InputError where there was nothing to say at all, which ends the speech.
        """
        with self._lock:
            coming = self._text_to_come()
            with self._ended_by_errors():
                self._coming = None
                coming.finish()
                left_out = "".join(coming.left_out)
                if not any(span.tokens for span in coming.spans):
                    raise InputError("there is no text to speak" + (f": {warning_of(left_out)}" if left_out else ""))
                if len(self._speeches) > len(coming.spans):
                    self._speeches[-1].cancel()  # nothing of it was left to say
                else:
                    self._give()
        if left_out:
            warn(warning_of(left_out))

    @contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        """Whatever is raised ends the speech: who reads it would wait for ever for a text that doesn't come."""
        try:
            yield
        except BaseException:
            self._coming = None
            self._cancel(drop=True)
            raise

    def _text_to_come(self) -> ComingText:
        self._engine._require_own_process()
        if self._coming is None:
            raise InputError("the text of this speech is finished; begin another")
        return self._coming

    def _give(self) -> None:
        """What was settled of the text to the speeches that say it."""
        if self._cancelled:
            return
        number = len(self._speeches) - 1
        span, speech = self._spans[number], self._speeches[number]
        if len(span.tokens) > self._fed:
            speech.feed(span.tokens[self._fed :])
            self._fed = len(span.tokens)
        if span.pause is not None and span.tokens and number not in self._finished:
            self._finished.add(number)
            speech.finish()
        self._begin_next()

    def _begin_next(self) -> None:
        """The next spans, as soon as they are known: while one is heard, those behind it take the slots that nobody
        else wants. What a limit of frames leaves of them is seen when it is their turn."""
        ahead = min(self._engine.slots - 1, _MOST_AHEAD)
        until = self._at + max(1, ahead)
        while not self._cancelled and len(self._speeches) <= until and self._spans.has(len(self._speeches)):
            number = len(self._speeches)
            span, whole = self._spans[number], self._spans[number].pause is not None
            speech = self._side.begin(
                self._engine._native,
                self._conversation.tokens,
                span.tokens,
                replace(self._options, max_frames=self._left),
                thinker_hidden=self._conversation.thinker_hidden,
                positions=self._conversation.positions,
                ahead=number > self._at and ahead > 0,
                finished=whole,
                after=self._speeches[-1].id if number else 0,
            )
            self._speeches.append(speech)
            self._fed = len(span.tokens)
            if whole:
                self._finished.add(number)

    # --- audio out --------------------------------------------------------------------------------------------------

    def read(self, timeout: float | None = None) -> Audio | None:
        """The next piece; None behind the last, and where none comes within `timeout` seconds: then `ended` is False.

        Raises what went wrong with this speech. Ctrl-C, and whatever else a signal's handler raises, is raised at once
        and ends the speech within a frame: what was spoken until then can still be read.
        """
        if self._over:
            return None
        speech = self._speeches[self._at]
        # A signal may have come between a piece and who asked for it.
        if speech.n_given > self._heard and speech.newest is not None:
            return self._next(speech.newest)
        try:
            piece = speech.read(timeout)
        except OmniError:
            self._end()
            raise
        except BaseException:
            self.cancel()
            raise
        return self._next(piece) if piece is not None else None

    async def aread(self, timeout: float | None = None) -> Audio | None:
        """As `read`, while other coroutines go on."""
        import asyncio

        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        while not self._over:
            piece = self.read(0)
            if piece is not None or self._over:
                return piece
            waiter = self._engine._readable.waiter(self._speeches[self._at].id)
            try:
                # It may have come before anybody waited.
                piece = self.read(0)
                if piece is not None or self._over:
                    return piece
                # Not by `wait_for`: before Python 3.12 it loses a cancellation that comes together with the result.
                await asyncio.wait({waiter.future}, timeout=None if until is None else max(0.0, until - loop.time()))
                if not waiter.future.done():
                    return None
            finally:
                self._engine._readable.forget(waiter)
        return None

    def _next(self, piece: tuple[object, object, str]) -> Audio:
        audio = Audio(piece[0], self._side.sample_rate, piece[1], piece[2])  # type: ignore[arg-type]
        self._heard = self._speeches[self._at].n_given
        with self._lock:
            if not self._spans.has(self._at):
                self._end()
                return replace(audio, stop_reason=self._joined.reason)
            audio = self._limited(audio)
            span = self._spans[self._at]
            stop = self._left is not None and self._left <= 0
            if audio.stop_reason and self._cancelled and self._spans.has(self._at + 1):
                audio = replace(audio, stop_reason="cancelled")
            joined = self._joined.next(
                audio, span.text.strip(), span.pause or 0.0, self._spans, self._at + 1, stop=stop
            )
            if audio.stop_reason:
                if self._joined.over:
                    self._end()
                else:
                    self._at, self._heard, self._frames, self._samples = self._at + 1, 0, 0, 0
                    with self._ended_by_errors():
                        self._begin_next()
                        self._give()
        return joined

    def _limited(self, audio: Audio) -> Audio:
        """As much of it as the limit for all spans has room for."""
        if self._left is None:
            return audio
        if audio.codes.shape[1] >= self._left:
            end = self._side.n_samples(self._frames + self._left) - self._samples
            audio = replace(
                audio, samples=audio.samples[:end], codes=audio.codes[:, : self._left], stop_reason="frame_limit"
            )
        self._left -= audio.codes.shape[1]
        self._frames, self._samples = self._frames + audio.codes.shape[1], self._samples + len(audio.samples)
        return audio

    @property
    def ended(self) -> bool:
        """Whether all was read."""
        return self._over

    def cancel(self, *, drop: bool = False) -> None:
        """End it within a frame. What was spoken can still be read, unless `drop`."""
        with self._lock:
            self._cancel(drop)

    def _cancel(self, drop: bool) -> None:
        self._cancelled = True
        for speech in self._speeches:
            speech.cancel(drop=drop)
        if drop:
            self._end()

    def _end(self) -> None:
        self._over = self._cancelled = True
        for speech in self._speeches[self._at :]:
            speech.cancel(drop=True)

    @property
    def admitted(self) -> bool:
        """Whether it has had a slot."""
        return any(speech.admitted for speech in self._speeches)

    def timings(self) -> SpeechTimings:
        """What it has taken so far; of several spans the sum, and how long the first one waited."""
        parts = [speech.timings() for speech in self._speeches]

        def total(name: str) -> float:
            return float(sum(part[name] for part in parts))

        stages = ("prompt", "talker", "predictor", "sampling", "vocoder", "idle")
        return SpeechTimings(
            **{name: total(name) for name in stages},
            waiting=parts[0]["waiting"],
            first=parts[0]["first"],
            frames=int(total("n_frames")),
            prompt_positions=int(total("prompt_positions")),
        )

    def __iter__(self) -> Iterator[Audio]:
        while (piece := self.read()) is not None:
            yield piece

    async def __aiter__(self) -> AsyncIterator[Audio]:
        while (piece := await self.aread()) is not None:
            yield piece

    def __enter__(self) -> Speaking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel(drop=True)

    async def __aenter__(self) -> Speaking:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel(drop=True)


@dataclass(frozen=True, eq=False)
class _Waiter:
    """A coroutine that waits for a speech to have something to read."""

    speech: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class _Readable:
    """Wakes coroutines: one thread for all that wait for an engine, begun when the first does."""

    def __init__(self, native: _native.SpeechEngine) -> None:
        self._native = native
        self._lock = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._thread: threading.Thread | None = None

    def waiter(self, speech: int) -> _Waiter:
        import asyncio

        loop = asyncio.get_running_loop()
        waiter = _Waiter(speech, loop, loop.create_future())
        with self._lock:
            self._waiters.append(waiter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="omniggml-readable", daemon=True)
                self._thread.start()
        return waiter

    def forget(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters = [one for one in self._waiters if one is not waiter]

    def _run(self) -> None:
        while not self._native.stopped:
            self._wake(set(self._native.wait_readable(_LOOKED_AGAIN)))
        self._wake(None)

    def _wake(self, speeches: set[int] | None) -> None:
        """Those who wait for one of these; None: all."""
        with self._lock:
            waiters = [one for one in self._waiters if speeches is None or one.speech in speeches]
        for waiter in waiters:
            with suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                waiter.loop.call_soon_threadsafe(_resolve, waiter.future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
