"""From audio in messages to what the thinker reads in the places of the placeholders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import InputError
from omniggml.media.audio_input import LONGEST, Longest, read_samples
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import HeardPart
from omniggml.media.sounding import sounding
from omniggml.probe import active

FloatArray = npt.NDArray[np.float32]
AUDIO_PAD = "<|audio_pad|>"
"""The control token that stands in a prompt for what is heard; repeated, once for each row."""

_ROWS_A_SECOND = 13
_LEAST_ROWS_A_SECOND = 12.5
"""Of the part of a second that is left over, a row for 80 ms."""


@dataclass(frozen=True)
class Room:
    """`rows` that a context of so many positions has left for audio."""

    rows: int
    context: int

    @property
    def longest(self) -> Longest:
        """What is longer than this has more rows for sure."""
        seconds = (max(0, self.rows) + _ROWS_A_SECOND) / _LEAST_ROWS_A_SECOND
        return Longest(
            min(seconds, LONGEST.seconds),
            f"the {self.rows / _ROWS_A_SECOND:.0f} seconds that the thinker's context of {self.context} positions has "
            "room for; cut it",
        )


def encode_audio(
    encoders: LateEncoders,
    part: HeardPart,
    n_threads: int,
    what: str = "the audio",
    room: Room | None = None,
    timed: bool = False,
) -> FloatArray:
    """Rows for the thinker, float32 [tokens, width], about 13 a second of audio. `timed`: it belongs to images, and
    nothing may be cut off. Raises InputError before anything is encoded where there is no room for them."""
    native = encoders.loaded()
    geometry = native.audio_geometry
    if geometry is None:
        raise InputError(f"{encoders.path} holds no audio encoder")
    samples = read_samples(part.audio, part.rate, what=what, longest=LONGEST if room is None else room.longest)
    if encoders.cuts_silence and not timed:
        samples = sounding(samples)
    features = _native.log_mel(samples, geometry["num_mel_bins"], n_threads=n_threads)
    if room is not None and native.audio_tokens(features.shape[1]) > room.rows:
        raise InputError(f"{what} is longer than {room.longest.told}")
    return _native.AudioEncoderSession(native, n_threads, active.get()).encode(features)
