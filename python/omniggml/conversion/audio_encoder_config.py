"""`thinker_config.audio_config` of a checkpoint -> `AudioEncoderConfig`."""

from __future__ import annotations

from pathlib import Path

from omniggml.conversion.config_json import THINKER_ALONE, Section
from omniggml.files.json_object import read_json_object
from omniggml.spec.bounds import MOST_LAYERS
from omniggml.spec.model_config import AudioEncoderConfig

_CHUNK_TOKENS = 13
"""Tokens of a whole chunk, a constant of the reference's formula: half chunks of 49 to 52 frames have it."""


def read_audio_config(directory: Path) -> AudioEncoderConfig:
    """Raises ConversionError, naming the key, for a value that is missing, absurd or not implemented."""
    root = Section(read_json_object(directory / "config.json"), directory / "config.json")
    thinker = root if root.values.get("model_type") == THINKER_ALONE else root.section("thinker_config")
    audio = thinker.section("audio_config")
    audio.must_be("activation_function", ("gelu",))
    audio.must_be("scale_embedding", (False,))
    hidden, heads = audio.integer("d_model", 4, 1 << 16), audio.integer("encoder_attention_heads", 1, 4096)
    if hidden % heads != 0:
        raise audio.error("d_model", str(hidden), f"a multiple of the {heads} encoder_attention_heads")
    if hidden % 2 != 0:
        raise audio.error("d_model", str(hidden), "an even number: half of a position are sines")
    n_window = audio.integer("n_window", 1, 1024, default=50)
    if -(-n_window // 4) != _CHUNK_TOKENS:
        raise audio.error("n_window", str(n_window), f"49 to 52, whose chunks make {_CHUNK_TOKENS} tokens")
    width = thinker.section("text_config").integer("hidden_size", 1)
    output = audio.integer("output_dim", 1)
    if output != width:
        raise audio.error("output_dim", str(output), f"{width}, the thinker's hidden_size")
    return AudioEncoderConfig(
        encoder_layers=audio.integer("encoder_layers", 1, MOST_LAYERS),
        d_model=hidden,
        encoder_attention_heads=heads,
        encoder_ffn_dim=audio.integer("encoder_ffn_dim", 1),
        num_mel_bins=audio.integer("num_mel_bins", 1, 512),
        downsample_hidden_size=audio.integer("downsample_hidden_size", 1, 1 << 14),
        output_dim=output,
        max_source_positions=audio.integer("max_source_positions", _CHUNK_TOKENS, 1 << 20, default=1500),
        n_window=n_window,
        n_window_infer=audio.integer("n_window_infer", 2 * n_window, 1 << 14, default=800),
    )
