"""A thinker that is checked when it is named and read when it is first asked: speaking needs none of its bytes."""

from __future__ import annotations

from threading import Lock

from omniggml import _native
from omniggml.options import LoadOptions
from omniggml.spec.llama_names import TOKEN_TABLE


class LateThinker:
    """Safe to use from several threads. `vocab_size`: rows of its table of tokens, `width`: of each."""

    def __init__(self, file: _native.GgufFile, options: LoadOptions) -> None:
        """Raises ModelFileError for a file that can't be loaded, short of its values."""
        _native.Thinker.check(file)
        self.path = file.path
        shapes = {entry["name"]: entry["shape"] for entry in file.tensors()}
        self.vocab_size: int = shapes[TOKEN_TABLE][0]
        self.width: int = shapes[TOKEN_TABLE][1]
        self._file, self._device, self._mmap = file, options.device, options.mmap
        self._loaded: _native.Thinker | None = None
        self._lock = Lock()

    def loaded(self) -> _native.Thinker:
        """Raises ModelFileError for values that are not finite, OutOfMemoryError."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _native.Thinker(self._file, self._device, mmap=self._mmap)
            return self._loaded
