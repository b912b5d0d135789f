"""Too little memory: one sentence, whatever it runs out in. ggml's own bookkeeping does not check what it gets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import Files
from processes import SANITIZED
from sentences import one_sentence

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's"),
    pytest.mark.skipif(SANITIZED, reason="the sanitizer reserves terabytes"),
]

CODE = """
import re, resource, sys
import omniggml
import omniggml.text.template_process  # at first use, otherwise: the system says why it maps no library, and no more

def size():
    return int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

def limit():
    resource.setrlimit(resource.RLIMIT_AS, (size() + int(sys.argv[3]) * 1024,) * 2)

loaded = sys.argv[4] == "loaded"
omniggml.load, omniggml.TextOptions  # imports what they need, NumPy among it, while there is memory
try:
    if not loaded:
        limit()
    model = omniggml.load(sys.argv[1], thinker=sys.argv[2], n_threads=int(sys.argv[5]))
    if loaded:
        model.tokenizer
        limit()
    model.generate_text([1, 2, 3], omniggml.TextOptions(max_tokens=3))
    model.speak("hello world", max_frames=4)
    print("done")
except (omniggml.OutOfMemoryError, MemoryError) as error:
    print(str(error) or "not enough memory")
"""


def run(files: Files, kib: int, when: str, n_threads: int) -> str:
    arguments = [sys.executable, "-c", CODE, *map(str, files), str(kib), when, str(n_threads)]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and result.stderr == "", (result.returncode, result.stderr)
    return result.stdout.strip()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("when", ["loading", "loaded"])
@pytest.mark.parametrize("kib", [0, 1000, 3000, 8000, 16_000, 30_000])
def test_one_sentence_at_every_limit(tiny_files: Files, kib: int, when: str, n_threads: int) -> None:
    one_sentence(run(tiny_files, kib, when, n_threads))


def test_nothing_fits(tiny_files: Files) -> None:
    one_sentence(run(tiny_files, 0, "loaded", 1), "not enough memory")


def test_enough(tiny_files: Files) -> None:
    assert run(tiny_files, 2_000_000, "loading", 1) == "done"


@pytest.mark.slow
@pytest.mark.parametrize("kib", range(1000, 250_000, 9000))
def test_many_limits(tiny_files: Files, kib: int) -> None:
    for n_threads in (1, 2):
        one_sentence(run(tiny_files, kib, "loading", n_threads))


def test_more_threads_than_the_system_allows(tiny_files: Files) -> None:
    """Each thread takes a stack: OpenMP would end the process where one can't be had."""
    one_sentence(run(tiny_files, 300_000, "loaded", 400), "threads")


def test_a_session_that_ran_out_of_memory_is_refused(tiny_files: Files) -> None:
    """It goes on to say so, and a new one works where there is memory again."""
    code = """
import resource, sys, re
import numpy as np
import omniggml
model = omniggml.load(sys.argv[1], n_threads=1)
codes = np.zeros((4, 32), np.int32)
expected = model.code2wav(codes)
size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
session = omniggml._native.Code2WavSession(model._speech, 1, None)
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size, hard))
for _ in range(2):
    try:
        session.decode(codes)
    except omniggml.OutOfMemoryError as error:
        assert str(error)
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
assert (model.code2wav(codes) == expected).all()
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code, str(tiny_files.speech)], capture_output=True, text=True)
    assert result.stdout == "done\n", result.stderr
