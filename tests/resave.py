"""Save a checkpoint again as the installed transformers does. Usage: resave.py SOURCE TARGET [fused]

`fused`: a layer's experts as that version holds them in memory, where it can save them so. Prints the version.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import transformers


def resave(source: Path, target: Path, *, fused: bool = False) -> str:
    """Load and save model, tokenizer and configuration, in bfloat16; returns transformers' version."""
    modern = int(transformers.__version__.partition(".")[0]) >= 5
    dtype = {"dtype" if modern else "torch_dtype": "bfloat16"}
    model: Any = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(source, **dtype)
    model.save_pretrained(target, max_shard_size="400KB", **({"save_original_format": False} if fused else {}))
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
    tokenizer.save_pretrained(target)
    return transformers.__version__


if __name__ == "__main__":
    print(resave(Path(sys.argv[1]), Path(sys.argv[2]), fused="fused" in sys.argv[3:]))
