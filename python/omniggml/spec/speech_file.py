"""`NAME-speech.gguf`: talker, code predictor, code2wav and the text table, under their checkpoint names.

`docs/gguf.md` describes every key and tensor; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator

from omniggml.gguf.metadata import Metadata, count, counts, fields, signed, text, texts
from omniggml.spec.expected_tensors import TEXT_EMBEDDING, Named, speech_tensors
from omniggml.spec.model_config import (
    LONGEST_SPAN_KEY,
    PREDICTOR_SAMPLING,
    SAMPLE_RATE,
    SUPPRESSED_TAIL,
    TEXT_NORMALIZATION_KEY,
    Code2WavConfig,
    ModelConfig,
)

ARCHITECTURE = "qwen3omni-speech"
FORMAT_VERSION = 1
DEFAULT_SPEAKER = f"{ARCHITECTURE}.talker.default_speaker"
SPEAKER_NAMES = f"{ARCHITECTURE}.talker.speaker_names"
LONGEST_SPAN = f"{ARCHITECTURE}.{LONGEST_SPAN_KEY}"
TEXT_NORMALIZATION = f"{ARCHITECTURE}.{TEXT_NORMALIZATION_KEY}"

SUPPRESSED_TAIL_KEY = f"{ARCHITECTURE}.talker.suppressed_tail"

LONGEST_NAME = 63
"""Bytes of a tensor name that ggml stores; its reader refuses longer ones."""


def speech_file_tensors(config: ModelConfig) -> Iterator[Named]:
    """Checkpoint tensors that the speech file is made of, in its order."""
    yield TEXT_EMBEDDING, (config.thinker.vocab_size, config.thinker.hidden_size)
    yield from speech_tensors(config)


def short_name(name: str) -> str:
    """The name under which the file holds the tensor `name`: without `.weight` where ggml has no room for it."""
    return name if len(name.encode()) <= LONGEST_NAME else name.removesuffix(".weight")


def speech_metadata(config: ModelConfig) -> Metadata:
    """Keys of the architecture: geometry, codec and text ids, sampling defaults."""
    entries = code2wav_metadata(config.code2wav) | _talker(config) | _code_predictor(config)
    entries |= fields(f"{ARCHITECTURE}.token.", config.token)
    if config.text_normalization is not None:
        entries[TEXT_NORMALIZATION] = text(config.text_normalization)
    if config.longest_span is not None:
        entries[LONGEST_SPAN] = count(config.longest_span)
    return entries


def code2wav_metadata(config: Code2WavConfig) -> Metadata:
    """The keys that a file of code2wav alone needs."""
    prefix = f"{ARCHITECTURE}.code2wav."
    entries: Metadata = {f"{ARCHITECTURE}.format_version": count(FORMAT_VERSION)}
    entries |= fields(prefix, config)
    entries[f"{prefix}sample_rate"] = count(SAMPLE_RATE)
    return entries


def _talker(config: ModelConfig) -> Metadata:
    prefix = f"{ARCHITECTURE}.talker."
    entries = fields(prefix, config.talker, leave_out=("mrope_section", "speakers"))
    entries[f"{prefix}mrope_section"] = signed(list(config.talker.mrope_section))
    # Programs save a checkpoint's object of speakers in any order.
    speakers = sorted(config.talker.speakers, key=lambda speaker: (speaker[1], speaker[0]))
    entries[SPEAKER_NAMES] = texts([name for name, _ in speakers])
    entries[f"{prefix}speaker_ids"] = counts([index for _, index in speakers])
    if config.default_speaker is not None:
        entries[DEFAULT_SPEAKER] = text(config.default_speaker)
    entries[SUPPRESSED_TAIL_KEY] = count(SUPPRESSED_TAIL)
    return entries | fields(f"{prefix}generation.", config.talker_sampling)


def _code_predictor(config: ModelConfig) -> Metadata:
    prefix = f"{ARCHITECTURE}.code_predictor."
    entries = fields(prefix, config.code_predictor)
    # Drawing or not follows the talker, and the number of steps is the number of codes.
    fixed = ("do_sample", "repetition_penalty", "max_new_tokens")
    return entries | fields(f"{prefix}generation.", PREDICTOR_SAMPLING, leave_out=fixed)
