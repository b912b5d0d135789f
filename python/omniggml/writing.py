"""An answer that is being written, whoever writes it, and how its speech is fed with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Conversation:
    """What the talker reads before an answer: `tokens` up to and including the answer's header, and `thinker_hidden`,
    float32 [tokens, thinker hidden], where not all of it is text, and `positions`, int32 [3, tokens], where they don't
    follow one after the other. `words`: whether the answer is written in words alone, as the model's own thinker
    writes, so that nothing has to be written out."""

    tokens: Sequence[int]
    thinker_hidden: FloatArray | None = None
    words: bool = True
    positions: IntArray | None = None


class Writing(Iterator[str], ABC):
    """An answer that is being written: bits of its text; `tokens` so far in the model's ids, none where they are not
    known; `n_prompt` and `n_tokens`, read and written so far, 0 where that isn't told; `stop_reason`: empty until the
    end."""

    tokens: list[int]
    n_prompt: int
    conversation: Conversation

    @property
    @abstractmethod
    def n_tokens(self) -> int: ...

    @property
    @abstractmethod
    def stop_reason(self) -> str: ...

    def ask(self) -> None:
        """Let it begin, where it begins with the first bit. Raises InputError where nobody writes it."""

    def close(self) -> None:
        """Nobody wants the rest. From any thread; who waits for the next bit may get an error."""


class Fed(Protocol):
    """A speech whose text is still coming."""

    def feed(self, text: str) -> None: ...

    def feed_tokens(self, tokens: Sequence[int]) -> None: ...

    def finish(self) -> None: ...


class Dictation:
    """Feeds a speech with an answer: with its tokens where they are known, so that it is said as it was written, else,
    or where it is cut (`by_text`), with its text. `begun`: whether there was anything to say so far."""

    def __init__(self, answer: Writing, voice: Fed, *, by_text: bool = False) -> None:
        self._answer, self._voice, self._by_text = answer, voice, by_text
        self._n_fed = 0
        self.begun = False

    def go_on(self, bit: str) -> None:
        """The next bit was written."""
        tokens = [] if self._by_text else self._answer.tokens
        if self._n_fed < len(tokens):
            self._voice.feed_tokens(tokens[self._n_fed :])
            self._n_fed, self.begun = len(tokens), True
        elif not tokens and bit:
            self._voice.feed(bit)
            self.begun = self.begun or bool(bit.strip())

    def finish(self) -> None:
        """All is written. Raises InputError where what was written says nothing."""
        self.go_on("")
        if self.begun:
            self._voice.finish()
