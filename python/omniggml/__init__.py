"""Qwen3-Omni speech from GGUF files, on ggml."""
