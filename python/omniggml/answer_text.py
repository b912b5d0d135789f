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
        self._n_shown = 0

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    @property
    def stop_reason(self) -> str:
        return str(self._generator.stop_reason)

    def __next__(self) -> str:
        while (token := self._generator.next()) >= 0:
            self.tokens.append(token)
            bit = self._rest()
            # A letter may take more tokens than have come.
            if bit and not bit.endswith("\ufffd"):
                return self._new(bit)
        bit = self._rest()
        if not bit:
            raise StopIteration
        return self._new(bit)

    def _rest(self) -> str:
        return self._tokenizer.decode(self.tokens[self._n_shown :])

    def _new(self, bit: str) -> str:
        self._n_shown = len(self.tokens)
        return bit
