"""GGUF files as people have them: recognised, described, and opened for the engine.

    import omniggml
    print(omniggml.inspect("models/omni-speech.gguf").family)

`docs/files.md` lists the families; `families.py` holds their tables of names.
"""
