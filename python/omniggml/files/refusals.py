"""What is said of a file that can't speak by itself: what it is, and the next step."""

from __future__ import annotations

from omniggml.files import families, mtmd_gen
from omniggml.files.families import Family
from omniggml.gguf.header import Header
from omniggml.spec import thinker_file

PUBLISHED_REPOSITORY = "Qwen/Qwen3-Omni-30B-A3B-Instruct"
MAKE_A_VOICE = f"`omniggml convert {PUBLISHED_REPOSITORY} -o DIR --only speech` (downloads 15.5 of its 70.5 GB)"
"""How a person gets a speech file for a thinker of the published model."""

_PARTS = {
    families.MMPROJ.name: (
        "is an mmproj file, through which a thinker hears and sees: load it beside one, with mmproj=FILE or --mmproj"
    ),
    families.BUNDLED.name: (
        "is a talker with code2wav, without the table of text tokens, which a thinker's file has: load it beside one, "
        "with thinker=FILE or --thinker"
    ),
    families.MTP_TALKER.name: (
        "is a talker alone: load it beside a thinker and code2wav, with thinker=FILE and code2wav=FILE, or --thinker "
        "and --code2wav"
    ),
    **dict.fromkeys(
        (family.name for family in families.VOCODERS),
        "is code2wav alone, which decodes and can't speak: load it beside a talker, with code2wav=FILE or --code2wav",
    ),
    mtmd_gen.NAME: (
        "is an mmproj file of a code predictor and code2wav, without a talker: its code2wav is loaded beside one, with "
        "code2wav=FILE or --code2wav"
    ),
}

NEEDS = {
    families.MMPROJ.name: ("thinker",),
    mtmd_gen.NAME: ("speech",),
    families.BUNDLED.name: ("thinker",),
    families.MTP_TALKER.name: ("thinker", "code2wav"),
}
"""Options of `load` that name what a family lacks."""

_STRANGERS = {
    "qwen3tts": "holds Qwen3-TTS, another model, whose decoder cuts its sound elsewhere",
    "qwen25omni": "holds Qwen2.5-Omni, another model",
    "qwen2vl": "holds a thinker of Qwen2-VL or Qwen2.5-Omni, another model",
    "qwen3": "holds Qwen3, a language model without a voice",
    "qwen3moe": "holds Qwen3-MoE, a language model without a voice",
}


def why_not_a_voice(header: Header, family: Family | None) -> str:
    """Why this file, given as the model, can't speak by itself; "" where it is of a family that can."""
    if family is families.THINKER:
        return f"{header.path} {_thinker(header)}"
    if family is not None:
        sentence = _PARTS.get(family.name, "")
        return f"{header.path} {sentence}" if sentence else ""
    return f"{header.path} {_stranger(header)}"


def _thinker(header: Header) -> str:
    if header.metadata.get(thinker_file.HAS_VOICE) is False:
        return (
            "is a thinker of a model that has no voice: it was published without a talker; chat in text with "
            "thinker=FILE or --thinker, and take Qwen3-Omni-30B-A3B-Instruct for speech"
        )
    return (
        "is a thinker: it writes the answers and has no voice; load a speech file with this as thinker=FILE or "
        f"--thinker, the published model's being made by {MAKE_A_VOICE}, or chat in text with thinker=FILE alone"
    )


def _stranger(header: Header) -> str:
    architecture = header.architecture
    if architecture == "clip":
        kinds = [kind for kind in ("vision", "audio") if header.metadata.get(f"clip.has_{kind}_encoder")]
        what = f"encoders for {' and '.join(kinds)}" if kinds else "an encoder"
        return f"is an mmproj file, {what} beside a thinker, and has no voice; make a speech file with {MAKE_A_VOICE}"
    told = _STRANGERS.get(architecture)
    if told is None and not header.tensors:
        return "is of no family that can be loaded: it holds no tensors"
    if told is None:
        named = f'a model of the architecture "{architecture}"' if architecture else "no architecture that it names"
        told = f"is of no family that can be loaded: it holds {named}"
    return f"{told}; make a speech file of Qwen3-Omni with {MAKE_A_VOICE}"
