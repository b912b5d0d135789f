"""The exact tensors of a Qwen3-Omni checkpoint: name and shape of each, from the configuration alone.

The names and shapes are those of transformers' `Qwen3OmniMoeForConditionalGeneration` as `save_pretrained` writes
them: one tensor per expert, PyTorch's axis order. The converter checks a checkpoint against this list in both
directions, and the random checkpoint is written from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from omniggml.spec.model_config import Code2WavConfig, CodePredictorConfig, ModelConfig, TalkerConfig, ThinkerConfig

Named = tuple[str, tuple[int, ...]]
"""A tensor's name in the checkpoint and its shape in PyTorch's axis order."""

TEXT_EMBEDDING = "thinker.model.embed_tokens.weight"
"""The one tensor that both files hold: the talker reads the text through it."""

EXPERT_PARTS = ("gate_proj", "up_proj", "down_proj")

NOT_CONVERTED = ("thinker.audio_tower.", "thinker.visual.")
"""Prefixes of the encoders for audio and images, which neither the speech file nor the thinker holds."""

_KERNEL = 7
_DECODER_KERNEL = 7
_RESIDUAL_UNITS = (2, 3, 4)


def thinker_tensors(config: ThinkerConfig) -> Iterator[Named]:
    """Tensors of the language model, in the order of the layers."""
    yield TEXT_EMBEDDING, (config.vocab_size, config.hidden_size)
    for layer in range(config.num_hidden_layers):
        prefix = f"thinker.model.layers.{layer}."
        yield from _attention(prefix, config, normed=True)
        yield from _layer_norms(prefix, config.hidden_size)
        yield from _experts(prefix, config)
    yield "thinker.model.norm.weight", (config.hidden_size,)
    yield "thinker.lm_head.weight", (config.vocab_size, config.hidden_size)


def speech_tensors(config: ModelConfig) -> Iterator[Named]:
    """Tensors of everything after the thinker: projections, talker, code predictor, code2wav."""
    yield from _talker(config.talker)
    yield from code_predictor_tensors(config.code_predictor)
    yield from code2wav_tensors(config.code2wav)


def expert_prefix(name: str) -> tuple[str, str] | None:
    """Split the name of one expert's tensor: `p.mlp.experts.3.up_proj.weight` -> (`p.mlp.experts.`, `up_proj`).

    None for every other name.
    """
    head, found, tail = name.partition(".mlp.experts.")
    parts = tail.split(".")
    if not found or len(parts) != 3:
        return None
    return f"{head}.mlp.experts.", parts[1]


def stacked_name(name: str) -> str:
    """The name under which all experts are one: `p.mlp.experts.3.up_proj.weight` -> `p.mlp.experts.up_proj.weight`.

    Every other name stays.
    """
    expert = expert_prefix(name)
    return name if expert is None else f"{expert[0]}{expert[1]}.weight"


class Stack(NamedTuple):
    """A tensor's shape in PyTorch's axis order, and the checkpoint's tensors that it is made of: itself, or one for
    each expert, stacked along a new first axis."""

    shape: tuple[int, ...]
    sources: tuple[str, ...]


def stack_experts(tensors: Iterable[Named]) -> dict[str, Stack]:
    """Tensors with the experts of a layer as one, in the order of the first of each."""
    sources: dict[str, list[str]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in tensors:
        sources.setdefault(stacked_name(name), []).append(name)
        shapes[stacked_name(name)] = shape
    return {
        name: Stack(shapes[name] if parts == [name] else (len(parts), *shapes[name]), tuple(parts))
        for name, parts in sources.items()
    }


def _talker(config: TalkerConfig) -> Iterator[Named]:
    hidden, width = config.hidden_size, config.intermediate_size
    for projection in ("text_projection", "hidden_projection"):
        yield from _linear(f"talker.{projection}.linear_fc1", width, config.thinker_hidden_size)
        yield from _linear(f"talker.{projection}.linear_fc2", hidden, width)
    yield "talker.model.codec_embedding.weight", (config.vocab_size, hidden)
    for layer in range(config.num_hidden_layers):
        prefix = f"talker.model.layers.{layer}."
        yield from _attention(prefix, config, normed=True)
        yield from _layer_norms(prefix, hidden)
        yield from _experts(prefix, config)
        yield from _mlp(f"{prefix}mlp.shared_expert.", hidden, config.shared_expert_intermediate_size)
        yield f"{prefix}mlp.shared_expert_gate.weight", (1, hidden)
    yield "talker.model.norm.weight", (hidden,)
    yield "talker.codec_head.weight", (config.vocab_size, hidden)


def code_predictor_tensors(config: CodePredictorConfig) -> Iterator[Named]:
    """Tensors of the code predictor."""
    hidden = config.hidden_size
    for group in range(config.num_code_groups - 1):
        yield f"talker.code_predictor.model.codec_embedding.{group}.weight", (config.vocab_size, hidden)
    for layer in range(config.num_hidden_layers):
        prefix = f"talker.code_predictor.model.layers.{layer}."
        yield from _attention(prefix, config, normed=True)
        yield from _layer_norms(prefix, hidden)
        yield from _mlp(f"{prefix}mlp.", hidden, config.intermediate_size)
    yield "talker.code_predictor.model.norm.weight", (hidden,)
    for group in range(config.num_code_groups - 1):
        yield f"talker.code_predictor.lm_head.{group}.weight", (config.vocab_size, hidden)


def code2wav_tensors(config: Code2WavConfig) -> Iterator[Named]:
    """Tensors of code2wav alone."""
    hidden = config.hidden_size
    yield "code2wav.code_embedding.weight", (config.num_quantizers * config.codebook_size, hidden)
    for layer in range(config.num_hidden_layers):
        prefix = f"code2wav.pre_transformer.layers.{layer}."
        yield from _attention(prefix, config, normed=False)
        yield from _layer_norms(prefix, hidden)
        yield from _mlp(f"{prefix}mlp.", hidden, config.intermediate_size)
        yield f"{prefix}self_attn_layer_scale.scale", (hidden,)
        yield f"{prefix}mlp_layer_scale.scale", (hidden,)
    yield "code2wav.pre_transformer.norm.weight", (hidden,)
    for stage, ratio in enumerate(config.upsampling_ratios):
        yield from _upsample(f"code2wav.upsample.{stage}.", hidden, ratio)
    yield from _decoder(config)


def _upsample(prefix: str, hidden: int, ratio: int) -> Iterator[Named]:
    """A transposed convolution (kernel and stride are the ratio), then a ConvNeXt block."""
    yield from _conv(f"{prefix}0.conv", (hidden, hidden, ratio), hidden)
    yield f"{prefix}1.gamma", (hidden,)
    yield from _conv(f"{prefix}1.dwconv.conv", (hidden, 1, _KERNEL), hidden)
    yield from _conv(f"{prefix}1.norm", (hidden,), hidden)
    yield from _linear(f"{prefix}1.pwconv1", 4 * hidden, hidden)
    yield from _linear(f"{prefix}1.pwconv2", hidden, 4 * hidden)


def _decoder(config: Code2WavConfig) -> Iterator[Named]:
    width = config.decoder_dim
    yield from _conv("code2wav.decoder.0.conv", (width, config.hidden_size, _DECODER_KERNEL), width)
    for stage, rate in enumerate(config.upsample_rates):
        yield from _decoder_block(f"code2wav.decoder.{stage + 1}.block.", width, width // 2, rate)
        width //= 2
    last = len(config.upsample_rates) + 1
    yield from _snake(f"code2wav.decoder.{last}", width)
    yield from _conv(f"code2wav.decoder.{last + 1}.conv", (1, width, _DECODER_KERNEL), 1)


def _decoder_block(prefix: str, width_in: int, width_out: int, rate: int) -> Iterator[Named]:
    yield from _snake(f"{prefix}0", width_in)
    # A transposed convolution's kernel is stored [in, out, kernel], unlike a convolution's [out, in, kernel].
    yield from _conv(f"{prefix}1.conv", (width_in, width_out, 2 * rate), width_out)
    for unit in _RESIDUAL_UNITS:
        yield from _snake(f"{prefix}{unit}.act1", width_out)
        yield from _conv(f"{prefix}{unit}.conv1.conv", (width_out, width_out, _DECODER_KERNEL), width_out)
        yield from _snake(f"{prefix}{unit}.act2", width_out)
        yield from _conv(f"{prefix}{unit}.conv2.conv", (width_out, width_out, 1), width_out)


def _attention(
    prefix: str, config: ThinkerConfig | TalkerConfig | CodePredictorConfig | Code2WavConfig, normed: bool
) -> Iterator[Named]:
    hidden, head = config.hidden_size, config.head_dim
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    yield f"{prefix}self_attn.q_proj.weight", (queries, hidden)
    yield f"{prefix}self_attn.k_proj.weight", (keys, hidden)
    yield f"{prefix}self_attn.v_proj.weight", (keys, hidden)
    yield f"{prefix}self_attn.o_proj.weight", (hidden, queries)
    if normed:
        yield f"{prefix}self_attn.q_norm.weight", (head,)
        yield f"{prefix}self_attn.k_norm.weight", (head,)


def _layer_norms(prefix: str, hidden: int) -> Iterator[Named]:
    yield f"{prefix}input_layernorm.weight", (hidden,)
    yield f"{prefix}post_attention_layernorm.weight", (hidden,)


def _experts(prefix: str, config: ThinkerConfig | TalkerConfig) -> Iterator[Named]:
    yield f"{prefix}mlp.gate.weight", (config.num_experts, config.hidden_size)
    for expert in range(config.num_experts):
        yield from _mlp(f"{prefix}mlp.experts.{expert}.", config.hidden_size, config.moe_intermediate_size)


def _mlp(prefix: str, hidden: int, width: int) -> Iterator[Named]:
    yield f"{prefix}gate_proj.weight", (width, hidden)
    yield f"{prefix}up_proj.weight", (width, hidden)
    yield f"{prefix}down_proj.weight", (hidden, width)


def _linear(prefix: str, width_out: int, width_in: int) -> Iterator[Named]:
    yield f"{prefix}.weight", (width_out, width_in)
    yield f"{prefix}.bias", (width_out,)


def _conv(prefix: str, shape: tuple[int, ...], width_out: int) -> Iterator[Named]:
    yield f"{prefix}.weight", shape
    yield f"{prefix}.bias", (width_out,)


def _snake(prefix: str, width: int) -> Iterator[Named]:
    yield f"{prefix}.alpha", (width,)
    yield f"{prefix}.beta", (width,)
