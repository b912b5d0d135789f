"""Text to token ids and back, from the vocabulary that a GGUF file carries.

The file holds the tokens, their kinds and the merges; the splitting rule is known by name. The native tokenizer
(csrc/text) normalises, splits and merges as transformers' `Qwen2Tokenizer` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

from omniggml import _native
from omniggml.arrays import integers
from omniggml.checked import checked
from omniggml.errors import InputError, ModelFileError
from omniggml.printable import shown
from omniggml.spec.token_type import TokenType
from omniggml.text.plain_messages import as_plain

_ROLES = ("system", "user", "assistant", "tool")
_PARTS = ("text", "audio", "image", "video")

# Code points that Unicode promises never to assign; one that is in no text marks what must not be parsed.
_NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]


@checked
class Tokenizer:
    """The tokenizer of one model. Immutable, and safe to share between threads."""

    def __init__(
        self,
        tokens: Sequence[str],
        token_types: Sequence[int],
        merges: Sequence[str],
        eos_id: int,
        pad_id: int | None = None,
        pre: str = "qwen2",
        chat_template: str | None = None,
    ) -> None:
        """Build from the values of the `tokenizer.*` metadata keys, all plain Python data.

        `tokens[i]` is the text of id `i` in byte-level letters, `token_types[i]` its kind, `merges` lists pairs as
        "left right" in the order of their rank. Raises ModelFileError when they don't fit each other or `pre` names
        a splitting rule that isn't known.
        """
        kinds = integers("token_types", token_types)
        if kinds and not (min(kinds) >= 0 and max(kinds) < 2**31):
            raise ModelFileError(f"a token is of the type {max(kinds)}, which there is not")
        self._backend = _native.TextTokenizer(tokens, kinds, merges, pre)
        self.tokens = tuple(tokens)
        self.eos_id = _checked_id("eos", eos_id, len(tokens))
        self.pad_id = self.eos_id if pad_id is None else _checked_id("padding", pad_id, len(tokens))
        self._control = {
            token: index
            for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == TokenType.CONTROL
        }
        self._template = _chat_template(chat_template) if chat_template else None

    def __reduce__(self) -> NoReturn:
        raise InputError("a tokenizer can't be pickled or copied; it is safe to share, and a process loads its own")

    @property
    def vocab_size(self) -> int:
        """Number of ids, unused ones included: the rows of the embedding table."""
        return len(self.tokens)

    @property
    def has_chat_template(self) -> bool:
        return self._template is not None

    def token_id(self, token: str) -> int | None:
        """The id of a token's exact text, such as "<|im_start|>"; None when there is no such token."""
        index = self._backend.find(token)
        return None if index < 0 else index

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Token ids of `text`. Nothing is put before or after it.

        Text such as "<|im_end|>" becomes ordinary letters, so that what a user writes can't end his turn; with
        `parse_special` it becomes the control token. Raises InputError for text that is not valid Unicode.
        """
        return self._encoded(text, parse_special)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of token ids; control tokens are left out unless `skip_special` is false.

        Bytes that are not valid UTF-8, as in a character cut short, become U+FFFD. Ids without a token become
        nothing. Raises InputError for an id outside the vocabulary.
        """
        known = integers("token ids", ids)
        for index in (min(known, default=0), max(known, default=0)):
            if known and not 0 <= index < self.vocab_size:
                raise InputError(f"token id {index} is outside the vocabulary of {self.vocab_size}")
        return self._backend.decode(known, skip_special=skip_special)

    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """The prompt text for a conversation, by the model's own template.

        Each message has a `role` ("system", "user", "assistant") and a `content`, text or a list of parts. With
        `add_generation_prompt` the text ends where the assistant's answer begins. Raises InputError for messages of
        another form, or when there is no template, and ModelFileError when the template itself fails.

        Parsing the result with `parse_special` parses what users wrote too; `encode_chat` doesn't.
        """
        if self._template is None:
            raise InputError("the model has no chat template: build the prompt text yourself")
        text: str = self._template.render(
            _checked_messages(messages),
            add_generation_prompt=add_generation_prompt,
            tools=None,
            documents=None,
            eos_token=self.tokens[self.eos_id],
            pad_token=self.tokens[self.pad_id],
        )
        return text

    def encode_chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]:
        """Token ids of a conversation: the template's control tokens are parsed, those in the messages are not."""
        checked = _checked_messages(as_plain(messages))
        mark = _unused_mark(checked)
        text = self.apply_chat_template(self._guarded(checked, mark), add_generation_prompt)
        ids: list[int] = []
        for piece in self._split_at_control(text):
            index = self._control.get(piece)
            ids += self._encoded(piece.replace(mark, ""), False) if index is None else [index]
        return ids

    def _guarded(self, value: Any, mark: str) -> Any:
        """The same nested value with `mark` inside everything in its texts that is, or begins, a control token."""
        if isinstance(value, str):
            return self._guarded_text(value, mark)
        if isinstance(value, Mapping):
            return {key: self._guarded(item, mark) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._guarded(item, mark) for item in value]
        return value

    def _guarded_text(self, text: str, mark: str) -> str:
        # A token may also be put together from the end of one text and the beginning of the next.
        longest = max(map(len, self._control), default=0)
        for length in range(1, min(len(text), longest - 1) + 1):
            tail = text[-length:]
            if any(token.startswith(tail) for token in self._control):
                text = text[:-length] + tail[0] + mark + tail[1:]
                break
        return self._control_pattern.sub(lambda found: found[0][0] + mark + found[0][1:], text)

    def _encoded(self, text: str, parse_special: bool) -> list[int]:
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"the text is not valid Unicode at character {error.start}: it can't be encoded"
            ) from error
        return self._backend.encode(raw, parse_special=parse_special)

    def _split_at_control(self, text: str) -> Iterator[str]:
        return (piece for piece in self._control_pattern.split(text) if piece)

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        """Matches one control token, the longest where several begin; a group, so that `split` keeps it."""
        longest_first = sorted(self._control, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else re.compile("(?!)")


def _chat_template(source: str) -> Any:
    from omniggml.text.chat_template import (
        ChatTemplate,
    )  # over jinja2, which takes longer to import than all of omniggml

    return ChatTemplate(source)


def _checked_id(name: str, index: int, size: int) -> int:
    if not 0 <= index < size:
        raise ModelFileError(f"the {name} token id is {index}, the vocabulary has {size} tokens")
    return index


def _checked_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(messages, (str, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise InputError('messages has to be a list such as [{"role": "user", "content": "hello"}]')
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InputError(f"a message has to be a mapping with a role and a content, this one is {shown(message)}")
        if not isinstance(message.get("content"), (str, list, tuple)):
            raise InputError(
                f"the content of a message has to be text or a list of parts, in {shown(message)} it is not"
            )
        _check_parts(message)
    return [dict(message) for message in messages]


def _check_parts(message: Mapping[str, Any]) -> None:
    if message["role"] not in _ROLES:
        raise InputError(f"there is no role {shown(message['role'])}; the roles are {', '.join(_ROLES)}")
    for part in () if isinstance(message["content"], str) else message["content"]:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in _PARTS:
            raise InputError(f"a message has a part {shown(part)}; the types of parts are {', '.join(_PARTS)}")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise InputError(f"a part of the type text has to have a text, this one has not: {shown(part)}")


def _unused_mark(messages: Sequence[Mapping[str, Any]]) -> str:
    text = repr(messages)
    for mark in _NONCHARACTERS:
        if mark not in text and repr(mark)[1:-1] not in text:
            return mark
    raise InputError("the messages hold every noncharacter from U+FDD0 to U+FDEF: they are not text")
