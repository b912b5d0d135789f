"""What the thinker writes, as it is written."""

from __future__ import annotations

from omniggml import _native
from omniggml.tokenizer import Tokenizer
from omniggml.writing import Conversation, Writing


class AnswerText(Writing):
    """Bits of an answer's text, each of whole letters; leaving off early costs nothing. `tokens` so far; `n_prompt`:
    tokens of the conversation; `stop_reason`: empty until the end, then as `Reply.stop_reason`."""

    def __init__(self, generator: _native.TextGenerator, tokenizer: Tokenizer, conversation: Conversation) -> None:
        self.tokens: list[int] = []
        self.conversation = conversation
        self.n_prompt = len(conversation.tokens)
        self._generator, self._tokenizer = generator, tokenizer
        self._shown = ""

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

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
