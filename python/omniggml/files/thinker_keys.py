"""llama.cpp's keys that say how a model is to be run: applied as there, or refused, never passed over."""

from __future__ import annotations

from typing import Any

from omniggml.errors import ModelFileError
from omniggml.gguf.header import Header
from omniggml.spec.thinker_file import EXTRA, GENERAL_SAMPLING
from omniggml.warning import warn

# llama.cpp's name -> ours.
_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "penalty_repeat": "repetition_penalty",
}
# Settings that make no difference; others of the kind are of samplers that don't exist here.
_NEUTRAL = {"min_p": 0, "xtc_probability": 0, "mirostat": 0}


def sampling_of_llama_cpp(header: Header) -> dict[str, Any]:
    """`general.sampling.*` as our keys, where the file has none of these. Warns of what isn't done here."""
    told = {
        key.removeprefix(GENERAL_SAMPLING): value
        for key, value in header.metadata.items()
        if key.startswith(GENERAL_SAMPLING) and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    if not told or any(key.startswith(f"{EXTRA}.generation.") for key in header.metadata):
        return {}
    if undone := [name for name, neutral in _NEUTRAL.items() if told.get(name, neutral) != neutral]:
        warn(f"{header.path} asks for {', '.join(undone)} in sampling, which is not done here")
    ours = {f"{EXTRA}.generation.{_SAMPLING[name]}": value for name, value in told.items() if name in _SAMPLING}
    temperature = told.get("temp")
    if temperature is not None:
        ours[f"{EXTRA}.generation.do_sample"] = temperature > 0
        if temperature <= 0:
            del ours[f"{EXTRA}.generation.temperature"]
    return ours


def refuse_scaled_rope(header: Header) -> None:
    """Raises ModelFileError where positions are to be scaled (YaRN and the like), which isn't implemented."""
    prefix = f"{header.architecture}.rope."
    kind = header.metadata.get(f"{prefix}scaling.type", "none")
    factor = header.metadata.get(f"{prefix}scaling.factor", header.metadata.get(f"{prefix}scale_linear", 1))
    if kind not in ("none", "") or factor not in (0, 1):
        raise ModelFileError(
            f"{header.path} asks for positions scaled by {factor} ({kind}), which is not implemented: make the file "
            f"without its keys {prefix}scaling.*, as the model was trained"
        )
