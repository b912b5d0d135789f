"""Hugging Face checkpoints -> GGUF files, and small random checkpoints to try that with."""
