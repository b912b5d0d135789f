"""What both sides are given, and what the reference makes of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml.synthetic.geometries import Geometry

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Case:
    """Inputs of a teacher-forced run.

    `tokens` [n] for the thinker; the talker reads `prompt_tokens` as its prompt, then with each frame of `codes`
    [groups, frames] one of `text_tokens`; the code predictor reads the same frames; code2wav reads `wave_codes`
    [groups, frames].
    """

    tokens: IntArray
    prompt_tokens: IntArray
    text_tokens: IntArray
    codes: IntArray
    wave_codes: IntArray


@dataclass(frozen=True)
class Recording:
    """A teacher-forced run of the reference.

    `outputs`: module path -> array, joined along time as the engine joins it. The other arrays are what the reference
    computed on the way and the engine is given: `talker_prompt` [positions, hidden], `frame_text` [frames, hidden],
    `frame_hidden` [frames, hidden] for the code predictor, `thinker_hidden` [positions, thinker hidden].
    """

    outputs: dict[str, FloatArray]
    talker_prompt: FloatArray
    frame_text: FloatArray
    frame_hidden: FloatArray
    thinker_hidden: FloatArray


def make_case(
    geometry: Geometry, *, n_tokens: int = 70, n_prompt: int = 55, n_frames: int = 15, n_wave: int = 40
) -> Case:
    """The case of a geometry.

    The defaults cross what the engine does in steps: attention over 64 positions, 32 frames of audio at once.
    """
    draw = np.random.default_rng(zlib.crc32(geometry.name.encode())).integers
    text = geometry.thinker.vocab_size
    wav = geometry.code2wav
    groups = geometry.code_predictor.num_code_groups
    return Case(
        tokens=draw(0, text, n_tokens, dtype=np.int32),
        prompt_tokens=draw(0, text, n_prompt, dtype=np.int32),
        text_tokens=draw(0, text, n_frames, dtype=np.int32),
        codes=draw(0, geometry.code_predictor.vocab_size, (groups, n_frames), dtype=np.int32),
        wave_codes=draw(0, wav.codebook_size, (wav.num_quantizers, n_wave), dtype=np.int32),
    )
