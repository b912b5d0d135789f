"""An answer that is spoken while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from omniggml.audio import Audio
from omniggml.engine import Speaking


class Writing(Protocol):
    """An answer that is being written: bits of its text, and its tokens in the model's ids, where they are known."""

    tokens: list[int]

    @property
    def stop_reason(self) -> str: ...

    def __next__(self) -> str: ...

    def __iter__(self) -> Iterator[str]: ...


class StreamedReply:
    """A reply whose audio comes in `pieces` while the thinker writes it. The rest is as in `Reply`, and known once it
    is written: asking earlier lets the thinker write to the end first, while what it has written is spoken."""

    def __init__(
        self,
        answer: Writing,
        voice: Speaking | None,
        written: Callable[[str], object] | None,
        silence: Callable[[], Audio],
    ) -> None:
        """Made by `Model.stream_chat`. `voice`: who speaks it, if anybody; `silence`: an answer without words."""
        self._answer, self._voice, self._written, self._silence = answer, voice, written, silence
        self._text = ""
        self._fed = 0
        self._complete = False
        self.pieces = self._spoken()

    @property
    def text(self) -> str:
        """All of it."""
        self._write_all()
        return self._text

    @property
    def tokens(self) -> tuple[int, ...]:
        """Of the text."""
        self._write_all()
        return tuple(self._answer.tokens)

    @property
    def stop_reason(self) -> str:
        """Why the text ended: "eos", "token_limit" or "context_full"."""
        self._write_all()
        return self._answer.stop_reason

    def _write_on(self) -> None:
        """The next bit of the text."""
        bit = next(self._answer, None)
        if bit is not None:
            self._text += bit
            if self._written is not None:
                self._written(bit)
        self._feed(bit or "")
        if bit is None:
            self._complete = True
            if self._voice is not None and self._fed:
                self._voice.finish()

    def _feed(self, bit: str) -> None:
        tokens = self._answer.tokens
        if self._voice is None:
            return
        if self._fed < len(tokens):
            self._voice.feed_tokens(tokens[self._fed :])
            self._fed = len(tokens)
        elif not tokens and bit:
            self._voice.feed(bit)
            self._fed = self._fed or bool(self._text.strip())

    def _write_all(self) -> None:
        while not self._complete:
            self._write_on()

    def _spoken(self) -> Iterator[Audio]:
        try:
            while not self._complete:
                self._write_on()
                piece = self._voice.read(0) if self._voice is not None and self._fed else None
                if piece is not None:
                    yield piece
            if self._voice is None or not self._fed:
                yield self._silence()
            else:
                yield from self._voice
        finally:
            if self._voice is not None:
                self._voice.cancel(drop=True)
