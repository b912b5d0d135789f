"""Qwen3-Omni speech from GGUF files, on ggml.

    import omniggml
    model = omniggml.load("x-speech.gguf")
    model.speak("hello world").save("hello.wav")

Text -> Thinker -> Talker -> Code2Wav -> samples, natively, with every intermediate tensor within reach.
"""

from omniggml._native import __version__, devices, ggml_version
from omniggml.audio import Audio
from omniggml.doctor import Diagnosis, Finding
from omniggml.doctor import examine as doctor
from omniggml.errors import InputError, ModelFileError, NumericError, OmniError, OutOfMemoryError
from omniggml.files import Inspection, inspect
from omniggml.loading import load
from omniggml.model import Model, Reply, StreamedReply, TalkerPrompt, ThinkerOutput
from omniggml.options import SpeechOptions, TextOptions

__all__ = [
    "Audio",
    "Diagnosis",
    "Finding",
    "InputError",
    "Inspection",
    "Model",
    "ModelFileError",
    "NumericError",
    "OmniError",
    "OutOfMemoryError",
    "Reply",
    "SpeechOptions",
    "StreamedReply",
    "TalkerPrompt",
    "TextOptions",
    "ThinkerOutput",
    "__version__",
    "devices",
    "doctor",
    "ggml_version",
    "inspect",
    "load",
]
