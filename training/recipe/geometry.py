"""The shapes of the voice: small numbers for the published classes, in the converter's own dataclasses."""

from __future__ import annotations

from omniggml.spec.model_config import (
    AudioEncoderConfig,
    Code2WavConfig,
    CodePredictorConfig,
    TalkerConfig,
    ThinkerConfig,
)
from omniggml.synthetic.geometries import Geometry
from omniggml.synthetic.small_tokenizer import SmallTokenizer

from .codec import CODES, GROUPS
from .teacher import SPEAKERS
from .tokenizer import voice_tokenizer

THINKER = ThinkerConfig(
    num_hidden_layers=4,
    hidden_size=128,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    vocab_size=416,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=192,
    intermediate_size=384,
    rms_norm_eps=1e-6,
    rope_theta=1e4,
    mrope_section=(6, 5, 5),
    max_position_embeddings=1024,
)

TALKER = TalkerConfig(
    num_hidden_layers=4,
    hidden_size=192,
    num_attention_heads=6,
    num_key_value_heads=3,
    head_dim=32,
    vocab_size=CODES + 1024,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=96,
    shared_expert_intermediate_size=192,
    norm_topk_prob=True,
    rms_norm_eps=1e-6,
    rope_theta=1e4,
    mrope_section=(6, 5, 5),
    max_position_embeddings=2048,
    intermediate_size=256,
    thinker_hidden_size=THINKER.hidden_size,
    accept_hidden_layer=2,
    codec_eos_token_id=CODES + 2,
    codec_bos_id=CODES + 1,
    codec_pad_id=CODES,
    codec_nothink_id=CODES + 3,
    codec_think_bos_id=CODES + 4,
    codec_think_eos_id=CODES + 5,
    speakers=tuple((speaker.name, CODES + 16 + index) for index, speaker in enumerate(SPEAKERS)),
)

PREDICTOR = CodePredictorConfig(
    num_hidden_layers=2,
    hidden_size=TALKER.hidden_size,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=32,
    intermediate_size=256,
    vocab_size=CODES,
    num_code_groups=GROUPS,
    rms_norm_eps=1e-6,
    rope_theta=1e4,
    max_position_embeddings=64,
)

CODE2WAV = Code2WavConfig(
    num_hidden_layers=3,
    hidden_size=128,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=32,
    intermediate_size=256,
    sliding_window=16,
    num_quantizers=GROUPS,
    codebook_size=CODES,
    decoder_dim=192,
    max_position_embeddings=2048,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
    upsampling_ratios=(2, 2),
    upsample_rates=(8, 5, 4, 3),
)

EAR = AudioEncoderConfig(
    encoder_layers=6,
    d_model=192,
    encoder_attention_heads=6,
    encoder_ffn_dim=768,
    num_mel_bins=128,
    downsample_hidden_size=32,
    output_dim=THINKER.hidden_size,
    max_source_positions=104,
    n_window=50,
    n_window_infer=800,
    cut_silence=True,
)


class VoiceGeometry(Geometry):
    """The geometry with the voice's own tokenizer."""

    @property
    def tokenizer(self) -> SmallTokenizer:
        return voice_tokenizer()


VOICE = VoiceGeometry(
    name="voice", thinker=THINKER, talker=TALKER, code_predictor=PREDICTOR, code2wav=CODE2WAV, merges=0
)
