"""Small audio encoders by name, to go with the thinkers of `geometries.py`."""

from __future__ import annotations

from omniggml.spec.model_config import AudioEncoderConfig
from omniggml.synthetic.geometries import Geometry

_PLAIN = {
    "encoder_layers": 3,
    "d_model": 64,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "num_mel_bins": 128,
    "downsample_hidden_size": 32,
    "max_source_positions": 1500,
    "n_window": 50,
    "n_window_infer": 800,
}

EARS: dict[str, dict[str, int]] = {
    "plain": _PLAIN,
    "odd": {
        **_PLAIN,
        "encoder_layers": 2,
        "d_model": 42,
        "encoder_attention_heads": 3,
        "encoder_ffn_dim": 70,
        "num_mel_bins": 81,
        "downsample_hidden_size": 10,
        "max_source_positions": 13,
        "n_window_infer": 250,
    },
    "one-chunk": {**_PLAIN, "encoder_layers": 4, "num_mel_bins": 80, "n_window_infer": 100},
    "half-chunks": {**_PLAIN, "encoder_attention_heads": 2, "d_model": 96, "n_window": 51, "n_window_infer": 310},
}
"""Name -> sizes but for the output's, which is the thinker's. No row of "odd" is a multiple of 32."""


PUBLISHED_EARS = AudioEncoderConfig(
    encoder_layers=32,
    d_model=1280,
    encoder_attention_heads=20,
    encoder_ffn_dim=5120,
    num_mel_bins=128,
    downsample_hidden_size=480,
    output_dim=2048,
    max_source_positions=1500,
    n_window=50,
    n_window_infer=800,
)
"""The published model's."""


def ears_for(geometry: Geometry, name: str = "plain") -> AudioEncoderConfig:
    """An audio encoder whose rows a geometry's thinker reads."""
    return AudioEncoderConfig(**EARS[name], cut_silence=False, output_dim=geometry.thinker.hidden_size)
