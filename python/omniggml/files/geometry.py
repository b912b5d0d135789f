"""The numbers that define a model, from a file that hardly says them.

Shapes tell most. The rest is taken from what metadata the family has, from the published model, or from the caller,
who has the last word; what was taken from the published model is listed, to be said aloud.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from omniggml.errors import InputError
from omniggml.files.contents import Contents
from omniggml.printable import shown
from omniggml.spec.bounds import out_of_bounds, why_out_of_bounds
from omniggml.spec.model_config import (
    SUPPRESSED_TAIL,
    Code2WavConfig,
    CodePredictorConfig,
    ModelConfig,
    SpecialTokens,
    TalkerConfig,
    ThinkerConfig,
)
from omniggml.spec.published import PUBLISHED
from omniggml.spec.sections import is_of_kind, published_setting, split_setting

Config = TypeVar("Config", ThinkerConfig, TalkerConfig, CodePredictorConfig, Code2WavConfig, SpecialTokens)
Values = dict[str, Any]

_TOKEN_TEXTS = {
    "tts_pad": "<tts_pad>",
    "tts_bos": "<tts_text_bos>",
    "tts_eos": "<tts_text_eod>",
    "im_start": "<|im_start|>",
    "im_end": "<|im_end|>",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "audio": "<|audio_pad|>",
    "image": "<|image_pad|>",
    "video": "<|video_pad|>",
}

# With text alone it makes no difference, so nothing is said of it.
_UNSPOKEN = ("mrope_section",)


# Settings that shapes tell only where another is known: assumed where that is.
_FOLLOWS = {
    ("code2wav", "num_attention_heads"): "head_dim",
    ("code2wav", "num_key_value_heads"): "head_dim",
}


@dataclass(frozen=True)
class Derived:
    """A geometry, and the settings "section.name" (see `spec/sections.py`) that no file told, with the values taken for
    them: those of the published model, and what was computed from these."""

    config: ModelConfig
    assumed: dict[str, Any]


def derive(
    contents: Contents,
    told: Mapping[str, Values],
    overrides: Mapping[str, Any],
    tokens: Any,
    *,
    in_part: bool = False,
) -> Derived:
    """The geometry of what is there. `told`: section -> values from metadata. `overrides`: "section.name" -> value.
    `tokens`: the list of the tokenizer's tokens, or None. `in_part`: a talker or code2wav may be missing as a whole;
    the published one stands for it.

    Raises ModelFileError where tensors are missing or shapes contradict each other, InputError for an override that
    is no setting.
    """
    assumed: dict[str, Any] = {}
    given = _by_section(overrides)

    def section(name: str, published: Config, shapes: Values) -> Config:
        own = given.get(name, {})
        chosen = {**told.get(name, {}), **shapes, **own}
        values = {}
        for field in dataclasses.fields(published):
            if field.name not in chosen and field.name not in _UNSPOKEN:
                assumed[f"{name}.{field.name}"] = getattr(published, field.name)
            values[field.name] = chosen.get(field.name, getattr(published, field.name))
        for (of, setting), source in _FOLLOWS.items():
            if of == name and f"{name}.{source}" in assumed and setting not in own:
                assumed[f"{name}.{setting}"] = values[setting]
        return type(published)(**values)

    stages = ("talker.model.", "talker.code_predictor.", "code2wav.")
    talks, predicts, sounds = (not in_part or contents.holds(stage) for stage in stages)
    published = _published_talker(contents) if talks else PUBLISHED.talker
    talker = section("talker", published, _told(contents, "talker.", _talker) if talks else {})
    predictor = section(
        "code_predictor", PUBLISHED.code_predictor, _told(contents, stages[1], _code_predictor) if predicts else {}
    )
    known = {"num_quantizers": predictor.num_code_groups, **told.get("code2wav", {}), **given.get("code2wav", {})}
    shapes = _told(contents, "code2wav.", lambda c: _code2wav(c, known)) if sounds else {}
    vocoder = section("code2wav", PUBLISHED.code2wav, shapes)
    if _has_thinker(contents):
        thinker = section("thinker", PUBLISHED.thinker, _thinker(contents))
    else:
        thinker = _table(contents, talker.thinker_hidden_size)
    token = section("token", PUBLISHED.token, {**token_ids(tokens), **told.get("token", {})})
    config = ModelConfig(thinker, talker, predictor, vocoder, token)
    if "mrope_section" in given.get("talker", {}) or "mrope_section" in given.get("thinker", {}):
        _check_sections(given, config)
    if reason := out_of_bounds(config):
        raise contents.blame(reason, f"its {reason}")
    if talks and sounds:
        _check_codebooks(contents, config)
    elif sounds and vocoder.num_quantizers * vocoder.codebook_size != contents.rows("code2wav.code_embedding.weight"):
        raise contents.blame("code2wav.", _split_of_table(contents, vocoder))
    elif sounds and not any("num_quantizers" in values.get("code2wav", {}) for values in (told, given)):
        assumed["code2wav.num_quantizers"] = vocoder.num_quantizers
    return Derived(config, assumed)


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Raises InputError for a setting that does not exist or has a value of another kind."""
    for name, values in _by_section(overrides).items():
        for key, value in values.items():
            expected = published_setting(name, key)
            if expected is None:
                raise InputError(f"there is no setting {name}.{key} to override")
            if not is_of_kind(name, key, value):
                raise InputError(
                    f"{name}.{key} can't be {shown(value)}; expected something like {shown(expected, 200)}"
                )
            if why := why_out_of_bounds(key, value):
                raise InputError(f"{name}.{key} can't be {shown(value)}; expected {why}")


