"""Small Qwen3-Omni models by name: shapes to test with, no two alike in any dimension that could hide a constant.

| name | what it is for |
|---|---|
| tiny | the smallest sensible model; every row a multiple of 32, so that Q8_0 applies |
| mini | the published proportions, about a thousandth of the size |
| odd | no row a multiple of 32, odd head counts, window of 4, three upsample rates |
| grouped | grouped heads in the vocoder too, 4 code groups, configuration in transformers 5's layout |
| big-codebook | 8 groups of 4096 codes: as many rows as 16 of 2048, which no shape can tell apart |
| long-window | the published 16 groups of 2048, a window longer than any test |
| eos-first | tiny, but the talker ends the speech before the first frame |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from omniggml.spec.model_config import (
    SUPPRESSED_TAIL,
    Code2WavConfig,
    CodePredictorConfig,
    ModelConfig,
    TalkerConfig,
    ThinkerConfig,
)
from omniggml.spec.published import PUBLISHED
from omniggml.synthetic.small_tokenizer import SmallTokenizer, small_tokenizer


@dataclass(frozen=True)
class Geometry:
    """A model's shape and the few choices that its random weights need.

    `merges` is the number of merges of its tokenizer. `codec_eos` says when a greedy talker ends: practically "never",
    "first" (no frame at all), or "chance" (one code among the others). `loudness` multiplies the last convolution;
    tuned per geometry so that the waveform neither vanishes nor is clamped. `rope_layout` picks the layout of
    `config.json`: "published" as the released checkpoint, "transformers5" as that version saves it.
    """

    name: str
    thinker: ThinkerConfig
    talker: TalkerConfig
    code_predictor: CodePredictorConfig
    code2wav: Code2WavConfig
    merges: int
    codec_eos: Literal["never", "chance", "first"] = "never"
    loudness: float = 1.0
    rope_layout: Literal["published", "transformers5"] = "published"

    @property
    def tokenizer(self) -> SmallTokenizer:
        return small_tokenizer(self.merges)

    def model_config(self) -> ModelConfig:
        """The configuration as the converter will read it back."""
        tokens = self.tokenizer.special_tokens()
        return ModelConfig(self.thinker, self.talker, self.code_predictor, self.code2wav, tokens)


@dataclass(frozen=True)
class _CodecIds:
    """Ids above the codebook, counted from its end."""

    eos: int
    bos: int
    pad: int
    nothink: int
    think_bos: int
    think_eos: int
    speakers: tuple[tuple[str, int], ...]


_PUBLISHED_IDS = _CodecIds(
    eos=102,
    bos=101,
    pad=100,
    nothink=107,
    think_bos=108,
    think_eos=109,
    speakers=(("chelsie", 253), ("ethan", 254), ("aiden", 255)),
)

_SHUFFLED_IDS = _CodecIds(
    eos=1023,
    bos=3,
    pad=511,
    nothink=0,
    think_bos=77,
    think_eos=76,
    speakers=(("zoë", 900), ("bob", 1)),
)

_ONE_SPEAKER_IDS = replace(_SHUFFLED_IDS, eos=7, pad=8, speakers=(("only", 1000),))


def _talker(
    codebook: int,
    ids: _CodecIds,
    *,
    num_hidden_layers: int,
    hidden_size: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    head_dim: int,
    mrope_section: tuple[int, int, int],
    num_experts: int,
    num_experts_per_tok: int,
    moe_intermediate_size: int,
    shared_expert_intermediate_size: int,
    intermediate_size: int,
    thinker_hidden_size: int,
    accept_hidden_layer: int,
    norm_topk_prob: bool,
    rms_norm_eps: float,
    rope_theta: float,
    max_position_embeddings: int = 4096,
) -> TalkerConfig:
    return TalkerConfig(
        num_hidden_layers=num_hidden_layers,
        hidden_size=hidden_size,
        num_attention_heads=num_attention_heads,
        num_key_value_heads=num_key_value_heads,
        head_dim=head_dim,
        vocab_size=codebook + SUPPRESSED_TAIL,
        num_experts=num_experts,
        num_experts_per_tok=num_experts_per_tok,
        moe_intermediate_size=moe_intermediate_size,
        shared_expert_intermediate_size=shared_expert_intermediate_size,
        norm_topk_prob=norm_topk_prob,
        rms_norm_eps=rms_norm_eps,
        rope_theta=rope_theta,
        mrope_section=mrope_section,
        max_position_embeddings=max_position_embeddings,
        intermediate_size=intermediate_size,
        thinker_hidden_size=thinker_hidden_size,
        accept_hidden_layer=accept_hidden_layer,
        codec_eos_token_id=codebook + ids.eos,
        codec_bos_id=codebook + ids.bos,
        codec_pad_id=codebook + ids.pad,
        codec_nothink_id=codebook + ids.nothink,
        codec_think_bos_id=codebook + ids.think_bos,
        codec_think_eos_id=codebook + ids.think_eos,
        speakers=tuple((name, codebook + offset) for name, offset in ids.speakers),
    )


_TINY = Geometry(
    name="tiny",
    merges=110,
    loudness=0.07,
    thinker=ThinkerConfig(
        num_hidden_layers=2,
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=400,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        intermediate_size=32,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        mrope_section=(6, 5, 5),
        max_position_embeddings=4096,
    ),
    talker=_talker(
        64,
        _PUBLISHED_IDS,
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        mrope_section=(6, 5, 5),
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=64,
        intermediate_size=96,
        thinker_hidden_size=64,
        accept_hidden_layer=1,
        norm_topk_prob=True,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=64,
        vocab_size=64,
        num_code_groups=4,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=4096,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=64,
        sliding_window=16,
        num_quantizers=4,
        codebook_size=64,
        decoder_dim=32,
        max_position_embeddings=8000,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
        upsampling_ratios=(2,),
        upsample_rates=(4, 3),
    ),
)

_MINI = Geometry(
    name="mini",
    merges=300,
    loudness=0.03,
    thinker=ThinkerConfig(
        num_hidden_layers=4,
        hidden_size=128,
        num_attention_heads=8,
        num_key_value_heads=1,
        head_dim=32,
        vocab_size=640,
        num_experts=16,
        num_experts_per_tok=4,
        moe_intermediate_size=64,
        intermediate_size=64,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        mrope_section=(6, 5, 5),
        max_position_embeddings=32768,
    ),
    talker=_talker(
        256,
        _PUBLISHED_IDS,
        num_hidden_layers=3,
        hidden_size=64,
        num_attention_heads=8,
        num_key_value_heads=1,
        head_dim=32,
        mrope_section=(6, 5, 5),
        num_experts=16,
        num_experts_per_tok=3,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=64,
        intermediate_size=128,
        thinker_hidden_size=128,
        accept_hidden_layer=2,
        norm_topk_prob=True,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=32768,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=3,
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=192,
        vocab_size=256,
        num_code_groups=16,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=32768,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=3,
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        intermediate_size=192,
        sliding_window=72,
        num_quantizers=16,
        codebook_size=256,
        decoder_dim=128,
        max_position_embeddings=8000,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
        upsampling_ratios=(2, 2),
        upsample_rates=(8, 5, 4, 3),
    ),
)

_ODD = Geometry(
    name="odd",
    merges=180,
    codec_eos="chance",
    loudness=0.05,
    thinker=ThinkerConfig(
        num_hidden_layers=3,
        hidden_size=44,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=20,
        vocab_size=523,
        num_experts=5,
        num_experts_per_tok=3,
        moe_intermediate_size=28,
        intermediate_size=36,
        rms_norm_eps=1e-5,
        rope_theta=5e5,
        mrope_section=(4, 3, 3),
        max_position_embeddings=2048,
    ),
    talker=_talker(
        100,
        _SHUFFLED_IDS,
        num_hidden_layers=1,
        hidden_size=36,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=12,
        mrope_section=(2, 2, 2),
        num_experts=7,
        num_experts_per_tok=4,
        moe_intermediate_size=20,
        shared_expert_intermediate_size=52,
        intermediate_size=50,
        thinker_hidden_size=44,
        accept_hidden_layer=3,
        norm_topk_prob=False,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=1,
        hidden_size=36,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=28,
        intermediate_size=44,
        vocab_size=100,
        num_code_groups=8,
        rms_norm_eps=2e-6,
        rope_theta=2e5,
        max_position_embeddings=2048,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=1,
        hidden_size=40,
        num_attention_heads=5,
        num_key_value_heads=5,
        head_dim=8,
        intermediate_size=52,
        sliding_window=4,
        num_quantizers=8,
        codebook_size=100,
        decoder_dim=48,
        max_position_embeddings=4000,
        rms_norm_eps=3e-6,
        rope_theta=5e3,
        upsampling_ratios=(3, 2),
        upsample_rates=(5, 2, 3),
    ),
)

_GROUPED = Geometry(
    name="grouped",
    merges=240,
    loudness=0.065,
    rope_layout="transformers5",
    thinker=ThinkerConfig(
        num_hidden_layers=2,
        hidden_size=96,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=64,
        vocab_size=1000,
        num_experts=8,
        num_experts_per_tok=1,
        moe_intermediate_size=96,
        intermediate_size=128,
        rms_norm_eps=1e-5,
        rope_theta=1e5,
        mrope_section=(12, 10, 10),
        max_position_embeddings=8192,
    ),
    talker=_talker(
        512,
        _ONE_SPEAKER_IDS,
        num_hidden_layers=4,
        hidden_size=96,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        mrope_section=(16, 8, 8),
        num_experts=8,
        num_experts_per_tok=5,
        moe_intermediate_size=64,
        shared_expert_intermediate_size=32,
        intermediate_size=160,
        thinker_hidden_size=96,
        accept_hidden_layer=0,
        norm_topk_prob=False,
        rms_norm_eps=2e-5,
        rope_theta=2e5,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=4,
        hidden_size=96,
        num_attention_heads=6,
        num_key_value_heads=1,
        head_dim=64,
        intermediate_size=128,
        vocab_size=512,
        num_code_groups=4,
        rms_norm_eps=1e-5,
        rope_theta=3e5,
        max_position_embeddings=8192,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=4,
        hidden_size=96,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=160,
        sliding_window=16,
        num_quantizers=4,
        codebook_size=512,
        decoder_dim=64,
        max_position_embeddings=6000,
        rms_norm_eps=1e-6,
        rope_theta=2e4,
        upsampling_ratios=(2, 2, 3),
        upsample_rates=(3, 4),
    ),
)

_BIG_CODEBOOK = Geometry(
    name="big-codebook",
    merges=140,
    loudness=0.075,
    thinker=ThinkerConfig(
        num_hidden_layers=1,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=48,
        vocab_size=448,
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=64,
        intermediate_size=64,
        rms_norm_eps=3e-6,
        rope_theta=1e6,
        mrope_section=(8, 8, 8),
        max_position_embeddings=4096,
    ),
    talker=_talker(
        4096,
        _PUBLISHED_IDS,
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=48,
        mrope_section=(8, 8, 8),
        num_experts=6,
        num_experts_per_tok=6,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        intermediate_size=64,
        thinker_hidden_size=32,
        accept_hidden_layer=1,
        norm_topk_prob=True,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=1,
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        intermediate_size=96,
        vocab_size=4096,
        num_code_groups=8,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=4096,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=2,
        hidden_size=48,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=24,
        intermediate_size=96,
        sliding_window=72,
        num_quantizers=8,
        codebook_size=4096,
        decoder_dim=32,
        max_position_embeddings=8000,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
        upsampling_ratios=(2, 2),
        upsample_rates=(4, 3),
    ),
)

_LONG_WINDOW = Geometry(
    name="long-window",
    merges=200,
    loudness=0.048,
    thinker=ThinkerConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        vocab_size=480,
        num_experts=32,
        num_experts_per_tok=8,
        moe_intermediate_size=32,
        intermediate_size=32,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        mrope_section=(4, 2, 2),
        max_position_embeddings=4096,
    ),
    talker=_talker(
        2048,
        _PUBLISHED_IDS,
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        mrope_section=(3, 3, 2),
        num_experts=32,
        num_experts_per_tok=6,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=96,
        intermediate_size=64,
        thinker_hidden_size=32,
        accept_hidden_layer=1,
        norm_topk_prob=True,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
    ),
    code_predictor=CodePredictorConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=96,
        vocab_size=2048,
        num_code_groups=16,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=4096,
    ),
    code2wav=Code2WavConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
        intermediate_size=96,
        sliding_window=1000,
        num_quantizers=16,
        codebook_size=2048,
        decoder_dim=64,
        max_position_embeddings=8000,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
        upsampling_ratios=(2, 2),
        upsample_rates=(6, 5, 4),
    ),
)

_EOS_FIRST = replace(_TINY, name="eos-first", codec_eos="first")

GEOMETRIES: dict[str, Geometry] = {
    geometry.name: geometry for geometry in (_TINY, _MINI, _ODD, _GROUPED, _BIG_CODEBOOK, _LONG_WINDOW, _EOS_FIRST)
}
"""Every named geometry, smallest first."""

PUBLISHED_GEOMETRY = Geometry(
    name="published",
    merges=300,
    loudness=0.03,
    thinker=PUBLISHED.thinker,
    talker=PUBLISHED.talker,
    code_predictor=PUBLISHED.code_predictor,
    code2wav=PUBLISHED.code2wav,
)
"""The shape of the released 30B-A3B model: 70 GB of random weights, so not among the named ones.

For measuring speed without the real weights, cut it down first, as in `replace(PUBLISHED_GEOMETRY, thinker=...)`.
"""
