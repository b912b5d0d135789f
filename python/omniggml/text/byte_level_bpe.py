"""Byte-level BPE on the `tokenizers` library, with the same normalisation, splitting and merging as transformers'
`Qwen2Tokenizer`; memory is asked for first, since the library ends the process where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from omniggml.errors import ModelFileError, OutOfMemoryError
from omniggml.spec.token_type import TokenType

SPLIT_RULES = {
    # Contractions; letters with one mark before them; single digits; runs of marks; line ends; spaces.
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}

# Bounds of what the library takes; its arena of regular expressions comes on top.
_BYTES_A_TOKEN = 1024
_BYTES_A_LETTER = 256


def byte_level_bpe(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str], rule: str) -> Tokenizer:
    """The library's tokenizer of a vocabulary. Raises ModelFileError where its parts don't fit each other."""
    vocabulary = {token: index for index, token in enumerate(tokens) if kinds[index] != TokenType.UNUSED}
    used = sum(kind != TokenType.UNUSED for kind in kinds)
    if len(vocabulary) != used:
        raise ModelFileError(f"{used - len(vocabulary)} tokens of the file's vocabulary occur twice")
    missing = [letter for letter in pre_tokenizers.ByteLevel.alphabet() if letter not in vocabulary]
    if missing:
        raise ModelFileError(
            f"the file's vocabulary lacks {len(missing)} of the 256 byte letters: it is not byte-level"
        )
    pairs = [_pair(merge) for merge in merges]
    _require_memory((len(vocabulary) + len(pairs)) * _BYTES_A_TOKEN)
    backend = Tokenizer(_model(vocabulary, pairs))
    backend.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(rule), behavior="isolated", invert=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    whole = [tokens[index] for index, kind in enumerate(kinds) if kind == TokenType.USER_DEFINED]
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in whole])
    return backend


def _model(vocabulary: dict[str, int], pairs: list[tuple[str, str]]) -> models.BPE:
    try:
        return models.BPE(vocab=vocabulary, merges=pairs)
    except Exception as error:
        # The library raises the base class itself; what is of another is a signal's handler's.
        if type(error) is not Exception and not isinstance(error, (TypeError, ValueError)):
            raise
        raise ModelFileError(f"the file's vocabulary and merges don't fit each other: {error}") from error


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of text without control tokens. Raises OutOfMemoryError."""
    _require_memory(len(text) * _BYTES_A_LETTER)
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _require_memory(nbytes: int) -> None:
    """Raises OutOfMemoryError unless as much could be had: the library ends the process where it can't."""
    nbytes += 4 << 20
    try:
        mmap(-1, nbytes).close()
    except (OSError, MemoryError):
        raise OutOfMemoryError(f"not enough memory for the tokenizer ({nbytes >> 20} MiB)") from None


def _pair(merge: str) -> tuple[str, str]:
    left, space, right = merge.partition(" ")
    if not space or not left or not right or " " in right:
        raise ModelFileError(f"the merge {merge!r} is not two tokens with a space between")
    return left, right
