"""From audio in messages to what the thinker reads in the places of the placeholders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import InputError, ModelFileError
from omniggml.media.audio_input import read_samples
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import HeardPart
from omniggml.probe import active

FloatArray = npt.NDArray[np.float32]
AUDIO_PAD = "<|audio_pad|>"
"""The control token that stands in a prompt for what is heard; repeated, once for each row."""


@dataclass(frozen=True)
class Heard:
    """A conversation's `tokens`, every placeholder as often as there are rows for it, and the `media` in their places,
    None where there is nothing to hear."""

    tokens: list[int]
    media: _native.ThinkerMedia | None = None


def encode_audio(encoders: LateEncoders, part: HeardPart, n_threads: int, what: str = "the audio") -> FloatArray:
    """Rows for the thinker, float32 [tokens, width], about 13 a second of audio."""
    native = encoders.loaded()
    geometry = native.audio_geometry
    if geometry is None:
        raise InputError(f"{encoders.path} holds no audio encoder")
    samples = read_samples(part.audio, part.rate, what=what)
    features = _native.log_mel(samples, geometry["num_mel_bins"], n_threads=n_threads)
    return _native.AudioEncoderSession(native, n_threads, active.get()).encode(features)


def heard(
    tokens: Sequence[int],
    pad: int,
    parts: Sequence[HeardPart],
    encoders: LateEncoders,
    n_threads: int,
    context: int,
) -> Heard:
    """The conversation with what is heard in the places of its placeholders, `pad`.

    Raises ModelFileError where the chat template didn't make one for each part, InputError for audio that can't be
    read, or more of it than the context holds.
    """
    if (found := list(tokens).count(pad)) != len(parts):
        raise ModelFileError(
            f"the chat template made {found} places for {len(parts)} parts of audio; it is not of a model that hears"
        )
    out: list[int] = []
    rows: list[FloatArray] = []
    waiting = iter(enumerate(parts, 1))
    for token in tokens:
        if token != pad:
            out.append(token)
            continue
        number, part = next(waiting)
        rows.append(encode_audio(encoders, part, n_threads, "the audio" if len(parts) == 1 else f"audio {number}"))
        out += [pad] * len(rows[-1])
        if len(out) > context:
            raise InputError(
                f"the conversation needs more than the {context} positions of the thinker's context, about 13 a second "
                "of audio; use shorter audio"
            )
    at = [place for place, token in enumerate(out) if token == pad]
    return Heard(out, _native.ThinkerMedia(at, np.concatenate(rows)))
