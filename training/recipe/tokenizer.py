"""The tokenizer of the voice: letters, common pairs of letters that are one sound, and a space merged into what
follows it, so that the text keeps ahead of the speech at one token a frame. Plain byte-level BPE to any program.
"""

from __future__ import annotations

import string
from functools import lru_cache

from omniggml.synthetic.small_tokenizer import SmallTokenizer, byte_letters
from omniggml.tokenizer import Tokenizer

PAIRS = (
    "th", "sh", "ch", "wh", "ph", "ck", "ng", "qu", "gh", "ee", "ea", "oo", "oa", "ou", "ow", "oi", "oy", "ai", "ay",
    "au", "aw", "ie", "ll", "ss", "tt", "ff", "rr", "nn", "mm", "pp", "dd", "gg", "er", "or", "ar", "ir", "ur", "in",
    "ed", "le",
)  # fmt: skip

ROLE_MERGES = (
    "s er", "u ser",
    "y s", "s ys", "sys t", "syst e", "syste m",
    "ss i", "a ssi", "assi s", "assis t", "assist a", "assista n", "assistan t",
)  # fmt: skip
"""The roles are one token each, as in the published vocabulary. They come last and by rare steps: inside a sentence
their words keep the space's token at the beginning, and are spelled like any other."""

_SPACE = byte_letters()[ord(" ")]


@lru_cache(maxsize=1)
def voice_tokenizer() -> SmallTokenizer:
    """The one vocabulary of thinker and talker."""
    merges = [(pair[0], pair[1]) for pair in PAIRS]
    merges += [(_SPACE, token) for token in (*PAIRS, *string.ascii_lowercase)]
    for merge in ROLE_MERGES:
        left, _, right = merge.partition(" ")
        merges.append((left, right))
    return SmallTokenizer(tuple(byte_letters().values()), tuple(merges))


@lru_cache(maxsize=1)
def engine_tokenizer() -> Tokenizer:
    """The same vocabulary as the engine will read it from the file."""
    own = voice_tokenizer()
    tokens = [*own.vocabulary, *own.added]
    kinds = [1] * len(own.vocabulary) + [3] * len(own.added)
    merges = [f"{left} {right}" for left, right in own.merges]
    return Tokenizer(tokens, kinds, merges, own.added["<|im_end|>"])
