"""An answer that is spoken while it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from omniggml.audio import Audio
from omniggml.engine import Speaking
from omniggml.writing import Dictation, Writing


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
        self._dictation = None if voice is None else Dictation(answer, voice)
        self._text = ""
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
        if self._dictation is not None:
            self._dictation.go_on(bit or "")
        if bit is None:
            self._complete = True
            if self._dictation is not None:
                self._dictation.finish()

    @property
    def _says(self) -> bool:
        """Whether there was anything to say so far."""
        return self._dictation is not None and self._dictation.begun

    def _write_all(self) -> None:
        while not self._complete:
            self._write_on()

    def _spoken(self) -> Iterator[Audio]:
        try:
            while not self._complete:
                self._write_on()
                piece = self._voice.read(0) if self._voice is not None and self._says else None
                if piece is not None:
                    yield piece
            if self._voice is None or not self._says:
                yield self._silence()
            else:
                yield from self._voice
        finally:
            self._answer.close()
            if self._voice is not None:
                self._voice.cancel(drop=True)
