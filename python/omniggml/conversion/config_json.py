"""`config.json` and `generation_config.json` of a checkpoint directory -> `ModelConfig`.

The layout of the published checkpoint (`rope_theta` beside `rope_scaling`) and those of transformers 5
(`rope_parameters`, `num_local_experts`) are read. Whatever the engine can't compute is refused here, in one sentence,
before a tensor is touched: a model that runs and is slightly wrong is worse than one that doesn't convert.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omniggml.conversion import config_defaults
from omniggml.conversion.config_defaults import Defaults
from omniggml.conversion.links import check_links
from omniggml.errors import ConversionError
from omniggml.files.geometry import token_ids
from omniggml.files.json_object import read_json_object
from omniggml.files.tokenizer_metadata import read_tokenizer_files
from omniggml.printable import shown
from omniggml.spec.bounds import LARGEST, MOST_EXPERTS, MOST_LAYERS
from omniggml.spec.model_config import (
    LONGEST_SPAN_KEY,
    SUPPRESSED_TAIL,
    TALKER_SAMPLING,
    TEXT_NORMALIZATION_KEY,
    TEXT_NORMALIZATIONS,
    THINKER_SAMPLING,
    Code2WavConfig,
    CodePredictorConfig,
    LanguageModel,
    ModelConfig,
    Sampling,
    SpecialTokens,
    TalkerConfig,
    ThinkerConfig,
)
from omniggml.warning import warn

NO_VOICE = (
    "{path} has no voice: it was published without a talker; convert its thinker with --only thinker, and take "
    "Qwen3-Omni-30B-A3B-Instruct for speech"
)
"""Said of a checkpoint like -Thinking or -Captioner."""

THINKER_ALONE = "qwen3_omni_moe_thinker"
"""`model_type` where transformers' thinker was saved by itself."""

_OTHER_SPELLINGS = {"num_experts": "num_local_experts"}
"""Keys that a configuration class saves under the name that its attribute map gives them."""


