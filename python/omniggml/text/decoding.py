"""Bytes of a file or of standard input -> text."""

from __future__ import annotations

import re
import sys
from os import PathLike

from omniggml import plain_file
from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.text.soundness import check_text

_MOST_TEXT = 64 << 20
_LOOKED_AT = 4096
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Bytes that no encoding has in a text; 0x1b changes the set of letters in some."""


def decoded(name: str, data: bytes) -> str:
    """The text of UTF-8, or of what a byte order mark names. Raises InputError for anything else, with the likeliest
    name of its encoding, and for what no text holds."""
    try:
        text = plain_file.decoded(data)
    except UnicodeDecodeError as error:
        if control := _CONTROL.search(data[:_LOOKED_AT]) if not _wide(data) else None:
            where = f"it holds the control byte 0x{control[0][0]:02x} at byte {control.start()}"
            raise InputError(f"{name} is no text: {where}") from None
        guess = f"; it looks like {_likely(data)}" if error.encoding == "utf-8" else ""
        shown = error.encoding.upper()
        raise InputError(
            f"{name} is no Unicode: no valid {shown} at byte {error.start}{guess}; convert it to UTF-8"
        ) from None
    if "\0" in text and (wide := _wide(data)):
        raise InputError(f"{name} looks like {wide} without a byte order mark; convert it to UTF-8")
    return check_text(name, text)


def read_text(path: str | PathLike[str]) -> str:
    """The text of a file, or of a pipe to its end. Raises InputError where it can't be read."""
    path = as_path(path)
    try:
        data = plain_file.read_plain_or_piped(path, _MOST_TEXT)
    except OSError as error:
        raise InputError(f"{path} can't be read as text: {error.strerror or error}") from error
    return decoded(str(path), data)


def read_standard_input() -> str:
    """All of it. Raises InputError where it is closed or no text."""
    if sys.stdin is None:
        raise InputError("standard input is closed; give the text as an argument")
    data = sys.stdin.buffer.read(_MOST_TEXT + 1)
    if len(data) > _MOST_TEXT:
        raise InputError(f"standard input holds more than {_MOST_TEXT >> 20} MiB of text")
    return decoded("standard input", data)


def _wide(data: bytes) -> str:
    """UTF-16 and UTF-32 by where the zeros are."""
    if len(data) % 2:
        return ""
    sample = data[:_LOOKED_AT]
    zeros = [sample[place::4].count(0) / max(1, len(sample[place::4])) for place in range(4)]
    if min(sorted(zeros)[1:]) > 0.8:
        return "UTF-32"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    return "UTF-16" if max(even, odd) > 0.8 and min(even, odd) < 0.4 else ""


def _likely(data: bytes) -> str:
    """A name by rule: single bytes between letters are Western, pairs are tried with the encodings that have such."""
    if wide := _wide(data):
        return wide
    sample = data[:_LOOKED_AT]
    high = re.findall(rb"[\x80-\xff]+", sample)
    if sum(len(run) == 1 for run in high) > len(high) / 2:
        return "Windows-1252" if re.search(rb"[\x80-\x9f]", sample) else "Latin-1 (ISO-8859-1)"
    fitting = [name for name, encoding, letters in _PAIRS if _fits(data, encoding, letters)]
    return " or ".join(fitting[:2]) or "an encoding of one byte a letter, such as Windows-1251 or KOI8-R"


def _fits(data: bytes, encoding: str, letters: str) -> bool:
    """Whether most of what it decodes to is what such texts are made of."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return len(re.findall(letters, text)) > 0.5 * sum(not letter.isascii() for letter in text)


_PAIRS = (
    ("Shift_JIS", "shift_jis", "[\u3040-\u30ff]"),
    ("EUC-JP", "euc_jp", "[\u3040-\u30ff]"),
    ("EUC-KR", "euc_kr", "[\uac00-\ud7a3]"),
    ("Windows-1251", "cp1251", "[\u0430-\u044f]"),
    ("KOI8-R", "koi8_r", "[\u0430-\u044f]"),
    ("GB18030", "gb18030", "[\u4e00-\u9fff]"),
    ("Big5", "big5", "[\u4e00-\u9fff]"),
)
