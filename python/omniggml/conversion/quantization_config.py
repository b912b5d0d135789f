"""How a checkpoint says that its weights are quantized: `quantization_config` of its `config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.files.json_object import read_json_object

_TITLES = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "auto-round": "AutoRound",
    "bitsandbytes": "bitsandbytes",
    "fp8": "FP8",
    "fbgemm_fp8": "FBGEMM FP8",
    "mxfp4": "MXFP4",
    "nvfp4": "NVFP4",
    "compressed-tensors": "compressed-tensors",
}
_KEYS = ("quantization_config", "compression_config")
_USUAL_BLOCK = (128, 128)


@dataclass(frozen=True)
class Quantization:
    """`title`: the method as people call it. `block`: rows and columns that share a scale, where blocks do."""

    title: str
    block: tuple[int, int] = _USUAL_BLOCK


def read_quantization(directory: Path) -> Quantization | None:
    """None where the weights are plain. Raises ConversionError where `config.json` can't be read."""
    path = directory / "config.json"
    config = read_json_object(path) if path.exists() else {}
    thinker = config.get("thinker_config")
    for section in (config, thinker if isinstance(thinker, dict) else {}):
        for key in _KEYS:
            if isinstance(section.get(key), dict):
                return _quantization(section[key])
    modelopt = directory / "hf_quant_config.json"
    return _quantization(read_json_object(modelopt).get("quantization") or {}) if modelopt.exists() else None


def _quantization(values: Any) -> Quantization:
    method = str(values.get("quant_method") or values.get("quant_algo") or "an unnamed method").lower()
    form = str(values.get("format") or values.get("quant_algo") or "").lower()
    title = "NVFP4" if "nvfp4" in f"{method} {form}" else _TITLES.get(method, method)
    block = values.get("weight_block_size")
    sound = isinstance(block, list) and len(block) == 2 and all(type(size) is int and size > 0 for size in block)
    return Quantization(title, (block[0], block[1]) if sound else _USUAL_BLOCK)
