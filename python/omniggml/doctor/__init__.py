"""The doctor: why does it sound like noise?

    import omniggml
    found = omniggml.doctor("models/omni-speech.gguf", codes="codes.npy", audio="theirs.wav")
    print(found.verdict)

`docs/doctor.md` lists every finding. Arrows: checks -> case and counterfactuals -> the engine's public interface.
"""

from omniggml.doctor.catalogue import CATALOGUE, Severity
from omniggml.doctor.examination import examine
from omniggml.doctor.finding import Diagnosis, Exit, Finding

__all__ = ["CATALOGUE", "Diagnosis", "Exit", "Finding", "Severity", "examine"]
