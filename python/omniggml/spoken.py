"""What an engine says of one speech, as audio."""

from __future__ import annotations

from collections.abc import Iterator

from omniggml import _native
from omniggml.audio import Audio
from omniggml.errors import OmniError


def spoken(speech: _native.EngineSpeech, sample_rate: int) -> Iterator[Audio]:
    """Its pieces as they come; a listener who leaves ends it.

    Ctrl-C, or what another signal's handler raises, ends the speech within a frame: what was spoken is still yielded,
    and then it is raised.
    """
    interruption: BaseException | None = None
    heard = 0
    try:
        while not speech.ended or speech.n_given > heard:
            try:
                piece = speech.read()
            except OmniError:
                raise
            except BaseException as raised:
                interruption = interruption or raised
                speech.cancel()
                # It may have been given already.
                piece = speech.newest if speech.n_given > heard else None
            if piece is not None:
                heard = speech.n_given
                yield Audio(piece[0], sample_rate, piece[1], piece[2])
    finally:
        speech.cancel(drop=True)
    if interruption is not None:
        raise interruption
