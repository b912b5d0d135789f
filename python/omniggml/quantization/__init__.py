"""GGUF files in smaller types, by policies that say which tensor may be how small.

    omniggml.quantize("models/omni-speech.gguf", "small-speech.gguf", policy="q4_k")

`docs/quantization.md` lists the policies.
"""
