"""Random texts that are out to break a tokenizer: every kind of character, in the orders that rules speak of."""

from __future__ import annotations

import random

# fmt: off
_WORDS = (
    "the", "don't", "IT'S", "they'Ll", "we'VE", "'\u017f", "''t", "I'", "'r", "'re", "x'dx", "naïve", "straße",
    "Ελλάδα", "мир", "你好",
)
_SPACES = ("  ", "\t", "\n", "\r\n", "\n\n \n", " \n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\u1680", "\u200b")
_MARKS = (
    "!", "?!", "...", "--", "'", '"', "(", "<|", "|>", "<think>", "</thi", "<|im_end|>", "=", "\x00", "\x7f", "\ufffd",
)
_NUMBERS = ("7", "1234", "3.14", "٣", "Ⅷ", "½", "\U0001d7d8", "५", "\U0001e5f3")
_COMBINING = (
    "e\u0301", "a\u0316\u0301", "a\u0301\u0316", "o\u0302\u0301", "\u0301", "\u0344", "\u1100\u1161",
    "\u1112\u1161\u11ab", "\uac00\u11a8", "\u212b", "\u0958", "\u2add\u0338", "\u0f71\u0f72\u0f74", "\u1e9b\u0323",
    "\u0b47\u0b3e", "\ufb2c", "\u2126", "\u1ab0\u0897", "\U0001d15e", "\u0cc6\u0cc2\u0cd5",
    "\U00011099\U000110ba", "\u0dd9\u0dcf\u0dca", "\u1fc1\u0345", "q\u0307\u0323", "\u0344\u0315",
)
_EMOJI = (
    "🚀", "👩\u200d👩\u200d👧", "😶\u200d🌫️", "🇩🇪", "✅\ufe0f", "\U000e0041", "\uf8ff", "\U0010ffff", "\ufdd0",
)
# fmt: on
_POOLS = (_WORDS, _SPACES, _MARKS, _NUMBERS, _COMBINING, _EMOJI)


def _code_point(source: random.Random) -> str:
    """Of any plane, those where most characters are more often."""
    code = source.choice((0x80, 0x300, 0x600, 0x1000, 0x3000, 0xD800, 0x20000, 0x110000))
    found = source.randrange(code)
    return chr(found if not 0xD800 <= found < 0xE000 else found - 0x2000)


def hostile_string(source: random.Random) -> str:
    """Up to some forty pieces; now and then one of them a thousand times."""
    parts: list[str] = []
    for _ in range(source.randrange(source.choice((3, 10, 40)))):
        kind = source.random()
        if kind < 0.6:
            parts.append(source.choice(source.choice(_POOLS)))
        elif kind < 0.75:
            parts.append(" ")
        else:
            parts.append(_code_point(source) * source.choice((1, 1, 1, 2, 3)))
    if parts and source.random() < 0.002:
        parts.insert(source.randrange(len(parts)), source.choice(parts) * 1000)
    return "".join(parts)
