"""What a checkpoint's configuration says of the encoders beside the thinker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path

from omniggml.conversion.config_defaults import AUDIO_ENCODER, THINKER, THINKER_TEXT, VISION_ENCODER
from omniggml.conversion.config_json import THINKER_ALONE, Section
from omniggml.files.json_object import read_json_object
from omniggml.spec.bounds import MOST_LAYERS
from omniggml.spec.encoder_tensors import AUDIO_PREFIX, FRAMES, VISION_PREFIX
from omniggml.spec.model_config import AudioEncoderConfig, VisionEncoderConfig, VisionInputConfig

_CHUNK_TOKENS = 13
"""Tokens of a whole chunk, a constant of the reference's formula: half chunks of 49 to 52 frames have it."""


@dataclass(frozen=True)
class Encoders:
    """The encoders that there are; `images`: what the vision encoder's input is."""

    audio: AudioEncoderConfig | None = None
    vision: VisionEncoderConfig | None = None
    images: VisionInputConfig = field(default_factory=VisionInputConfig)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the names of their tensors begin with."""
        there = ((self.audio, AUDIO_PREFIX), (self.vision, VISION_PREFIX))
        return tuple(prefix for config, prefix in there if config is not None)


def read_encoders(directory: Path, tensors: Collection[str]) -> Encoders:
    """Those of which a checkpoint with these tensors has weights. Raises ConversionError, naming the key, for a value
    that is missing, absurd or not implemented."""
    hears, sees = (any(name.startswith(prefix) for name in tensors) for prefix in (AUDIO_PREFIX, VISION_PREFIX))
    if not (hears or sees):
        return Encoders()
    root = Section(read_json_object(directory / "config.json"), directory / "config.json")
    alone = root.values.get("model_type") == THINKER_ALONE
    thinker = Section(root.values, root.file, "", THINKER) if alone else root.section("thinker_config", THINKER)
    return Encoders(
        _audio_config(thinker) if hears else None,
        _vision_config(thinker) if sees else None,
        _input_config(directory, thinker) if sees else VisionInputConfig(),
    )


def _audio_config(thinker: Section) -> AudioEncoderConfig:
    audio = thinker.section("audio_config", AUDIO_ENCODER)
    audio.must_be("activation_function", ("gelu",))
    audio.must_be("scale_embedding", (False,))
    hidden, heads = audio.integer("d_model", 4, 1 << 16), audio.integer("encoder_attention_heads", 1, 4096)
    if hidden % heads != 0:
        raise audio.error("d_model", str(hidden), f"a multiple of the {heads} encoder_attention_heads")
    if hidden % 2 != 0:
        raise audio.error("d_model", str(hidden), "an even number: half of a position are sines")
    n_window = audio.integer("n_window", 1, 1024)
    if -(-n_window // 4) != _CHUNK_TOKENS:
        raise audio.error("n_window", str(n_window), f"49 to 52, whose chunks make {_CHUNK_TOKENS} tokens")
    width = thinker.section("text_config", THINKER_TEXT).integer("hidden_size", 1)
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
        max_source_positions=audio.integer("max_source_positions", _CHUNK_TOKENS, 1 << 20),
        n_window=n_window,
        n_window_infer=audio.integer("n_window_infer", 2 * n_window, 1 << 14),
        cut_silence=audio.boolean("cut_silence", False),
    )


def _vision_config(thinker: Section) -> VisionEncoderConfig:
    vision = thinker.section("vision_config", VISION_ENCODER)
    vision.must_be("hidden_act", ("gelu_pytorch_tanh",))
    vision.must_be("in_channels", (3,))
    vision.must_be("temporal_patch_size", (FRAMES,))
    hidden, heads = vision.integer("hidden_size", 4, 1 << 16), vision.integer("num_heads", 1, 4096)
    if hidden % (4 * heads) != 0:
        raise vision.error("hidden_size", str(hidden), f"a multiple of 4 for each of the {heads} num_heads")
    positions = vision.integer("num_position_embeddings", 1, 1 << 20)
    if isqrt(positions) ** 2 != positions:
        raise vision.error("num_position_embeddings", str(positions), "a square number")
    width, output = (
        thinker.section("text_config", THINKER_TEXT).integer("hidden_size", 1),
        vision.integer("out_hidden_size", 1),
    )
    if output != width:
        raise vision.error("out_hidden_size", str(output), f"{width}, the thinker's hidden_size")
    depth = vision.integer("depth", 1, MOST_LAYERS)
    deepstack = vision.integers("deepstack_visual_indexes", 0, depth - 1)
    if list(deepstack) != sorted(set(deepstack)):
        raise vision.error("deepstack_visual_indexes", str(list(deepstack)), "ascending numbers of blocks")
    return VisionEncoderConfig(
        depth=depth,
        hidden_size=hidden,
        num_heads=heads,
        intermediate_size=vision.integer("intermediate_size", 1),
        patch_size=vision.integer("patch_size", 1, 256),
        spatial_merge_size=vision.integer("spatial_merge_size", 1, 16),
        num_position_embeddings=positions,
        out_hidden_size=output,
        deepstack_visual_indexes=deepstack,
    )


def image_settings(directory: Path) -> Section | None:
    """How a checkpoint says that images are made its input: nested in `processor_config.json`, as transformers 5 saves
    it, else `preprocessor_config.json`; None where there is neither."""
    nested, path = directory / "processor_config.json", directory / "preprocessor_config.json"
    if nested.exists():
        whole = Section(read_json_object(nested), nested)
        if whole.values.get("image_processor") is not None:
            return whole.section("image_processor")
    return Section(read_json_object(path), path) if path.exists() else None


def _input_config(directory: Path, thinker: Section) -> VisionInputConfig:
    """Older and newer versions of transformers write other keys for pixels."""
    default = VisionInputConfig()
    read = image_settings(directory) or Section({}, directory / "preprocessor_config.json")
    size = read.section("size") if isinstance(read.values.get("size"), dict) else read

    def pixels(older: str, newer: str, otherwise: int) -> int:
        return read.integer(older, 1, 1 << 30, default=size.integer(newer, 1, 1 << 30, default=otherwise))

    return VisionInputConfig(
        image_mean=read.numbers("image_mean", default.image_mean),
        image_std=read.numbers("image_std", default.image_std, low=1e-6),
        min_pixels=pixels("min_pixels", "shortest_edge", default.min_pixels),
        max_pixels=pixels("max_pixels", "longest_edge", default.max_pixels),
        position_id_per_seconds=thinker.integer("position_id_per_seconds", 1, 1000),
    )
