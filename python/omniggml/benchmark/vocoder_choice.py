"""What `vocoder_precision="auto"` means on this machine's CPU, for people."""

from __future__ import annotations

from typing import Any


def vocoder_choice_text(choice: dict[str, Any]) -> str:
    """One line from `_native.vocoder_choice()`."""
    if not choice["bf16"]:
        return "auto is f32: this CPU has no fast bfloat16 products"
    times = f"{choice['f32']:.1f} ms in f32, {choice['bf16']:.1f} in bf16"
    auto = "f32" if choice["auto"] == "f32" else f"{choice['auto']}, for weights stored in F32 f32"
    return f"auto is {auto}: the same convolutions take {times}"
