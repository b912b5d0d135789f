"""Every exception omniggml raises on purpose: one base class, one sentence each.

The message says what was found, what was expected and, where it helps, what to do; it names the file and the tensor.
The command line prints the message alone, so it has to make sense without a traceback.
"""


class OmniError(Exception):
    """Base of every error omniggml raises on purpose; catch this to catch them all."""


class InputError(OmniError):
    """An argument or a text handed in by the caller can't be used."""


class ModelFileError(OmniError):
    """A GGUF file is missing, damaged, or does not add up."""


class ConversionError(OmniError):
    """A checkpoint can't be read, or can't be turned into GGUF files."""


class OutOfMemoryError(OmniError):
    """A device could not give the memory that weights, caches or a computation need."""


class NumericError(OmniError):
    """A model computed NaN or infinity: its weights are damaged, or overflow at this precision."""
