"""What every message for a person has to be."""

from __future__ import annotations


def one_sentence(message: str, *parts: str) -> None:
    """Fail unless the message is one line, not too long, and holds every part."""
    assert message.strip(), "an empty message"
    assert "\n" not in message and len(message) < 600, message
    assert "Traceback" not in message and "incompatible" not in message, message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
