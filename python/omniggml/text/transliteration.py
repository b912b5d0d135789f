"""Letters of other alphabets -> a to z, pictures -> their names, and which characters there is nothing for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from omniggml.text.english.signs import EMOJI, SIGNS
from omniggml.text.soundness import STUMBLES

# Scripts whose letters stand for sounds, so that a transliteration says the word. A Chinese character is another word
# in Japanese, and Arabic and Hebrew leave the vowels out.
_SPELLED = frozenset((
    "LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL",
    "FULLWIDTH", "HALFWIDTH",
))  # fmt: skip
_FLAG = range(0x1F1E6, 0x1F200)
_PICTURES = (range(0x1F000, 0x20000), range(0x2600, 0x27C0), range(0x2B00, 0x2C00), range(0x2300, 0x2400))
_MARKS = {
    "QUESTION": "? ", "INTERROBANG": "? ", "EXCLAMATION": "! ", "FULL STOP": ". ", "DANDA": ". ", "SEMICOLON": ", ",
    "COMMA": ", ", "COLON": ", ", "BULLET": " ", "DOT": " ", "LEADER": " ", "ELLIPSIS": ". ", "PUNCTUATION": " ",
    "SEPARATOR": " ", "QUOTATION": " ", "APOSTROPHE": "'", "HYPHEN": " ", "SPACE": " ", "STOP": ". ", "PERIOD": ". ",
    "PARAGRAPH": ". ", "SECTION": ". ", "TSHEG": " ", "SHAD": ". ", "LINE": " ", "MARK": " ",
}  # fmt: skip
"""Part of a punctuation mark's name in Unicode -> what it becomes."""

_SIGN_NAME = re.compile(r" (?:SIGN|OPERATOR|SYMBOL)$|^N-ARY ")
_SKIN = range(0x1F3FB, 0x1F400)


@lru_cache(maxsize=4096)
def said_for(letter: str) -> str | None:
    """What is said for a character beyond ASCII: letters, words, or "" for what has no sound of its own, such as a
    joiner or an accent. None where nothing can be said."""
    code, category = ord(letter), unicodedata.category(letter)
    if letter in SIGNS:
        return f" {SIGNS[letter]} "
    if code in _FLAG:
        return f" {chr(code - _FLAG[0] + ord('a'))} "
    if code in _SKIN or category in ("Cc", "Cf", "Me", "Zs", "Zl", "Zp") or 0xFE00 <= code <= 0xFE0F:
        return " " if category[0] == "Z" or letter in "\n\t" else ""
    if any(code in block for block in _PICTURES) and category in ("So", "Sk", "Sm"):
        return f", {_picture(letter)}, "
    if category in ("Pd", "Ps", "Pe", "Pi", "Pf"):
        return ", "
    if category == "Po":
        return _punctuation(unicodedata.name(letter, ""))
    if category in ("Sm", "Sc"):
        name = _words(_SIGN_NAME.sub("", unicodedata.name(letter, "")))
        return f" {name} " if name else None
    plain = unicodedata.normalize("NFKD", letter)
    if plain.isascii():
        return plain
    return _transliterated(letter)


def _punctuation(name: str) -> str | None:
    """What a mark of any script does to the voice; None for a sign that is no mark, and would be lost."""
    for part, mark in _MARKS.items():
        if part in name:
            return mark
    return None


def _picture(letter: str) -> str:
    return EMOJI.get(letter) or _words(unicodedata.name(letter, "picture"))


def _words(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").split())


def _transliterated(letter: str) -> str | None:
    script = unicodedata.name(letter, "").split(" ")[0]
    if unicodedata.combining(letter) and (script == "COMBINING" or script in _SPELLED):
        return ""
    if unicodedata.category(letter)[0] not in "LM" or script not in _SPELLED:
        return None
    from anyascii import anyascii

    try:
        return str(anyascii(letter)) or None
    except STUMBLES:  # a letter that a library stumbles over is one without a sound
        return None
