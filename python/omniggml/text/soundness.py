"""What is no text is refused before anything looks at it."""

from __future__ import annotations

from omniggml.errors import InputError

STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a library raises that stumbles over a text. What a signal's handler raises is a timeout or of its own class."""


def check_text(name: str, text: object) -> str:
    """The same text. Raises InputError for another type, a zero byte, or half of a surrogate pair."""
    if not isinstance(text, str):
        raise InputError(f"{name} is of type {type(text).__name__}; expected str")
    zero = text.find("\0")
    if zero >= 0:
        raise InputError(f"{name} holds a zero byte at character {zero}; it is no text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid Unicode at character {error.start}: it can't be encoded") from None
    return text
