"""How fast a model speaks on this machine, stage by stage, and how far that is from what the machine can do.

from omniggml.bench import bench
print("\\n".join(bench("x-speech.gguf").lines()))
"""

from omniggml.bench.figure import Figure
from omniggml.bench.made_model import make_model
from omniggml.bench.measurement import Settings, bench
from omniggml.bench.report import Report

__all__ = ["Figure", "Report", "Settings", "bench", "make_model"]
