"""Encoders that are checked when their file is named and read when there is something to hear."""

from __future__ import annotations

from threading import Lock

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.options import LoadOptions
from omniggml.spec.mmproj_file import CUT_SILENCE, HAS_AUDIO, HAS_VISION, WIDTHS, vision_input


class LateEncoders:
    """Safe to use from several threads. `hears`, `sees`: which of them there are; `width`: of the rows they make, the
    thinker's; `images`: what the vision encoder's input is; `cuts_silence`: whether the file asks for `sounding`."""

    def __init__(self, file: _native.GgufFile, options: LoadOptions) -> None:
        """Raises ModelFileError for a file that can't be loaded, short of its values."""
        _native.MediaEncoders.check(file)
        self.path = file.path
        metadata = file.metadata()
        self.hears, self.sees = bool(metadata.get(HAS_AUDIO)), bool(metadata.get(HAS_VISION))
        widths = [metadata[key] for key, there in zip(WIDTHS, (self.hears, self.sees), strict=True) if there]
        if len(set(widths)) != 1:
            raise ModelFileError(f"{file.path} makes rows of {widths[0]} values of audio and {widths[1]} of images")
        self.width = int(widths[0])
        self.images = vision_input(metadata)
        self.cuts_silence = metadata.get(CUT_SILENCE) is True
        self._file, self._device, self._mmap = file, options.device, options.mmap
        self._loaded: _native.MediaEncoders | None = None
        self._lock = Lock()

    def loaded(self) -> _native.MediaEncoders:
        """Raises ModelFileError for values that are not finite, OutOfMemoryError."""
        with self._lock:
            if self._loaded is None:
                self._loaded = _native.MediaEncoders(self._file, self._device, mmap=self._mmap)
            return self._loaded
