"""The built-in voice's vocoder as the doctor's mirror, and codes that it may be given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import omniggml
from omniggml.doctor.case import Case
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.loading import BUILT_IN


def voice_mirror() -> VocoderMirror:
    found = Case(BUILT_IN).mirror
    assert found is not None
    return found


def voice_codes() -> npt.NDArray[np.int32]:
    """int32 [groups, 24 frames]."""
    model = omniggml.load(BUILT_IN, thinker=False, n_threads=1)
    return model.speak("The river rose all night long, and nobody saw it.", seed=5, max_frames=24).codes
