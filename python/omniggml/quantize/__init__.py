"""GGUF files in smaller types, by policies that say which tensor may be how small.

    from omniggml.quantize import quantize
    quantize("models/omni-speech.gguf", "small-speech.gguf", policy="q4_k")

`docs/quantization.md` lists the policies.
"""

from omniggml.quantize.policy import Policy, policy_names, read_policy
from omniggml.quantize.quantizer import Change, Quantized, by_type, quantize

__all__ = ["Change", "Policy", "Quantized", "by_type", "policy_names", "quantize", "read_policy"]
