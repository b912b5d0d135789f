"""What is measured with, and what may be lost, where nobody says."""

from __future__ import annotations

CALIBRATION_TEXTS = (
    "good morning, the train to the coast leaves at seven",
    "where is the red book that you found in the garden",
    "we will meet at the old bridge when the rain is over",
    "please open the window, it is far too warm in here",
)
"""What is spoken where nobody says what to measure with."""

HELD_OUT_TEXTS = (
    "my brother plays the piano every evening after dinner",
    "the market was full of people, and nobody sold apples",
    "can you tell me how long the journey home will take",
)
"""What a found policy is judged by: no choice was made with it."""

CODES_DAMAGE = 0.05
"""Nats a frame that talker and code predictor may lose together where nothing is said."""

AUDIO_DAMAGE = 0.001
"""Of the waveform's power that may be wrong where nothing is said: 30 dB."""

SEARCH_FRAMES = 60
"""Frames of each text that a search measures with."""

IMATRIX_FRAMES = 200
"""Frames of each text that an importance matrix is gathered from."""
