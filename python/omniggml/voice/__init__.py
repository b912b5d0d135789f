"""The built-in voice: how a text has to be written for it."""

from omniggml.voice.spoken_text import spoken_text

__all__ = ["spoken_text"]
