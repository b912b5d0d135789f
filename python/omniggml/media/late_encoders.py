"""Encoders that are checked when their file is named and read when there is something to hear."""

from __future__ import annotations

from threading import Lock

from omniggml import _native
from omniggml.options import LoadOptions


class LateEncoders:
    """Safe to use from several threads. `width`: of the rows they make, the thinker's."""

    def __init__(self, file: _native.GgufFile, options: LoadOptions) -> None:
        """Raises ModelFileError for a file that can't be loaded, short of its values."""
        _native.MediaEncoders.check(file)
        self.path = file.path
        self.width = int(file.metadata()["clip.audio.projection_dim"])
        self._file, self._device, self._mmap = file, options.device, options.mmap
        self._loaded: _native.MediaEncoders | None = None
        self._lock = Lock()

    def loaded(self) -> _native.MediaEncoders:
        """Raises ModelFileError for values that are not finite, OutOfMemoryError."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _native.MediaEncoders(self._file, self._device, mmap=self._mmap)
            return self._loaded
