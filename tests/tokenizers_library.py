"""The same tokenizer on the `tokenizers` library, as transformers' `Qwen2Tokenizer` puts it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omniggml.spec.token_type import TokenType

SPLIT_RULE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def library_tokenizer(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]) -> Any:
    """Finds tokens that are user-defined whole, and no control tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocabulary = {token: index for index, token in enumerate(tokens) if kinds[index] != TokenType.UNUSED}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    backend.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT_RULE), behavior="isolated", invert=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    whole = [tokens[index] for index, kind in enumerate(kinds) if kind == TokenType.USER_DEFINED]
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in whole])
    return backend
