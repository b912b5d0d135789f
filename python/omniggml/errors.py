"""Every exception omniggml raises on purpose: one base class, one sentence each.

The message says what was found, what was expected and, where it helps, what to do; it names the file and the tensor.
The command line prints the message alone, so it has to make sense without a traceback. Names in it come from files, so
that it is made one printable line of bounded length here, for all who raise.
"""

from omniggml.printable import printable


class OmniError(Exception):
    """Base of every error omniggml raises on purpose; catch this to catch them all."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(str(message)))


class InputError(OmniError):
    """An argument or a text handed in by the caller can't be used."""


class ContextLengthError(InputError):
    """A conversation is longer than the context of the model that is to answer it."""


class ModelFileError(OmniError):
    """A GGUF file is missing, damaged, or does not add up."""


class ConversionError(OmniError):
    """A checkpoint can't be read, or can't be turned into GGUF files."""


class OutOfMemoryError(OmniError):
    """A device could not give the memory that weights, caches or a computation need."""


class NumericError(OmniError):
    """A model computed NaN or infinity: its weights are damaged, or overflow at this precision."""


class BusyError(OmniError):
    """An engine has as many speeches waiting as it takes, or takes no more; try again later."""
