"""What a file is that was taken for GGUF and is not, by its first bytes, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

from omniggml.plain_file import open_plain

_HEAD = 4096
_LFS = b"version https://git-lfs.github.com/spec/"
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"Rar!": "a RAR archive",
}
_SOUNDS = {b"RIFF": "WAV audio", b"fLaC": "FLAC audio", b"OggS": "Ogg audio", b"ID3": "MP3 audio"}
_PIECE = re.compile(r"\.part-?(\d+)-?of-?(\d+)$")
_OLD = (b"lmgg", b"tjgg", b"fmgg", b"algg")


def why_not_gguf(path: Path) -> str:
    """A sentence about the file, "" where it is none of the known kinds. Raises OSError where the file
    can't be read."""
    if path.is_dir():
        return _of_directory(path)
    if not path.is_file():
        return ""  # a pipe would wait for its writer
    if piece := _PIECE.search(path.name):
        whole = path.name[: piece.start()]
        return (
            f"{path} is piece {int(piece[1])} of {int(piece[2])} that a file was cut into; join them with "
            f"`cat {whole}.part*of{piece[2]} > {whole}`"
        )
    with open_plain(path) as file:
        head = file.read(_HEAD)
    reason = _of_gguf(head) if head.startswith(b"GGUF") else _of_bytes(head, path)
    return f"{path} {reason}" if reason else ""


def why_not_itself(path: Path) -> str:
    """What lies in the place of a file that was to be downloaded, of whatever kind that is; "" where it isn't seen.
    Raises OSError where it can't be read."""
    with open_plain(path) as file:
        head = file.read(_HEAD)
    reason = _of_transport(head) or _of_page(head)
    return f"{path} {reason}" if reason else ""


def _of_directory(path: Path) -> str:
    if (path / "config.json").exists():
        return (
            f"{path} is the directory of a checkpoint; make GGUF files of it with `omniggml convert {path} -o OUT_DIR`"
        )
    files = sorted(path.glob("*.gguf"))
    named = next((file for file in files if file.name.endswith("-speech.gguf")), files[0] if files else None)
    return f"{path} is a directory; name a GGUF file{f' in it, such as {named}' if named else ''}"


def _of_gguf(head: bytes) -> str:
    version = head[4:8]
    if version[:1] == b"\0" and version[3:] in (b"\1", b"\2", b"\3"):
        return (
            f"is a GGUF file of a big-endian machine (read here as version {int.from_bytes(version, 'little')}); turn "
            "it round with llama.cpp's `gguf_convert_endian.py FILE little`"
        )
    if version == b"\1\0\0\0":
        return "is of GGUF version 1, which only programs of 2023 wrote; make the file again from its checkpoint"
    return ""


def _of_transport(head: bytes) -> str:
    if not head:
        return "has only 0 bytes: its download did not begin; download it again"
    if head.startswith(_LFS):
        size = re.search(rb"\nsize (\d+)", head)
        of = f" of a file of {int(size[1])} bytes" if size else ""
        return f"is a Git LFS pointer{of}, not the file itself; fetch that with `git lfs pull`"
    return ""


def _of_bytes(head: bytes, path: Path) -> str:
    if reason := _of_transport(head) or _of_sound(head):
        return reason
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            torch = b"data.pkl" in head or path.suffix in (".pt", ".pth", ".bin", ".ckpt")
            if torch:
                return "is a PyTorch checkpoint; convert the model from safetensors files, with `omniggml convert`"
            return f"is {name}, not a GGUF file; unpack it first"
    if head.startswith(b"\x80\x02"):
        return "is a PyTorch checkpoint; convert the model from safetensors files, with `omniggml convert`"
    if head.startswith(_OLD):
        return "is of a format from before GGUF; make the file again from its checkpoint"
    return _of_text(head) or _of_safetensors(head, path) or _of_zeros(head)


def _start_of_text(head: bytes) -> bytes:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()


def _of_page(head: bytes) -> str:
    if _start_of_text(head).startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "is a web page, probably an error page saved in the file's place; download the file again"
    return ""


def _of_sound(head: bytes) -> str:
    for magic, name in _SOUNDS.items():
        if head.startswith(magic):
            return f"is {name}, not a model; a model is a GGUF file"
    if head[257:262] == b"ustar":
        return "is a tar archive, not a GGUF file; unpack it first"
    return ""


def _of_text(head: bytes) -> str:
    if page := _of_page(head):
        return page
    start = _start_of_text(head)
    if start.startswith((b"{", b"[")):
        return "is JSON text, not a GGUF file; download it again, or name the model beside it"
    return ""


def _of_safetensors(head: bytes, path: Path) -> str:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= 100_000_000:
        return (
            f"is a safetensors file; make GGUF files of the whole checkpoint with "
            f"`omniggml convert {path.parent} -o OUT_DIR`"
        )
    return ""


def _of_zeros(head: bytes) -> str:
    return "begins with zeros: its download is incomplete; download it again" if not head.strip(b"\0") else ""
