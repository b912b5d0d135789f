"""Trained weights -> a Hugging Face checkpoint -> the GGUF files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from omniggml import convert
from omniggml.spec.encoder_tensors import audio_encoder_tensors
from omniggml.spec.expected_tensors import speech_tensors, thinker_tensors
from omniggml.synthetic.random_checkpoint import config_json

from .geometry import EAR, VOICE

TEMPERATURE, TOP_K = 0.2, 50
PREDICTOR_TEMPERATURE = 0.1
"""The reference draws the predictor's codes at temperature 1, and no file can change that: so its heads carry this."""

LONGEST_SPAN = 32
"""Tokens that the voice is good for in one go (`recipe.long_texts` measures it)."""


def write_checkpoint(directory: Path, thinker: Any, talker: Any, code2wav: Any, ear: Any = None) -> Path:
    """Write configuration, tokenizer and float32 weights as transformers lays them out; with the audio encoder where
    there is one."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "config.json", {**config_json(VOICE, None if ear is None else EAR), "dtype": "float32"})
    _write_json(directory / "generation_config.json", generation_json())
    VOICE.tokenizer.write(directory)
    named = [*thinker.tensors(), *talker.tensors()]
    named = [
        (name, value / PREDICTOR_TEMPERATURE if "code_predictor.lm_head." in name else value) for name, value in named
    ]
    named += [(f"code2wav.{name}", value) for name, value in code2wav.state_dict().items()]
    named += [] if ear is None else [*ear.tensors()]
    tensors = {name: np.ascontiguousarray(value.detach().numpy(), np.float32) for name, value in named}
    config = VOICE.model_config()
    wanted = [*thinker_tensors(config.thinker), *speech_tensors(config)]
    wanted += [] if ear is None else [*audio_encoder_tensors(EAR)]
    save_file({name: tensors[name].reshape(shape) for name, shape in wanted}, directory / "model.safetensors")
    return directory


def write_ear_checkpoint(directory: Path, ear: Any) -> Path:
    """Write the audio encoder alone, as a checkpoint of which the rest is elsewhere."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "config.json", {**config_json(VOICE, EAR), "dtype": "float32"})
    VOICE.tokenizer.write(directory)
    tensors = {name: np.ascontiguousarray(value.detach().numpy(), np.float32) for name, value in ear.tensors()}
    save_file(tensors, directory / "model.safetensors")
    return directory


def generation_json() -> dict[str, Any]:
    """How the voice is drawn from: nearly greedy, since a voice that says the wrong word is worse than a plain one."""
    added = VOICE.tokenizer.added
    return {
        "do_sample": False,
        "eos_token_id": [added["<|endoftext|>"], added["<|im_end|>"]],
        "default_speaker": VOICE.talker.speakers[0][0],
        "text_normalization": "spoken_english",
        "longest_span": LONGEST_SPAN,
        "pad_token_id": added["<|endoftext|>"],
        "talker_do_sample": True,
        "talker_max_new_tokens": 750,
        "talker_repetition_penalty": 1.0,
        "talker_temperature": TEMPERATURE,
        "talker_top_k": TOP_K,
        "talker_top_p": 1.0,
    }


def write_gguf_files(checkpoint: Path, directory: Path, precision: str = "f16") -> list[Path]:
    """Convert the checkpoint to `voice-speech.gguf`, `voice-thinker.gguf` and, where it hears, `voice-mmproj.gguf`, as
    `write_ear_file` makes that."""
    paths = convert(checkpoint, directory, type=precision, name="voice")
    return [write_ear_file(checkpoint, directory) if path.name == "voice-mmproj.gguf" else path for path in paths]


def write_ear_file(checkpoint: Path, directory: Path, precision: str = "q8_0") -> Path:
    """Convert the audio encoder of a checkpoint to `voice-mmproj.gguf`."""
    return convert(checkpoint, directory, type=precision, name="voice", only="mmproj")[0]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
