"""Which of a file's keys nothing here reads: said by `inspect`, so that no setting is passed over in silence."""

from __future__ import annotations

from functools import cache

from omniggml.files import families
from omniggml.files.opening import File
from omniggml.files.told_settings import is_setting
from omniggml.spec import mmproj_file, speech_file, thinker_file
from omniggml.spec.model_config import TEXT_NORMALIZATION_KEY
from omniggml.spec.published import PUBLISHED

# What describes a file and changes nothing, and what the tokenizer and the reader of split files take.
_OTHERS = ("general.", "tokenizer.", "split.", "quantize.", "omniggml.", "GGUF.")
_ROPE = (".rope.scaling.type", ".rope.scaling.factor", ".rope.scale_linear")


def unused_keys(file: File) -> tuple[str, ...]:
    """Keys of the architecture, or of no known kind, that no part of omniggml asks for, in the file's order."""
    return tuple(key for key in file.header.metadata if not key.startswith(_OTHERS) and not _is_used(file, key))


def _is_used(file: File, key: str) -> bool:
    family = file.family
    if family is None or key.endswith(_ROPE):
        return True  # it is not loaded, so that nothing can be said; these are refused where they matter
    if family is families.THINKER:
        ours = key.replace(f"{file.header.architecture}.", f"{thinker_file.ARCHITECTURE}.", 1)
        return ours in _of_thinkers()
    if family is families.MMPROJ:
        return key in mmproj_file.known_keys()
    return key in _of_speech() or is_setting(key, family)


@cache
def _of_speech() -> frozenset[str]:
    optional = (speech_file.DEFAULT_SPEAKER, speech_file.TEXT_NORMALIZATION, speech_file.LONGEST_SPAN)
    return frozenset((*speech_file.speech_metadata(PUBLISHED), *optional))


@cache
def _of_thinkers() -> frozenset[str]:
    written = thinker_file.thinker_metadata(PUBLISHED.language_model)
    sampling = (f"{thinker_file.EXTRA}.generation.{name}" for name in ("max_new_tokens", "top_k", "top_p"))
    vocabulary = f"{thinker_file.ARCHITECTURE}.vocab_size"
    own = (thinker_file.HAS_VOICE, f"{thinker_file.EXTRA}.{TEXT_NORMALIZATION_KEY}", vocabulary)
    return frozenset((*written, *sampling, *own))
