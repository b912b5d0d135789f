"""Write a small random Qwen3-Omni as a Hugging Face checkpoint directory.

For tests and for trying the tools without 60 GB of weights: transformers loads the directory, and `convert` turns it
into GGUF files. The encoders for audio and images are left out unless they are asked for; transformers fills them at
random when it loads.
"""

from __future__ import annotations

import dataclasses
import json
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from omniggml.errors import InputError
from omniggml.printable import shown
from omniggml.spec.encoder_tensors import audio_encoder_tensors, vision_encoder_tensors
from omniggml.spec.expected_tensors import speech_tensors, thinker_tensors
from omniggml.spec.model_config import (
    TALKER_SAMPLING,
    AudioEncoderConfig,
    Code2WavConfig,
    CodePredictorConfig,
    SpecialTokens,
    TalkerConfig,
    ThinkerConfig,
    VisionEncoderConfig,
    VisionInputConfig,
)
from omniggml.spec.speech_file import speech_file_tensors
from omniggml.synthetic.geometries import GEOMETRIES, Geometry
from omniggml.synthetic.random_weights import weight_blocks
from omniggml.synthetic.safetensors_writer import write_sharded


def write_random_checkpoint(
    geometry: str | Geometry,
    directory: str | Path,
    seed: int = 0,
    *,
    shard_bytes: int = 2_000_000,
    only: Literal["speech"] | None = None,
    audio: AudioEncoderConfig | None = None,
    vision: VisionEncoderConfig | None = None,
) -> Path:
    """Write configuration, tokenizer and BF16 weights of `geometry` into `directory`, which is created if need be.
    `only="speech"` leaves out the weights that a speech file has no use for; `audio` and
    `vision`: encoders to write as well.

    The same geometry and seed give the same bytes everywhere. Weights are made and written in small blocks, so that
    a model of the published size needs no more memory than a small one; raise `shard_bytes` for it.
    Returns the directory. Raises InputError for an unknown geometry or a directory that can't be written.
    """
    if isinstance(geometry, str):
        if geometry not in GEOMETRIES:
            raise InputError(f"there is no geometry {shown(geometry)}: choose one of {', '.join(GEOMETRIES)}")
        geometry = GEOMETRIES[geometry]
    chosen = geometry
    target = Path(directory)
    config = chosen.model_config()
    heard = () if audio is None else audio_encoder_tensors(audio)
    seen = () if vision is None else vision_encoder_tensors(vision)
    whole = chain(thinker_tensors(chosen.thinker), speech_tensors(config), heard, seen)
    tensors = speech_file_tensors(config) if only == "speech" else whole
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write_json(target / "config.json", config_json(chosen, audio, vision))
        _write_json(target / "generation_config.json", generation_json(chosen))
        if vision is not None:
            _write_json(target / "preprocessor_config.json", preprocessor_json())
        chosen.tokenizer.write(target)
        write_sharded(target, tensors, lambda name, shape: weight_blocks(chosen, seed, name, shape), shard_bytes)
    except OSError as error:
        raise InputError(f"the random checkpoint can't be written to {target}: {error}") from error
    return target


def config_json(
    geometry: Geometry, audio: AudioEncoderConfig | None = None, vision: VisionEncoderConfig | None = None
) -> dict[str, Any]:
    """`config.json` of a geometry, nested as in the published checkpoint."""
    tokens = geometry.tokenizer.special_tokens()
    return {
        "architectures": ["Qwen3OmniMoeForConditionalGeneration"],
        "assistant_token_id": tokens.assistant,
        "code2wav_config": _code2wav_json(geometry, geometry.code2wav),
        "dtype": "bfloat16",
        "enable_audio_output": True,
        "im_end_token_id": tokens.im_end,
        "im_start_token_id": tokens.im_start,
        "model_type": "qwen3_omni_moe",
        "system_token_id": tokens.system,
        "talker_config": _talker_json(geometry, geometry.talker, tokens),
        "thinker_config": _thinker_json(geometry, geometry.thinker, tokens, audio, vision),
        "tts_bos_token_id": tokens.tts_bos,
        "tts_eos_token_id": tokens.tts_eos,
        "tts_pad_token_id": tokens.tts_pad,
        "user_token_id": tokens.user,
    }


