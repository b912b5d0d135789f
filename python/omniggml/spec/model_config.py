"""The numbers that define a Qwen3-Omni: one dataclass per stage, nothing computed.

Field names are those of the checkpoint's `config.json`, and they are the last part of the GGUF keys too, so that a
value can be followed from one file to the other without a table. `config_json.py` reads and writes the JSON,
`speech_file.py` and `thinker_file.py` write the GGUF keys, `geometries.py` holds ready-made small models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omniggml import _native

SUPPRESSED_TAIL = 1024
"""How many ids at the end of the talker's vocabulary are never sampled, codec eos excepted.

A constant of the reference's `Qwen3OmniMoeForConditionalGeneration.generate`; it is in no configuration file.
"""

TEXT_NORMALIZATION_KEY = "text_normalization"
"""Key in `generation_config.json`, and the last part of the GGUF keys: how the model wants its text written."""

TEXT_NORMALIZATIONS = ("spoken_english",)
"""What that key may say; `omniggml.text.normalization` has a function for each."""

LONGEST_SPAN_KEY = "longest_span"
"""Key in `generation_config.json`, and the last part of the speech file's key: tokens of text that the voice is good
for in one go."""

SAMPLE_RATE = 24000
"""Hz of the waveform. A property of the trained vocoder; it is in no configuration file."""


@dataclass(frozen=True)
class ThinkerConfig:
    """`thinker_config.text_config`: the language model."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    intermediate_size: int
    rms_norm_eps: float
    rope_theta: float
    mrope_section: tuple[int, ...]
    max_position_embeddings: int


@dataclass(frozen=True)
class TalkerConfig:
    """`talker_config` and its `text_config`: the model of the first code of every frame."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    shared_expert_intermediate_size: int
    norm_topk_prob: bool
    rms_norm_eps: float
    rope_theta: float
    mrope_section: tuple[int, ...]
    max_position_embeddings: int
    intermediate_size: int
    thinker_hidden_size: int
    accept_hidden_layer: int
    codec_eos_token_id: int
    codec_bos_id: int
    codec_pad_id: int
    codec_nothink_id: int
    codec_think_bos_id: int
    codec_think_eos_id: int
    speakers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class CodePredictorConfig:
    """`talker_config.code_predictor_config`: the model of the other codes of a frame."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    num_code_groups: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int


@dataclass(frozen=True)
class Code2WavConfig:
    """`code2wav_config`: codes to waveform."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    sliding_window: int
    num_quantizers: int
    codebook_size: int
    decoder_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    upsampling_ratios: tuple[int, ...]
    upsample_rates: tuple[int, ...]


@dataclass(frozen=True)
class AudioEncoderConfig:
    """`thinker_config.audio_config`: audio to rows for the thinker."""

    encoder_layers: int
    d_model: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    num_mel_bins: int
    downsample_hidden_size: int
    output_dim: int
    max_source_positions: int
    n_window: int
    n_window_infer: int
    cut_silence: bool = False
    """Whether long silence before and behind what is heard is cut off; no published model asks for that."""


@dataclass(frozen=True)
class VisionEncoderConfig:
    """`thinker_config.vision_config`: images and frames of videos to rows for the thinker."""

    depth: int
    hidden_size: int
    num_heads: int
    intermediate_size: int
    patch_size: int
    spatial_merge_size: int
    num_position_embeddings: int
    out_hidden_size: int
    deepstack_visual_indexes: tuple[int, ...]


@dataclass(frozen=True)
class VisionInputConfig:
    """How images and frames are made the vision encoder's input, and how many positions a second of a video takes:
    `preprocessor_config.json`, and `thinker_config.position_id_per_seconds`. The defaults are the published model's."""

    image_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    image_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    min_pixels: int = 3136
    max_pixels: int = 12_845_056
    position_id_per_seconds: int = 13


@dataclass(frozen=True)
class SpecialTokens:
    """Text token ids that the prompt is built from."""

    tts_pad: int
    tts_bos: int
    tts_eos: int
    im_start: int
    im_end: int
    system: int
    user: int
    assistant: int
    audio: int
    image: int
    video: int


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn when the caller doesn't say. `top_k` 0 and `top_p` 1 mean no limit."""

    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    max_new_tokens: int


def _reference(params: _native.SamplingParams, max_new_tokens: int) -> Sampling:
    """The engine's own defaults, which are the reference's. Decimals are those that were written, before float32."""
    temperature, top_p, penalty = (
        float(str(np.float32(value))) for value in (params.temperature, params.top_p, params.repetition_penalty)
    )
    return Sampling(params.sample, temperature, params.top_k, top_p, penalty, max_new_tokens)


TALKER_SAMPLING = _reference(_native.TALKER_SAMPLING, _native.TALKER_MAX_FRAMES)
"""Defaults of the reference's `generate`, taken where `generation_config.json` says nothing."""

PREDICTOR_SAMPLING = _reference(_native.PREDICTOR_SAMPLING, 0)
"""The reference calls the predictor with these; no file can change them. The number of steps is fixed."""

THINKER_SAMPLING = Sampling(False, 1.0, 50, 1.0, 1.0, 1024)
"""What the reference does with a thinker whose `generation_config.json` says nothing: greedy."""


@dataclass(frozen=True)
class LanguageModel:
    """What the thinker's file needs; all that is known of a model without a talker. `accept_hidden_layer`: which of its
    states the talker reads, None where no talker belongs to it."""

    thinker: ThinkerConfig
    token: SpecialTokens
    thinker_sampling: Sampling = THINKER_SAMPLING
    text_normalization: str | None = None
    accept_hidden_layer: int | None = None


@dataclass(frozen=True)
class ModelConfig:
    """Everything `config.json` and `generation_config.json` say that the engine needs.

    The sections' names are also what GGUF keys ("ARCHITECTURE.token.tts_pad"), overrides ("token.tts_pad=5") and
    lists of assumed settings call them: see `spec/sections.py`.
    """

    thinker: ThinkerConfig
    talker: TalkerConfig
    code_predictor: CodePredictorConfig
    code2wav: Code2WavConfig
    token: SpecialTokens
    thinker_sampling: Sampling = THINKER_SAMPLING
    talker_sampling: Sampling = TALKER_SAMPLING
    text_normalization: str | None = None
    default_speaker: str | None = None
    longest_span: int | None = None

    @property
    def language_model(self) -> LanguageModel:
        """The part of it that thinks."""
        return LanguageModel(
            self.thinker, self.token, self.thinker_sampling, self.text_normalization, self.talker.accept_hidden_layer
        )
