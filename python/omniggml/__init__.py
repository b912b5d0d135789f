"""Qwen3-Omni speech from GGUF files, on ggml.

    import omniggml
    model = omniggml.load("x-speech.gguf")
    model.speak("hello world").save("hello.wav")

Text -> Thinker -> Talker -> Code2Wav -> samples, natively, with every intermediate tensor within reach.

Every name is imported when it is first used, so that `import omniggml` takes no time, and the command can be
interrupted while it starts.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; the module of that name is imported where it is needed
if TYPE_CHECKING:
    from typing import Any

    from omniggml._native import __version__, devices, ggml_version
    from omniggml.answer_text import AnswerText
    from omniggml.audio import Audio, Recorded
    from omniggml.benchmark.measurement import BenchKeywords, bench
    from omniggml.benchmark.report import BenchReport
    from omniggml.c_interface import get_include
    from omniggml.comparison.agreement import Agreement, Gate
    from omniggml.comparison.comparing import Comparison, Row, compare
    from omniggml.conversion.checkpoint_to_gguf import convert
    from omniggml.doctor.catalogue import Severity
    from omniggml.doctor.examination import diagnose
    from omniggml.doctor.finding import Diagnosis, Exit, Finding
    from omniggml.engine import Speaking, SpeechEngine, SpeechTimings
    from omniggml.errors import (
        BusyError,
        ConversionError,
        InputError,
        ModelFileError,
        NumericError,
        OmniError,
        OutOfMemoryError,
    )
    from omniggml.files.inspection import Concern, Inspection, Share, inspect
    from omniggml.loading import load
    from omniggml.media.audio_input import AudioLike, log_mel
    from omniggml.media.image_input import ImageLike
    from omniggml.media.seeing import Seen
    from omniggml.model import Model, Reply, TalkerPrompt, TalkerStates, ThinkerOutput
    from omniggml.options import LoadKeywords, LoadOptions, SpeechKeywords, SpeechOptions, TextOptions
    from omniggml.plots import plot
    from omniggml.probe import Reading
    from omniggml.quantization.damage import Damage
    from omniggml.quantization.imatrix import Statistics, imatrix
    from omniggml.quantization.quantizer import Change, Quantized, quantize
    from omniggml.quantization.search import FoundPolicy, search_policy
    from omniggml.segments import Segment
    from omniggml.spec.policy import Policy, policy_names, read_policy
    from omniggml.streamed_reply import StreamedReply
    from omniggml.thinker_server import ThinkerServer
    from omniggml.tokenizer import Tokenizer

_LAZY = {
    "Agreement": "comparison.agreement",
    "AnswerText": "answer_text",
    "Audio": "audio",
    "AudioLike": "media.audio_input",
    "BenchKeywords": "benchmark.measurement",
    "Change": "quantization.quantizer",
    "Comparison": "comparison.comparing",
    "Concern": "files.inspection",
    "ConversionError": "errors",
    "Damage": "quantization.damage",
    "Diagnosis": "doctor.finding",
    "Exit": "doctor.finding",
    "Finding": "doctor.finding",
    "FoundPolicy": "quantization.search",
    "Gate": "comparison.agreement",
    "InputError": "errors",
    "Inspection": "files.inspection",
    "LoadKeywords": "options",
    "LoadOptions": "options",
    "Model": "model",
    "ModelFileError": "errors",
    "BusyError": "errors",
    "NumericError": "errors",
    "OmniError": "errors",
    "OutOfMemoryError": "errors",
    "Policy": "spec.policy",
    "Quantized": "quantization.quantizer",
    "Reading": "probe",
    "Recorded": "audio",
    "Reply": "model",
    "BenchReport": "benchmark.report",
    "Row": "comparison.comparing",
    "Segment": "segments",
    "Severity": "doctor.catalogue",
    "Share": "files.inspection",
    "Statistics": "quantization.imatrix",
    "Speaking": "engine",
    "SpeechEngine": "engine",
    "SpeechKeywords": "options",
    "SpeechOptions": "options",
    "SpeechTimings": "engine",
    "StreamedReply": "streamed_reply",
    "TalkerPrompt": "model",
    "TalkerStates": "model",
    "TextOptions": "options",
    "ThinkerOutput": "model",
    "ThinkerServer": "thinker_server",
    "Tokenizer": "tokenizer",
    "__version__": "_native",
    "bench": "benchmark.measurement",
    "compare": "comparison.comparing",
    "convert": "conversion.checkpoint_to_gguf",
    "devices": "_native",
    "diagnose": "doctor.examination",
    "get_include": "c_interface",
    "ggml_version": "_native",
    "imatrix": "quantization.imatrix",
    "inspect": "files.inspection",
    "load": "loading",
    "log_mel": "media.audio_input",
    "plot": "plots",
    "policy_names": "spec.policy",
    "quantize": "quantization.quantizer",
    "read_policy": "spec.policy",
    "search_policy": "quantization.search",
    "ImageLike": "media.image_input",
    "Seen": "media.seeing",
}
"""Public name -> the module that has it."""

__all__ = [
    "Agreement",
    "AnswerText",
    "Audio",
    "AudioLike",
    "BenchKeywords",
    "BenchReport",
    "BusyError",
    "Change",
    "Comparison",
    "Concern",
    "ConversionError",
    "Damage",
    "Diagnosis",
    "Exit",
    "Finding",
    "FoundPolicy",
    "Gate",
    "ImageLike",
    "InputError",
    "Inspection",
    "LoadKeywords",
    "LoadOptions",
    "Model",
    "ModelFileError",
    "NumericError",
    "OmniError",
    "OutOfMemoryError",
    "Policy",
    "Quantized",
    "Reading",
    "Recorded",
    "Reply",
    "Row",
    "Seen",
    "Segment",
    "Severity",
    "Share",
    "Speaking",
    "SpeechEngine",
    "SpeechKeywords",
    "SpeechOptions",
    "SpeechTimings",
    "Statistics",
    "StreamedReply",
    "TalkerPrompt",
    "TalkerStates",
    "TextOptions",
    "ThinkerOutput",
    "ThinkerServer",
    "Tokenizer",
    "__version__",
    "bench",
    "compare",
    "convert",
    "devices",
    "diagnose",
    "get_include",
    "ggml_version",
    "imatrix",
    "inspect",
    "load",
    "log_mel",
    "plot",
    "policy_names",
    "quantize",
    "read_policy",
    "search_policy",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LAZY:
        from importlib.util import find_spec

        if not name.startswith("_") and find_spec(f"omniggml.{name}") is not None:
            return import_module(f"omniggml.{name}")
        raise AttributeError(f"module 'omniggml' has no attribute {name!r}")
    # First, since on a CPU that is too old it says so, where NumPy ends the process.
    import_module("omniggml._native")
    value = getattr(import_module(f"omniggml.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
