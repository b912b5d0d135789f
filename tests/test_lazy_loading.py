"""Nothing is read before it is needed: counted in pages of the files that the system holds in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import omniggml
from conftest import Files
from foreign_files import write_all_in_one
from gguf_edit import GgufEdit
from omniggml.errors import ModelFileError
from omniggml.gguf.header import read_header
from parity.files import ModelFiles
from sentences import one_sentence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which pages are in memory")

AROUND = 160
"""Pages that the system may read beside those that are asked for: behind the header, and around the last tensor."""

SPEAK = """
import sys, warnings
warnings.simplefilter("ignore")
import omniggml
overrides = {"talker.accept_hidden_layer": 1, "talker.num_experts_per_tok": 3, "thinker.num_experts_per_tok": 4,
             "code2wav.head_dim": 16} if len(sys.argv) > 2 else None
omniggml.load(sys.argv[1], n_threads=1, overrides=overrides).speak("hello", max_frames=3)
"""


def resident(path: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of a file's pages are in memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED) as pages:
        states = (ctypes.c_ubyte * -(-len(pages) // mmap.PAGESIZE))()
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        address = libc.mmap(None, len(pages), mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        assert libc.mincore(address, len(pages), states) == 0
        libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        libc.munmap(address, len(pages))
    return np.array(states, np.uint8).astype(bool)


def forget(path: Path) -> None:
    """Let the system drop a file's pages; the test is left out where it keeps them."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(path).any():
        pytest.skip("this file system keeps the pages of files in memory")


def without_readahead(path: Path) -> None:
    """The system reads a few pages around one that is asked for; room between tensors keeps them apart."""
    edit = GgufEdit.read(path)
    edit.alignment = 1 << 18
    edit.set("general.alignment", edit.alignment, 4).write(path)


def pages_of(
    path: Path, prefixes: tuple[str, ...], except_: tuple[str, ...] = ()
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The pages in which these tensors lie."""
    header = read_header(path)
    pages = np.zeros(-(-path.stat().st_size // mmap.PAGESIZE), bool)
    for name, stored in header.tensors.items():
        if name.startswith(prefixes) and not name.startswith(except_ or ("\0",)):
            pages[stored.offset // mmap.PAGESIZE : -(-(stored.offset + stored.nbytes) // mmap.PAGESIZE)] = True
    return pages


def test_speaking_reads_no_thinker(model_files: ModelFiles, tmp_path: Path) -> None:
    speech, thinker = (Path(os.path.realpath(path)) for path in model_files.gguf("mini", "f32"))
    (tmp_path / "x-speech.gguf").write_bytes(speech.read_bytes())
    beside = tmp_path / "x-thinker.gguf"
    beside.write_bytes(thinker.read_bytes())
    without_readahead(beside)
    forget(beside)
    subprocess.run([sys.executable, "-c", SPEAK, str(tmp_path / "x-speech.gguf")], check=True)
    weights = pages_of(beside, ("",))
    assert resident(beside).any(), "its header is read"
    assert (resident(beside) & weights).sum() <= AROUND and weights.sum() > 3 * AROUND


def test_an_all_in_one_file_is_read_in_part(model_files: ModelFiles, tmp_path: Path) -> None:
    """Talker, predictor and code2wav whole, of the text table the rows in use, of the thinker nothing."""
    speech, thinker = model_files.gguf("mini", "f32")
    path = write_all_in_one(tmp_path / "x.gguf", speech, thinker, tokenizer=True)
    without_readahead(path)
    forget(path)
    subprocess.run([sys.executable, "-c", SPEAK, str(path), "overrides"], check=True)
    table = ("thinker.model.embed_tokens.",)
    seen = resident(path)
    assert seen[pages_of(path, ("talker.", "code2wav."))].all()
    assert (seen & pages_of(path, ("thinker.",), table)).sum() <= AROUND
    assert pages_of(path, ("thinker.",), table).sum() > 3 * AROUND


def test_a_broken_row_of_the_text_table_is_found_when_it_is_used(tiny_files: Files, tmp_path: Path) -> None:
    """As every other weight that is not finite, but without reading the whole table first."""
    sound = omniggml.load(tiny_files.speech, n_threads=1)
    used = sound.tokenizer.encode("hello")[0]
    name = "thinker.model.embed_tokens.weight"
    for token, broken in ((used, True), (150 if used != 150 else 151, False)):
        edit = GgufEdit.read(tiny_files.speech)
        values = edit.values(name).reshape(sound._text_rows(), -1)
        values[token, 3] = np.nan
        model = omniggml.load(edit.put(name, values).write(tmp_path / "x.gguf"), n_threads=1)
        if broken:
            with pytest.raises(ModelFileError) as error:
                model.speak("hello", max_frames=2)
            one_sentence(str(error.value), "x.gguf", name, "NaN")
        else:
            np.testing.assert_array_equal(
                model.speak("hello", max_frames=2).samples, sound.speak("hello", max_frames=2).samples
            )
