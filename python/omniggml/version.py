"""Which omniggml this is, and on which ggml it was built."""

from omniggml._native import __version__, ggml_version

__all__ = ["__version__", "ggml_version"]
