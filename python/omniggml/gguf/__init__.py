"""Bytes of GGUF files: reading what one says of itself, and writing one so that its name never stands for half of it.

Nothing here knows what a Qwen3-Omni is.
"""
