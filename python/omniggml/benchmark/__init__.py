"""How fast a model speaks on this machine, stage by stage, and how far that is from what the machine can do.

print("\\n".join(omniggml.bench("x-speech.gguf").lines()))
"""
