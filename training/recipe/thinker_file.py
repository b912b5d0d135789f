"""The thinker of a GGUF file as the recipe trains it: with the weights that the engine will compute with."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from omniggml.gguf.header import read_header
from omniggml.gguf.type_names import dequantize
from omniggml.spec.llama_names import llama_name

from .thinker import Thinker

_EXPERT = re.compile(r"\.experts\.(\d+)\.")


def read_thinker(path: Path) -> Thinker:
    """The weights of `voice-thinker.gguf`, as they are in the file."""
    header, model = read_header(path), Thinker()
    with torch.no_grad():
        # What `tensors` yields are views of the fused matrices.
        for name, view in model.tensors():
            expert = _EXPERT.search(name)
            stored = header.tensors[llama_name(_EXPERT.sub(".experts.", name))]
            values = torch.from_numpy(dequantize(header.read(stored), stored.type).reshape(stored.shape))
            view.copy_(values[int(expert[1])] if expert else values)
    return model.eval().requires_grad_(False)
