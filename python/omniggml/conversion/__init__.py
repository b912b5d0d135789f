"""Hugging Face checkpoints -> GGUF files.

    omniggml.convert("Qwen3-Omni-30B-A3B-Instruct", "models", type="q8_0")

writes `models/Qwen3-Omni-30B-A3B-Instruct-speech.gguf` and `...-thinker.gguf`; `docs/gguf.md` describes both.
"""
