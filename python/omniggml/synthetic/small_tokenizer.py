"""A small byte-level BPE tokenizer with Qwen's special tokens, for random checkpoints.

It has the shape of the published one: 256 byte letters, then merges, then the special tokens at the end, and
"system", "user" and "assistant" are one token each. The merges are learned here rather than by the `tokenizers`
library, so that the same text gives the same vocabulary whatever version of that library is installed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from omniggml.spec.model_config import SpecialTokens

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
)
"""Added tokens in the order of their ids, spelled as in the published checkpoint."""

PLAIN_ADDED_TOKENS = frozenset(("<tool_call>", "</tool_call>", "<think>", "</think>"))
"""Added tokens that the published checkpoint marks as not special: they are matched whole but decode to their text."""

ROLES = ("system", "user", "assistant")

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- else %}
{%- for part in message.content %}
{%- if part.type == 'text' %}
{{- part.text }}
{%- elif part.type == 'audio' %}
{{- '<|audio_start|><|audio_pad|><|audio_end|>' }}
{%- elif part.type == 'image' %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif part.type == 'video' %}
{{- '<|vision_start|><|video_pad|><|vision_end|>' }}
{%- endif %}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

TRAINING_TEXT = """
The quick answer is rarely the one that lasts. A small model of a voice reads the morning paper aloud, one line after
another, and nobody minds that it makes no sense: the sounds are there, and so is the time between them. When the rain
stopped, the children ran down to the river and counted the boats. There were seven of them, then eight, and the last
one carried a red lantern. Hello world, said the speaker; hello again, said the listener. What is the capital of
France? Where does the water go, and why is it never the same river? I can't say that I know, but we'll find out, and
they've seen it before. In 2024 the bridge was closed for 31 days, and the tower for 7. Please speak a little slower,
thank you. Some words are long, others are short; reading, writing, listening and speaking are four different things.
Das Wetter ist heute schön, und die Straße führt über den Hügel. Le café est près de la
gare, l'été est fini. 你好世界 今天天气很好。
"""

_WORD = re.compile(r" ?[^\W\d_]+| ?[^\s\w]+|\d|\s+")
_ROLE_WEIGHT = 1_000_000  # Their merges have to come first, however few merges are asked for.


@dataclass(frozen=True)
class SmallTokenizer:
    """Vocabulary of a random checkpoint: byte letters, merges, added tokens, in the order of their ids."""

    letters: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token -> id, without the added tokens: what `vocab.json` holds."""
        tokens = [*self.letters, *(left + right for left, right in self.merges)]
        return {token: index for index, token in enumerate(tokens)}

    @property
    def added(self) -> dict[str, int]:
        """Added token -> id."""
        first = len(self.letters) + len(self.merges)
        return {token: first + index for index, token in enumerate(SPECIAL_TOKENS)}

    @property
    def size(self) -> int:
        return len(self.letters) + len(self.merges) + len(SPECIAL_TOKENS)

    def special_tokens(self) -> SpecialTokens:
        """The ids that `config.json` names."""
        added, plain = self.added, self.vocabulary
        return SpecialTokens(
            tts_pad=added["<tts_pad>"],
            tts_bos=added["<tts_text_bos>"],
            tts_eos=added["<tts_text_eod>"],
            im_start=added["<|im_start|>"],
            im_end=added["<|im_end|>"],
            system=plain["system"],
            user=plain["user"],
            assistant=plain["assistant"],
            audio=added["<|audio_pad|>"],
            image=added["<|image_pad|>"],
            video=added["<|video_pad|>"],
        )

    def write(self, directory: Path) -> None:
        """Write `vocab.json`, `merges.txt`, `tokenizer_config.json` and `chat_template.json` as published."""
        _write_json(directory / "vocab.json", self.vocabulary)
        lines = ["#version: 0.2", *(f"{left} {right}" for left, right in self.merges)]
        (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        _write_json(directory / "tokenizer_config.json", self._tokenizer_config())
        _write_json(directory / "chat_template.json", {"chat_template": CHAT_TEMPLATE})

    def _tokenizer_config(self) -> dict[str, object]:
        decoder = {
            str(index): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": token not in PLAIN_ADDED_TOKENS,
            }
            for token, index in self.added.items()
        }
        return {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": decoder,
            "bos_token": None,
            "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "errors": "replace",
            "model_max_length": 32768,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        }


@lru_cache(maxsize=8)
def small_tokenizer(merges: int) -> SmallTokenizer:
    """Learn `merges` merges from the embedded text. Deterministic: ties go to the pair that sorts first."""
    letter_of = byte_letters()
    counts = Counter(_WORD.findall(TRAINING_TEXT))
    words = [([letter_of[byte] for byte in word.encode()], count) for word, count in sorted(counts.items())]
    words += [([letter_of[byte] for byte in role.encode()], _ROLE_WEIGHT) for role in ROLES]
    learned: list[tuple[str, str]] = []
    while len(learned) < merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for pieces, count in words:
            for pair in pairwise(pieces):
                pairs[pair] += count
        if not pairs:
            raise ValueError(f"the embedded text gives {len(learned)} merges, {merges} asked for")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learned.append(best)
        words = [(_merge(pieces, best), count) for pieces, count in words]
    return SmallTokenizer(tuple(letter_of.values()), tuple(learned))


def byte_letters() -> dict[int, str]:
    """Byte -> the printable letter that stands for it in a byte-level vocabulary, in the order of GPT-2's ids."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters.update({byte: chr(256 + index) for index, byte in enumerate(rest)})
    return letters


def _merge(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
