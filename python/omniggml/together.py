"""Several texts spoken at once: one read of the talker's weights serves all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.overlap import at_once, beside

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_PIECE = 16
"""Frames that are vocoded at once."""


@dataclass(frozen=True)
class Request:
    """What one speech says: token ids up to the header of the answer, and of the answer."""

    conversation: list[int]
    answer: list[int]


@dataclass(frozen=True)
class Spoken:
    """`samples` of `codes` [groups, frames], and why the speech ended."""

    samples: FloatArray
    codes: IntArray
    stop_reason: str


Run = Callable[[Callable[[IntArray], FloatArray], IntArray], Future[FloatArray]]
"""Computes now or later."""


@dataclass
class _Speech:
    """A speech in the making: frames [groups] each, of which `sent` are with the vocoder. It has one from `begin` to
    its end: what a vocoder remembers takes memory."""

    vocoder: _native.Code2WavSession | None = None
    frames: list[list[int]] = field(default_factory=list)
    sent: int = 0
    pieces: list[Future[FloatArray]] = field(default_factory=list)
    stop_reason: str = ""

    def send(self, run: Run) -> None:
        assert self.vocoder is not None
        codes = np.array(self.frames[self.sent :], np.int32).T
        self.sent = len(self.frames)
        self.pieces.append(run(self.vocoder.decode, np.ascontiguousarray(codes)))

    def spoken(self, groups: int) -> Spoken:
        samples = [np.zeros(0, np.float32), *(piece.result() for piece in self.pieces)]
        codes = np.array(self.frames, np.int32).reshape(-1, groups).T
        return Spoken(np.concatenate(samples), codes, self.stop_reason)


def speak_together(
    model: _native.SpeechModel,
    requests: Sequence[Request],
    params: _native.SpeechParams,
    speaker: int,
    n_slots: int,
    threads: tuple[int, int],
    overlapped: bool,
) -> list[Spoken]:
    """Speak all requests, `n_slots` at a time; the next begins where one has ended. `threads`: the talker's and the
    vocoder's, which has a thread of its own where `overlapped`. Each says what it says alone."""
    groups = model.predictor_geometry["num_code_groups"]
    batch = _native.SpeechBatch(model, n_slots, threads[0], None)
    speeches = [_Speech() for _ in requests]
    waiting = deque(range(len(requests)))
    slots: list[int | None] = [None] * n_slots
    with ThreadPoolExecutor(1, "omniggml-vocoder") as thread:
        while waiting or batch.speaking:
            for slot in range(n_slots):
                if slots[slot] is None and waiting:
                    slots[slot] = index = waiting.popleft()
                    request = requests[index]
                    speeches[index].vocoder = _native.Code2WavSession(model, threads[1], None)
                    batch.begin(slot, params, conversation=request.conversation, answer=request.answer, speaker=speaker)
            _step(batch, slots, speeches, partial(beside, thread) if overlapped else at_once)
            if any(speech.stop_reason == "cancelled" for speech in speeches):
                break
        finished = [speech.spoken(groups) for speech in speeches]
    batch.raise_interruption()
    return finished


def _step(batch: _native.SpeechBatch, slots: list[int | None], speeches: Sequence[_Speech], run: Run) -> None:
    frames = batch.step()
    for slot, index in enumerate(slots):
        if index is None:
            continue
        speech = speeches[index]
        if frames[slot]:
            speech.frames.append(frames[slot])
        speech.stop_reason = batch.stop_reason(slot)
        if len(speech.frames) - speech.sent >= (1 if speech.stop_reason else _PIECE):
            speech.send(run)
        if speech.stop_reason:
            slots[slot], speech.vocoder = None, None