def _thinker_json(
    geometry: Geometry,
    thinker: ThinkerConfig,
    tokens: SpecialTokens,
    audio: AudioEncoderConfig | None,
    vision: VisionEncoderConfig | None,
) -> dict[str, Any]:
    return {
        "audio_config": _audio_encoder_json(thinker.hidden_size) | (_audio_json(audio) if audio else {}),
        "audio_start_token_id": geometry.tokenizer.added["<|audio_start|>"],
        "audio_token_id": tokens.audio,
        "image_token_id": tokens.image,
        "model_type": "qwen3_omni_moe_thinker",
        "position_id_per_seconds": 13,
        "text_config": {
            "attention_bias": False,
            "decoder_sparse_step": 1,
            "hidden_act": "silu",
            "mlp_only_layers": [],
            "model_type": "qwen3_omni_moe_text",
            "moe_intermediate_size": thinker.moe_intermediate_size,
            "norm_topk_prob": True,
            "num_experts": thinker.num_experts,
            "num_experts_per_tok": thinker.num_experts_per_tok,
            "tie_word_embeddings": False,
            "vocab_size": thinker.vocab_size,
            **_attention_json(thinker),
            **_rope_json(geometry, thinker.rope_theta, thinker.mrope_section),
        },
        "user_token_id": tokens.user,
        "video_token_id": tokens.video,
        "vision_config": _vision_encoder_json(thinker.hidden_size) | (dataclasses.asdict(vision) if vision else {}),
        "vision_end_token_id": geometry.tokenizer.added["<|vision_end|>"],
        "vision_start_token_id": geometry.tokenizer.added["<|vision_start|>"],
    }


def _talker_json(geometry: Geometry, talker: TalkerConfig, tokens: SpecialTokens) -> dict[str, Any]:
    added = geometry.tokenizer.added
    return {
        "accept_hidden_layer": talker.accept_hidden_layer,
        "audio_start_token_id": added["<|audio_start|>"],
        "audio_token_id": tokens.audio,
        "code_predictor_config": _code_predictor_json(geometry, geometry.code_predictor),
        "codec_bos_id": talker.codec_bos_id,
        "codec_eos_token_id": talker.codec_eos_token_id,
        "codec_nothink_id": talker.codec_nothink_id,
        "codec_pad_id": talker.codec_pad_id,
        "codec_think_bos_id": talker.codec_think_bos_id,
        "codec_think_eos_id": talker.codec_think_eos_id,
        "image_token_id": tokens.image,
        "model_type": "qwen3_omni_moe_talker",
        "num_code_groups": geometry.code_predictor.num_code_groups,
        "position_id_per_seconds": 13,
        "spatial_merge_size": 2,
        "speaker_id": dict(talker.speakers),
        "text_config": _talker_text_json(geometry, talker),
        "thinker_hidden_size": talker.thinker_hidden_size,
        "video_token_id": tokens.video,
        "vision_start_token_id": added["<|vision_start|>"],
    }


def _talker_text_json(geometry: Geometry, talker: TalkerConfig) -> dict[str, Any]:
    return {
        "attention_bias": False,
        "decoder_sparse_step": 1,
        "hidden_act": "silu",
        "mlp_only_layers": [],
        "model_type": "qwen3_omni_moe_talker_text",
        "moe_intermediate_size": talker.moe_intermediate_size,
        "norm_topk_prob": talker.norm_topk_prob,
        "num_experts": talker.num_experts,
        "num_experts_per_tok": talker.num_experts_per_tok,
        "shared_expert_intermediate_size": talker.shared_expert_intermediate_size,
        "sliding_window": None,
        "vocab_size": talker.vocab_size,
        **_attention_json(talker),
        **_rope_json(geometry, talker.rope_theta, talker.mrope_section),
    }


def _code_predictor_json(geometry: Geometry, predictor: CodePredictorConfig) -> dict[str, Any]:
    return {
        "attention_bias": False,
        "hidden_act": "silu",
        "layer_types": ["full_attention"] * predictor.num_hidden_layers,
        "max_window_layers": 28,
        "model_type": "qwen3_omni_moe_talker_code_predictor",
        "num_code_groups": predictor.num_code_groups,
        "sliding_window": None,
        "use_sliding_window": False,
        "vocab_size": predictor.vocab_size,
        **_attention_json(predictor),
        **_rope_json(geometry, predictor.rope_theta, None),
    }


