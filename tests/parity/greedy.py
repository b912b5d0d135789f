"""A whole answer, spoken greedily by both sides: text, codes and audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omniggml import Audio, Model, TextOptions
from parity.cases import FloatArray, IntArray

Turns = list[dict[str, str]]

CONVERSATIONS: dict[str, Turns] = {
    "one turn": [{"role": "user", "content": "hello there"}],
    "several turns with system text": [
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "one, two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "and then?"},
        {"role": "assistant", "content": "four; five."},
        {"role": "user", "content": "6 7 8 你好"},
    ],
}


@dataclass(frozen=True)
class Request:
    """`conversation`: token ids up to the header of the answer. `max_text` tokens of text, `max_frames` of speech at
    most; `penalty`: the talker's repetition penalty."""

    conversation: tuple[int, ...]
    speaker: str
    max_frames: int
    max_text: int = 20
    penalty: float = 1.05


@dataclass(frozen=True)
class Spoken:
    """`answer`: the text ids that are spoken; `codes` [groups, frames]; `audio` [samples], of one full forward."""

    answer: tuple[int, ...]
    codes: IntArray
    audio: FloatArray

    def differences(self, other: Spoken, tolerance: float = 1e-4) -> list[str]:
        """What is not the same, as sentences; empty when nothing differs."""
        found = []
        if self.answer != other.answer:
            found.append(f"text ids {list(self.answer)} and {list(other.answer)}")
        if self.codes.shape != other.codes.shape:
            found.append(f"codes of shape {self.codes.shape} and {other.codes.shape}")
        elif not np.array_equal(self.codes, other.codes):
            group, frame = np.argwhere(self.codes != other.codes)[0]
            found.append(f"codes from frame {frame}, group {group} on")
        if self.audio.shape != other.audio.shape:
            found.append(f"audio of {self.audio.size} and {other.audio.size} samples")
        elif self.audio.size and not np.abs(self.audio - other.audio).max() <= tolerance:
            found.append(f"audio by {np.abs(self.audio - other.audio).max():.2g}")
        return found


def answer_of(model: Model, request: Request) -> tuple[int, ...]:
    """The engine's greedy answer as the reference would speak it."""
    options = TextOptions(greedy=True, max_tokens=request.max_text)
    tokens, stop = model.generate_text(request.conversation, options)
    # The reference never speaks the last token it generated: it takes it for the end of the turn.
    return tuple(tokens if stop == "eos" else tokens[:-1])


def speak(model: Model, request: Request) -> Spoken:
    """The engine's greedy speech."""
    answer = answer_of(model, request)
    pieces = model.stream_answer(
        request.conversation,
        answer,
        speaker=request.speaker,
        greedy=True,
        max_frames=request.max_frames,
        repetition_penalty=request.penalty,
    )
    audio = Audio.join(list(pieces))
    return Spoken(answer, audio.codes, audio.samples)


def request(model: Model, title: str, speaker: str) -> Request:
    """The conversation of this title, as short a speech as shows every part of a frame many times."""
    ids = tuple(model.tokenizer.encode_chat(CONVERSATIONS[title]))
    return Request(ids, speaker, max_frames=200 // model.geometry["code_predictor"]["num_code_groups"])


def standard_requests(model: Model) -> dict[str, Request]:
    """Each conversation once, by as many speakers as there are conversations."""
    speakers = model.speakers
    return {
        f"{title}, {speakers[i % len(speakers)]}": request(model, title, speakers[i % len(speakers)])
        for i, title in enumerate(CONVERSATIONS)
    }
