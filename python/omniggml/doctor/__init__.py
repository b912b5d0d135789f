"""The doctor: why does it sound like noise?

    import omniggml
    found = omniggml.diagnose("models/omni-speech.gguf", codes="codes.npy", audio="theirs.wav")
    print(found.verdict)

`docs/doctor.md` lists every finding. Arrows: checks -> case and counterfactuals -> the engine's public interface.
"""