def _code2wav_json(geometry: Geometry, wav: Code2WavConfig) -> dict[str, Any]:
    values = {
        "attention_bias": False,
        "codebook_size": wav.codebook_size,
        "decoder_dim": wav.decoder_dim,
        "hidden_act": "silu",
        "layer_scale_initial_scale": 0.01,
        "num_quantizers": wav.num_quantizers,
        "sliding_window": wav.sliding_window,
        "upsample_rates": list(wav.upsample_rates),
        "upsampling_ratios": list(wav.upsampling_ratios),
        **_attention_json(wav),
        **_rope_json(geometry, wav.rope_theta, None),
    }
    if wav.head_dim * wav.num_attention_heads == wav.hidden_size:
        del values["head_dim"]  # The published file doesn't give it either; it has to be worked out.
    return values


def _attention_json(
    stage: ThinkerConfig | TalkerConfig | CodePredictorConfig | Code2WavConfig,
) -> dict[str, Any]:
    return {
        "head_dim": stage.head_dim,
        "hidden_size": stage.hidden_size,
        "intermediate_size": stage.intermediate_size,
        "max_position_embeddings": stage.max_position_embeddings,
        "num_attention_heads": stage.num_attention_heads,
        "num_hidden_layers": stage.num_hidden_layers,
        "num_key_value_heads": stage.num_key_value_heads,
        "rms_norm_eps": stage.rms_norm_eps,
    }


def _rope_json(geometry: Geometry, theta: float, sections: tuple[int, ...] | None) -> dict[str, Any]:
    if geometry.rope_layout == "transformers5":
        extra = {} if sections is None else {"mrope_section": list(sections)}
        return {"rope_parameters": {"rope_theta": theta, "rope_type": "default", **extra}}
    if sections is None:
        return {"rope_scaling": None, "rope_theta": theta}
    scaling = {"interleaved": True, "mrope_section": list(sections), "rope_type": "default", "type": "default"}
    return {"rope_scaling": scaling, "rope_theta": theta}


def _audio_json(audio: AudioEncoderConfig) -> dict[str, Any]:
    """What transformers knows of it."""
    return {name: value for name, value in dataclasses.asdict(audio).items() if value is not False}


def _audio_encoder_json(hidden: int) -> dict[str, Any]:
    """The least that transformers builds an encoder from; no weights are written for it."""
    return {
        "d_model": 16,
        "downsample_hidden_size": 8,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "encoder_layers": 1,
        "model_type": "qwen3_omni_moe_audio_encoder",
        "num_mel_bins": 16,
        "output_dim": hidden,
    }


def _vision_encoder_json(hidden: int) -> dict[str, Any]:
    """The least that transformers builds an encoder from; no weights are written for it."""
    return {
        "deepstack_visual_indexes": [0],
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "model_type": "qwen3_omni_moe_vision_encoder",
        "num_heads": 2,
        "num_position_embeddings": 16,
        "out_hidden_size": hidden,
    }


def preprocessor_json() -> dict[str, Any]:
    """`preprocessor_config.json` of the published checkpoint, as far as it is about images."""
    images = VisionInputConfig()
    return {
        "image_mean": list(images.image_mean),
        "image_std": list(images.image_std),
        "max_pixels": images.max_pixels,
        "min_pixels": images.min_pixels,
    }


def generation_json(geometry: Geometry) -> dict[str, Any]:
    added = geometry.tokenizer.added
    return {
        "do_sample": True,
        "eos_token_id": [added["<|endoftext|>"], added["<|im_end|>"]],
        "pad_token_id": added["<|endoftext|>"],
        "repetition_penalty": 1.0,
        "talker_do_sample": TALKER_SAMPLING.do_sample,
        "talker_max_new_tokens": TALKER_SAMPLING.max_new_tokens,
        "talker_repetition_penalty": TALKER_SAMPLING.repetition_penalty,
        "talker_temperature": TALKER_SAMPLING.temperature,
        "talker_top_k": TALKER_SAMPLING.top_k,
        "talker_top_p": TALKER_SAMPLING.top_p,
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
