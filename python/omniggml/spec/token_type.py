"""Kinds of token, as `tokenizer.ggml.token_type` numbers them."""

from enum import IntEnum


class TokenType(IntEnum):
    """llama.cpp's numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6
