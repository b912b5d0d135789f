"""What the thinker writes, as it is written."""

from __future__ import annotations

from collections.abc import Iterator

from omniggml import _native
from omniggml.tokenizer import Tokenizer


class AnswerText(Iterator[str]):
    """Bits of an answer's text, each of whole letters; leaving off early costs nothing. `tokens` so far; `n_prompt`:
    tokens of the conversation; `stop_reason`: empty until the end, then as `Reply.stop_reason`."""

    def __init__(self, generator: _native.TextGenerator, tokenizer: Tokenizer, n_prompt: int) -> None:
        self.tokens: list[int] = []
        self.n_prompt = n_prompt
        self._generator, self._tokenizer = generator, tokenizer
        self._shown = ""

    @property
    def stop_reason(self) -> str:
        return str(self._generator.stop_reason)

    def __next__(self) -> str:
        while (token := self._generator.next()) >= 0:
            self.tokens.append(token)
            text = self._tokenizer.decode(self.tokens)
            # A letter may take more tokens than have come.
            if not text.endswith("\ufffd") and text.startswith(self._shown) and text != self._shown:
                return self._new(text)
        text = self._tokenizer.decode(self.tokens)
        if text == self._shown:
            raise StopIteration
        return self._new(text)

    def _new(self, text: str) -> str:
        bit, self._shown = text.removeprefix(self._shown), text
        return bit