class Section:
    """One JSON object, read key by key; complains with the full path of the key."""

    def __init__(self, values: Mapping[str, Any], file: Path, path: str = "", defaults: Defaults | None = None) -> None:
        """`defaults`: what stands for keys that are missing or null."""
        self.values = dict(values)
        self.file = file
        self.path = path
        self._left_out: set[str] = set()
        for key, other in _OTHER_SPELLINGS.items():
            if values.get(other) is not None:
                self.must_be(key, (values[other],))
                self.values[key] = values[other]
        self._left_out = {key for key in defaults or {} if self.values.get(key) is None}
        self.values |= {key: value for key, value in (defaults or {}).items() if key in self._left_out}

    def error(self, key: str, found: str, expected: str) -> ConversionError:
        is_ = f"is missing, for which transformers takes {found}" if key in self._left_out else f"is {found}"
        return ConversionError(f"{self.file}: {self.path}{key} {is_}, expected {expected}")

    def section(self, key: str, defaults: Defaults | None = None) -> Section:
        """One that has defaults may be missing as a whole."""
        value = self._required(key) if defaults is None else self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, shown(value), "an object")
        return Section(value or {}, self.file, f"{self.path}{key}.", defaults)

    def integer(self, key: str, low: int = 0, high: int = LARGEST, default: int | None = None) -> int:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, repr(value), f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: float | None = None, low: float = 0.0) -> float:
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < low:
            raise self.error(key, repr(value), f"a finite number of at least {low}")
        return float(value)

    def numbers(self, key: str, default: tuple[float, ...], low: float = -LARGEST) -> tuple[float, ...]:
        """As many as the default has."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or len(value) != len(default):
            raise self.error(key, shown(value), f"a list of {len(default)} numbers")
        return tuple(Section({key: one}, self.file, self.path).number(key, low=low) for one in value)

    def boolean(self, key: str, default: bool) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, repr(value), "true or false")
        return value

    def integers(self, key: str, low: int = 1, high: int = 4096) -> tuple[int, ...]:
        value = self._required(key)
        if not isinstance(value, list) or not value or len(value) > 16:
            raise self.error(key, shown(value), "a list of 1 to 16 whole numbers")
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
                raise self.error(key, shown(value), f"whole numbers from {low} to {high}")
        return tuple(value)

    def must_be(self, key: str, expected: Sequence[Any]) -> None:
        """The key is absent, null, or one of the values the engine implements."""
        value = self.values.get(key)
        if value is not None and value not in expected:
            raise self.error(key, shown(value), f"{shown(expected[0])}: the engine implements nothing else")

    def _required(self, key: str) -> Any:
        if self.values.get(key) is None:
            raise self.error(key, "missing", "a value")
        return self.values[key]


def read_model_config(directory: Path) -> ModelConfig:
    """Read and check both configuration files of the checkpoint in `directory`.

    Raises ConversionError, naming the file and the key, when a value is missing, absurd or not implemented.
    """
    config = read_checkpoint_config(directory)
    if isinstance(config, LanguageModel):
        raise ConversionError(NO_VOICE.format(path=directory))
    return config


def read_checkpoint_config(directory: Path) -> ModelConfig | LanguageModel:
    """As `read_model_config`, but of a model without a talker what it has."""
    check_links(path for pattern in ("*.json", "merges*", "chat_template*") for path in directory.glob(pattern))
    if (directory / "adapter_config.json").exists() and not (directory / "config.json").exists():
        raise ConversionError(
            f"{directory} is an adapter, not a model: convert the model that it was trained on, with --lora {directory}"
        )
    if not (directory / "config.json").exists() and (made := sorted(directory.glob("*.gguf"))):
        raise ConversionError(
            f"{directory} is no checkpoint: it holds {made[0].name}, which is GGUF already; load it as it is, or "
            "change its precision with `omniggml quantize`"
        )
    if not (directory / "config.json").exists() and any(directory.glob("*.safetensors")):
        raise ConversionError(
            f"{directory} holds weights and no config.json: copy it, and the tokenizer's files, from the model whose "
            "weights these are"
        )
    root = Section(read_json_object(directory / "config.json"), directory / "config.json")
    kind = root.values.get("model_type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None and isinstance(kind, (str, type(None))) and _is_part(root, kind):
        raise ConversionError(
            f"{root.file} is of a talker or code2wav saved by itself, which can't be converted: save the whole model, "
            "or give a checkpoint of it with the part's weights in it"
        )
    if read is None:
        raise root.error("model_type", repr(kind)[:80], " or ".join(map(repr, _READERS)))
    return read(directory, root)


def _is_part(root: Section, kind: str | None) -> bool:
    """Whether it is of a part of the model that transformers saved: it names no model of its own."""
    if kind is not None:
        return kind.startswith("qwen3_omni_moe_")
    return "upsample_rates" in root.values or "code_predictor_config" in root.values


def _omni(directory: Path, root: Section) -> ModelConfig | LanguageModel:
    root = Section(root.values, root.file, "", config_defaults.ROOT)
    thinker = Section(root.section("thinker_config").values, root.file, "thinker_config.", config_defaults.THINKER)
    if root.values.get("talker_config") is not None and not root.boolean("enable_audio_output", True):
        warn(f"{root.file}: enable_audio_output is false, and its talker is left out; set it to true for speech")
    if root.values.get("talker_config") is None or not root.boolean("enable_audio_output", True):
        return _language_model(directory, thinker, _special_tokens(root, thinker))
    talker = root.section("talker_config", config_defaults.TALKER)
    config = ModelConfig(
        thinker=_thinker(thinker.section("text_config", config_defaults.THINKER_TEXT)),
        talker=_talker(talker),
        code_predictor=_code_predictor(talker.section("code_predictor_config", config_defaults.CODE_PREDICTOR)),
        code2wav=_code2wav(root.section("code2wav_config", config_defaults.CODE2WAV)),
        token=_special_tokens(root, thinker),
        thinker_sampling=_sampling(directory, ("thinker_", ""), THINKER_SAMPLING),
        talker_sampling=_sampling(directory, ("talker_",), TALKER_SAMPLING),
        text_normalization=_text_normalization(directory),
        default_speaker=_default_speaker(directory, talker),
        longest_span=_longest_span(directory),
    )
    _check_agreement(config, talker, root)
    return config


def _thinker_alone(directory: Path, root: Section) -> LanguageModel:
    return _language_model(directory, root, _tokens_of_tokenizer(directory))


_READERS: dict[str, Callable[[Path, Section], ModelConfig | LanguageModel]] = {
    "qwen3_omni_moe": _omni,
    THINKER_ALONE: _thinker_alone,
}
"""`model_type` of a configuration -> how it becomes ours. A sibling model is one more."""


def _language_model(directory: Path, thinker: Section, tokens: SpecialTokens) -> LanguageModel:
    return LanguageModel(
        _thinker(thinker.section("text_config", config_defaults.THINKER_TEXT)),
        tokens,
        _sampling(directory, ("thinker_", ""), THINKER_SAMPLING),
        _text_normalization(directory),
    )


def _tokens_of_tokenizer(directory: Path) -> SpecialTokens:
    found = token_ids(read_tokenizer_files(directory).tokens())
    if lacking := {field.name for field in dataclasses.fields(SpecialTokens)} - set(found):
        raise ConversionError(f"{directory}: the tokenizer has no token for {min(lacking)}")
    return SpecialTokens(**found)


def _thinker(text: Section) -> ThinkerConfig:
    _refuse_unsupported(text)
    # llama.cpp's qwen3vlmoe graph always renormalises; a thinker that doesn't would run there and be wrong.
    text.must_be("norm_topk_prob", (True,))
    text.must_be("tie_word_embeddings", (False,))
    heads, kv_heads, head_dim = _attention(text)
    return ThinkerConfig(
        num_hidden_layers=text.integer("num_hidden_layers", 1, MOST_LAYERS),
        hidden_size=text.integer("hidden_size", 1),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=text.integer("vocab_size", 1),
        num_experts=text.integer("num_experts", 1, MOST_EXPERTS),
        num_experts_per_tok=_experts_per_token(text),
        moe_intermediate_size=text.integer("moe_intermediate_size", 1),
        intermediate_size=text.integer("intermediate_size", 1),
        rms_norm_eps=text.number("rms_norm_eps"),
        rope_theta=_rope_theta(text),
        mrope_section=_mrope_section(text, head_dim),
        max_position_embeddings=text.integer("max_position_embeddings", 1),
    )


def _talker(talker: Section) -> TalkerConfig:
    text = talker.section("text_config", config_defaults.TALKER_TEXT)
    _refuse_unsupported(text)
    heads, kv_heads, head_dim = _attention(text)
    vocab = text.integer("vocab_size", SUPPRESSED_TAIL + 1)

    def codec_id(key: str) -> int:
        return talker.integer(key, 0, vocab - 1)

    return TalkerConfig(
        num_hidden_layers=text.integer("num_hidden_layers", 1, MOST_LAYERS),
        hidden_size=text.integer("hidden_size", 1),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=vocab,
        num_experts=text.integer("num_experts", 1, MOST_EXPERTS),
        num_experts_per_tok=_experts_per_token(text),
        moe_intermediate_size=text.integer("moe_intermediate_size", 1),
        shared_expert_intermediate_size=text.integer("shared_expert_intermediate_size", 1),
        norm_topk_prob=text.boolean("norm_topk_prob", False),
        rms_norm_eps=text.number("rms_norm_eps"),
        rope_theta=_rope_theta(text),
        mrope_section=_mrope_section(text, head_dim),
        max_position_embeddings=text.integer("max_position_embeddings", 1),
        intermediate_size=text.integer("intermediate_size", 1),
        thinker_hidden_size=talker.integer("thinker_hidden_size", 1),
        accept_hidden_layer=talker.integer("accept_hidden_layer", 0),
        codec_eos_token_id=codec_id("codec_eos_token_id"),
        codec_bos_id=codec_id("codec_bos_id"),
        codec_pad_id=codec_id("codec_pad_id"),
        codec_nothink_id=codec_id("codec_nothink_id"),
        codec_think_bos_id=codec_id("codec_think_bos_id"),
        codec_think_eos_id=codec_id("codec_think_eos_id"),
        speakers=_speakers(talker, vocab),
    )


def _code_predictor(section: Section) -> CodePredictorConfig:
    _refuse_unsupported(section)
    heads, kv_heads, head_dim = _attention(section)
    layers = section.integer("num_hidden_layers", 1, MOST_LAYERS)
    kinds = section.values.get("layer_types")
    if kinds is not None and not (isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)):
        raise section.error("layer_types", repr(kinds)[:80], "'full_attention' in every layer: no other is implemented")
    if section.values.get("sliding_window") is not None and section.integer("max_window_layers") < layers:
        raise section.error("sliding_window", repr(section.values["sliding_window"]), "null: no window is implemented")
    return CodePredictorConfig(
        num_hidden_layers=layers,
        hidden_size=section.integer("hidden_size", 1),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=section.integer("intermediate_size", 1),
        vocab_size=section.integer("vocab_size", 1),
        num_code_groups=section.integer("num_code_groups", 2, 256),
        rms_norm_eps=section.number("rms_norm_eps"),
        rope_theta=_rope_theta(section),
        max_position_embeddings=section.integer("max_position_embeddings", 1),
    )


def _code2wav(section: Section) -> Code2WavConfig:
    _refuse_unsupported(section)
    heads, kv_heads, head_dim = _attention(section)
    rates = section.integers("upsample_rates", low=1, high=64)
    decoder_dim = section.integer("decoder_dim", 1)
    if decoder_dim % 2 ** len(rates) != 0:
        raise section.error("decoder_dim", str(decoder_dim), f"a multiple of {2 ** len(rates)}: it halves at each rate")
    return Code2WavConfig(
        num_hidden_layers=section.integer("num_hidden_layers", 1, MOST_LAYERS),
        hidden_size=section.integer("hidden_size", 1),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=section.integer("intermediate_size", 1),
        sliding_window=section.integer("sliding_window", 1),
        num_quantizers=section.integer("num_quantizers", 2, 256),
        codebook_size=section.integer("codebook_size", 1, 2**20),
        decoder_dim=decoder_dim,
        max_position_embeddings=section.integer("max_position_embeddings", 1),
        rms_norm_eps=section.number("rms_norm_eps"),
        rope_theta=_rope_theta(section),
        upsampling_ratios=section.integers("upsampling_ratios", low=1, high=64),
        upsample_rates=rates,
    )


def _special_tokens(root: Section, thinker: Section) -> SpecialTokens:
    last = thinker.section("text_config", config_defaults.THINKER_TEXT).integer("vocab_size", 1) - 1

    def token(section: Section, key: str) -> int:
        return section.integer(key, 0, last)

    return SpecialTokens(
        tts_pad=token(root, "tts_pad_token_id"),
        tts_bos=token(root, "tts_bos_token_id"),
        tts_eos=token(root, "tts_eos_token_id"),
        im_start=token(root, "im_start_token_id"),
        im_end=token(root, "im_end_token_id"),
        system=token(root, "system_token_id"),
        user=token(root, "user_token_id"),
        assistant=token(root, "assistant_token_id"),
        audio=token(thinker, "audio_token_id"),
        image=token(thinker, "image_token_id"),
        video=token(thinker, "video_token_id"),
    )


def _sampling(directory: Path, prefixes: tuple[str, ...], default: Sampling) -> Sampling:
    """Sampling defaults from `generation_config.json`; the first prefix that has a key wins."""
    path = directory / "generation_config.json"
    values = read_json_object(path) if path.exists() else {}
    found: dict[str, Any] = {}
    for field in ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens"):
        for prefix in prefixes:
            if found.get(field) is None:
                found[field] = values.get(prefix + field)
    section = Section(found, path, prefixes[0])
    # What a temperature of zero asks for; the sampler divides by it.
    temperature = section.number("temperature", default.temperature)
    return Sampling(
        do_sample=section.boolean("do_sample", default.do_sample) and temperature > 0,
        temperature=temperature or default.temperature,
        top_k=section.integer("top_k", default=default.top_k),
        top_p=section.number("top_p", default.top_p),
        repetition_penalty=section.number("repetition_penalty", default.repetition_penalty, low=1e-6),
        max_new_tokens=section.integer("max_new_tokens", default=default.max_new_tokens),
    )


def _default_speaker(directory: Path, talker: Section) -> str | None:
    path = directory / "generation_config.json"
    values = read_json_object(path) if path.exists() else {}
    Section(values, path, "").must_be("default_speaker", [name for name, _ in _talker(talker).speakers])
    name: str | None = values.get("default_speaker")
    return name


def _longest_span(directory: Path) -> int | None:
    path = directory / "generation_config.json"
    values = read_json_object(path) if path.exists() else {}
    if values.get(LONGEST_SPAN_KEY) is None:
        return None
    return Section(values, path, "").integer(LONGEST_SPAN_KEY, low=1)


def _text_normalization(directory: Path) -> str | None:
    path = directory / "generation_config.json"
    values = read_json_object(path) if path.exists() else {}
    Section(values, path, "").must_be(TEXT_NORMALIZATION_KEY, TEXT_NORMALIZATIONS)
    name: str | None = values.get(TEXT_NORMALIZATION_KEY)
    return name


def _refuse_unsupported(section: Section) -> None:
    section.must_be("attention_bias", (False,))
    section.must_be("hidden_act", ("silu",))
    section.must_be("decoder_sparse_step", (1,))
    section.must_be("mlp_only_layers", ([],))
    section.must_be("use_qk_norm", (True,))
    for key in ("rope_scaling", "rope_parameters"):
        rope = section.values.get(key)
        if isinstance(rope, dict):
            inner = Section(rope, section.file, f"{section.path}{key}.")
            for name in ("rope_type", "type"):
                inner.must_be(name, ("default", "mrope") if name == "type" else ("default",))
            inner.must_be("partial_rotary_factor", (1.0,))
            # The reference ignores the flag and interleaves always; a file that asks for the other way is not its own.
            inner.must_be("interleaved", (True,))
            inner.must_be("mrope_interleaved", (True,))


def _attention(section: Section) -> tuple[int, int, int]:
    """(query heads, key-value heads, size of a head)."""
    heads = section.integer("num_attention_heads", 1, 4096)
    kv_heads = section.integer("num_key_value_heads", 1, 4096)
    if heads % kv_heads != 0:
        raise section.error("num_attention_heads", str(heads), f"a multiple of the {kv_heads} num_key_value_heads")
    default = max(section.integer("hidden_size", 1) // heads, 1)
    head_dim = section.integer("head_dim", 2, 4096, default=default)
    if head_dim % 2 != 0:
        raise section.error("head_dim", str(head_dim), "an even number: rope turns pairs")
    return heads, kv_heads, head_dim


def _experts_per_token(section: Section) -> int:
    return section.integer("num_experts_per_tok", 1, section.integer("num_experts", 1, MOST_EXPERTS))


def _rope(section: Section) -> dict[str, Any]:
    for key in ("rope_parameters", "rope_scaling"):
        rope = section.values.get(key)
        if isinstance(rope, dict):
            return rope
    return {}


def _rope_theta(section: Section) -> float:
    theta = _rope(section).get("rope_theta", section.values.get("rope_theta"))
    return Section({"rope_theta": theta}, section.file, section.path).number("rope_theta", low=1.0)


def _mrope_section(section: Section, head_dim: int) -> tuple[int, ...]:
    default = {"mrope_section": list(config_defaults.MROPE_SECTION)}
    rope = Section(_rope(section), section.file, f"{section.path}rope_scaling.", default)
    parts = rope.integers("mrope_section", low=0)
    if len(parts) != 3 or sum(parts) != head_dim // 2:
        raise rope.error("mrope_section", str(list(parts)), f"three numbers that add up to {head_dim // 2}")
    return parts


def _speakers(talker: Section, vocab: int) -> tuple[tuple[str, int], ...]:
    section = talker.section("speaker_id")
    if not section.values:
        raise talker.error("speaker_id", "empty", "at least one speaker")
    return tuple((str(name), section.integer(name, 0, vocab - 1)) for name in section.values)


def _check_agreement(config: ModelConfig, talker: Section, root: Section) -> None:
    """Numbers that occur in two places, or that have to fit each other."""
    wav, predictor = config.code2wav, config.code_predictor
    pairs = (
        ("talker_config.num_code_groups", talker.integer("num_code_groups", 2, 256), predictor.num_code_groups),
        ("code2wav_config.num_quantizers", wav.num_quantizers, predictor.num_code_groups),
        ("talker_config.code_predictor_config.hidden_size", predictor.hidden_size, config.talker.hidden_size),
        ("talker_config.thinker_hidden_size", config.talker.thinker_hidden_size, config.thinker.hidden_size),
    )
    for key, found, expected in pairs:
        if found != expected:
            raise root.error(key, str(found), f"{expected} as elsewhere in the file")
    if config.talker.accept_hidden_layer > config.thinker.num_hidden_layers:
        limit = config.thinker.num_hidden_layers
        raise talker.error("accept_hidden_layer", str(config.talker.accept_hidden_layer), f"at most {limit}")
    # Both would index past the vocoder's code table, which is a crash and not a wrong sound.
    codes = max(predictor.vocab_size, config.talker.vocab_size - SUPPRESSED_TAIL)
    if codes > wav.codebook_size:
        raise root.error(
            "code2wav_config.codebook_size", str(wav.codebook_size), f"room for the {codes} codes that are sampled"
        )
