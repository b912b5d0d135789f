"""Hugging Face checkpoints -> GGUF files, and small random checkpoints to try that with.

    from omniggml.convert import convert
    convert("Qwen3-Omni-30B-A3B-Instruct", "models", type="q8_0")

writes `models/Qwen3-Omni-30B-A3B-Instruct-speech.gguf` and `...-thinker.gguf`; `docs/gguf.md` describes both.
"""

from omniggml.convert.checkpoint_to_gguf import convert
from omniggml.convert.geometries import GEOMETRIES, PUBLISHED, Geometry
from omniggml.convert.precision import PRECISIONS
from omniggml.convert.random_checkpoint import write_random_checkpoint

__all__ = ["GEOMETRIES", "PRECISIONS", "PUBLISHED", "Geometry", "convert", "write_random_checkpoint"]