def _check_sections(given: Mapping[str, Values], config: ModelConfig) -> None:
    """Raises InputError for sections of a rotation that are not those of half a head."""
    for name, part in (("thinker", config.thinker), ("talker", config.talker)):
        sections = part.mrope_section
        if "mrope_section" in given.get(name, {}) and (len(sections) != 3 or sum(sections) != part.head_dim // 2):
            raise InputError(
                f"{name}.mrope_section can't be {shown(sections)}; expected three numbers that add up to "
                f"{part.head_dim // 2}, half of a head"
            )


def _by_section(overrides: Mapping[str, Any]) -> dict[str, Values]:
    out: dict[str, Values] = {}
    for key, value in overrides.items():
        name, setting = split_setting(key)
        if isinstance(published_setting(name, setting), float) and type(value) is int and abs(value) < 10**30:
            value = float(value)
        out.setdefault(name, {})[setting] = tuple(value) if isinstance(value, list) else value
    return out


def _told(contents: Contents, stage: str, read: Callable[[Contents], Values]) -> Values:
    """What the tensors whose names begin with `stage` tell."""
    try:
        return read(contents)
    except KeyError as error:
        name = error.args[0]
        raise contents.blame(name, f"it lacks the tensor {name}, from which its geometry follows") from None
    except (IndexError, ZeroDivisionError):
        raise contents.blame(stage, "its tensors have shapes from which no geometry follows") from None


def _decoder(contents: Contents, layers: str) -> Values:
    """Of layers with norms for each head, whose length is a head's."""
    first = layers.format(n=0)
    head = contents.size(f"{first}.self_attn.q_norm.weight")
    return {
        "num_hidden_layers": contents.numbers(f"{layers}.input_layernorm.weight"),
        "head_dim": head,
        "num_attention_heads": contents.rows(f"{first}.self_attn.q_proj.weight") // head,
        "num_key_value_heads": contents.rows(f"{first}.self_attn.k_proj.weight") // head,
    }


def _experts(contents: Contents, layers: str) -> Values:
    first = layers.format(n=0)
    return {
        "num_experts": contents.rows(f"{first}.mlp.gate.weight"),
        "moe_intermediate_size": contents.rows(f"{first}.mlp.experts.gate_proj.weight"),
    }


def _talker(contents: Contents) -> Values:
    layers = "talker.model.layers.{n}"
    return {
        **_decoder(contents, layers),
        **_experts(contents, layers),
        "hidden_size": contents.columns("talker.model.codec_embedding.weight"),
        "vocab_size": contents.rows("talker.model.codec_embedding.weight"),
        "shared_expert_intermediate_size": contents.rows(f"{layers.format(n=0)}.mlp.shared_expert.gate_proj.weight"),
        "intermediate_size": contents.rows("talker.text_projection.linear_fc1.weight"),
        "thinker_hidden_size": contents.columns("talker.text_projection.linear_fc1.weight"),
    }


def _published_talker(contents: Contents) -> TalkerConfig:
    """The published ids, which are counted from the end of the codebook."""
    published = PUBLISHED.talker
    rows = _told(contents, "talker.", lambda c: {"rows": c.rows("talker.model.codec_embedding.weight")})["rows"]
    shift = rows - published.vocab_size
    ids = {
        field.name: getattr(published, field.name) + shift
        for field in dataclasses.fields(published)
        if field.name.startswith("codec_")
    }
    speakers = tuple((name, number + shift) for name, number in published.speakers)
    return dataclasses.replace(published, **ids, speakers=speakers)


def _code_predictor(contents: Contents) -> Values:
    layers, prefix = "talker.code_predictor.model.layers.{n}", "talker.code_predictor"
    return {
        **_decoder(contents, layers),
        "hidden_size": contents.columns(f"{prefix}.model.codec_embedding.0.weight"),
        "vocab_size": contents.rows(f"{prefix}.model.codec_embedding.0.weight"),
        "intermediate_size": contents.rows(f"{layers.format(n=0)}.mlp.gate_proj.weight"),
        "num_code_groups": contents.numbers(f"{prefix}.lm_head.{{n}}.weight") + 1,
    }


def _code2wav(contents: Contents, known: Values) -> Values:
    """`known`: what others said. The table's rows are groups times codebook, in any split: the predictor's heads
    decide it. The rows of q are heads times their width, in any split: the published model's width decides it."""
    layers = "code2wav.pre_transformer.layers.{n}"
    first = layers.format(n=0)
    hidden = contents.columns("code2wav.code_embedding.weight")
    width = contents.size("code2wav.decoder.0.conv.bias")
    ratios = [
        contents.size(f"code2wav.upsample.{stage}.0.conv.weight") // hidden**2
        for stage in range(contents.numbers("code2wav.upsample.{n}.0.conv.weight"))
    ]
    rates: list[int] = []
    while f"code2wav.decoder.{len(rates) + 1}.block.1.conv.weight" in contents.parts:
        channels = width >> len(rates)
        kernel = contents.size(f"code2wav.decoder.{len(rates) + 1}.block.1.conv.weight") // (channels * channels // 2)
        rates.append(kernel // 2)
    queries, keys = (contents.rows(f"{first}.self_attn.{part}_proj.weight") for part in "qk")
    heads = {"head_dim": queries // known["num_attention_heads"]} if "num_attention_heads" in known else {}
    head = {"head_dim": PUBLISHED.code2wav.head_dim, **heads, **known}["head_dim"]
    groups = known["num_quantizers"]
    return {
        **heads,
        "num_attention_heads": queries // head,
        "num_key_value_heads": keys // head,
        "num_hidden_layers": contents.numbers(f"{layers}.input_layernorm.weight"),
        "hidden_size": hidden,
        "intermediate_size": contents.rows(f"{first}.mlp.gate_proj.weight"),
        "decoder_dim": width,
        "upsampling_ratios": tuple(ratios),
        "upsample_rates": tuple(rates),
        "num_quantizers": groups,
        "codebook_size": contents.rows("code2wav.code_embedding.weight") // groups,
    }


def _has_thinker(contents: Contents) -> bool:
    return "thinker.model.layers.0.self_attn.q_proj.weight" in contents.parts


def _thinker(contents: Contents) -> Values:
    layers = "thinker.model.layers.{n}"
    return _told(
        contents,
        "thinker.",
        lambda c: {
            **_decoder(c, layers),
            **_experts(c, layers),
            "hidden_size": c.columns("thinker.model.embed_tokens.weight"),
            "vocab_size": c.rows("thinker.model.embed_tokens.weight"),
            "intermediate_size": c.rows(f"{layers.format(n=0)}.mlp.experts.gate_proj.weight"),
        },
    )


def _table(contents: Contents, width: int) -> ThinkerConfig:
    """A speech file knows of the thinker only its table of tokens."""
    name = "thinker.model.embed_tokens.weight"
    rows = contents.rows(name) if name in contents.parts else PUBLISHED.thinker.vocab_size
    return dataclasses.replace(PUBLISHED.thinker, vocab_size=rows, hidden_size=width)


def token_ids(tokens: Any) -> Values:
    """The ids of the texts that the prompt is built from, by a tokenizer's list of tokens; {} without one."""
    index = {text: number for number, text in enumerate(tokens)} if isinstance(tokens, list) else {}
    return {name: index[text] for name, text in _TOKEN_TEXTS.items() if text in index}


def _check_codebooks(contents: Contents, config: ModelConfig) -> None:
    """The talker, the predictor and the table must agree on how many codes there are, and in how many groups."""
    vocoder, heads = config.code2wav, config.talker.vocab_size - SUPPRESSED_TAIL
    rows = contents.rows("code2wav.code_embedding.weight")
    if vocoder.num_quantizers * vocoder.codebook_size != rows or max(heads, config.code_predictor.vocab_size) > (
        vocoder.codebook_size
    ):
        elsewhere = contents.holder("code2wav.") != contents.holder("talker.")
        table = _split_of_table(contents, vocoder, f"{contents.holder('code2wav.')}'s" if elsewhere else "its")
        raise contents.blame(
            "talker.",
            f"its talker speaks {heads} codes and its predictor {config.code_predictor.vocab_size} in "
            f"{config.code_predictor.num_code_groups} groups, but {table}",
        )


def _split_of_table(contents: Contents, vocoder: Code2WavConfig, whose: str = "its") -> str:
    rows = contents.rows("code2wav.code_embedding.weight")
    return (
        f"{whose} table of {rows} codes is read as {vocoder.num_quantizers} groups of {vocoder.codebook_size}; "
        "override code2wav.num_quantizers and code2wav.codebook_size if you know better"
    )
