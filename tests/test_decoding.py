"""Bytes to text: UTF-8 and what a byte order mark names; the rest is refused with its likely name."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniggml import InputError
from omniggml.text.decoding import decoded, read_text
from sentences import one_sentence

TEXT = "Grüße, 你好 and 🎉\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == decoded("it", TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("café", "latin-1", "Latin-1"),
        ("it\u2019s a caf\u00e9", "cp1252", "Windows-1252"),
        ("hello world", "utf-16-le", "UTF-16"),
        ("hello world", "utf-16-be", "UTF-16"),
        ("hello world", "utf-32-le", "UTF-32"),
        ("привет, мир", "cp1251", "Windows-1251"),
        ("こんにちは\u3001世界", "shift_jis", "Shift_JIS"),
        ("こんにちは\u3001せかい", "euc_jp", "EUC-JP"),
        ("안녕하세요 세계", "euc_kr", "EUC-KR"),
        ("你好\uff0c世界\uff0c今天天气很好", "gb18030", "GB18030"),
    ],
)
def test_others_are_refused_by_name(text: str, encoding: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        decoded("notes.txt", text.encode(encoding))
    one_sentence(str(caught.value), "notes.txt", name, "UTF-8")


@pytest.mark.parametrize(
    ("data", "part"),
    [(b"a\0b", "zero byte"), (b"\xed\xa0\x80", "UTF-8"), (b"\xff\xfea", "UTF-16"), (b"\xff\xfe\x00\xd8", "UTF-16")],
)
def test_what_is_no_text(data: bytes, part: str) -> None:
    with pytest.raises(InputError, match=part):
        decoded("it", data)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt", Path("a\0b")):
        with pytest.raises(InputError, match="can't be read"):
            read_text(path)


@pytest.mark.parametrize("data", [b"\x8f\x02\xfe" * 40, bytes(range(1, 256)), b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_text(data: bytes) -> None:
    """Control bytes are in no encoding's texts: no name is guessed."""
    with pytest.raises(InputError, match="it is no text: it holds the control byte 0x"):
        decoded("it", data)
