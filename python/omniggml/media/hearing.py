"""From audio in messages to what the thinker reads in the places of the placeholders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import InputError
from omniggml.media.audio_input import read_samples
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import HeardPart
from omniggml.probe import active

FloatArray = npt.NDArray[np.float32]
AUDIO_PAD = "<|audio_pad|>"
"""The control token that stands in a prompt for what is heard; repeated, once for each row."""


def encode_audio(encoders: LateEncoders, part: HeardPart, n_threads: int, what: str = "the audio") -> FloatArray:
    """Rows for the thinker, float32 [tokens, width], about 13 a second of audio."""
    native = encoders.loaded()
    geometry = native.audio_geometry
    if geometry is None:
        raise InputError(f"{encoders.path} holds no audio encoder")
    samples = read_samples(part.audio, part.rate, what=what)
    features = _native.log_mel(samples, geometry["num_mel_bins"], n_threads=n_threads)
    return _native.AudioEncoderSession(native, n_threads, active.get()).encode(features)
