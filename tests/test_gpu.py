"""A GPU of this machine: what happens when its memory runs out, after a fork, and when several speak on it at once.

Needs a build and a machine with one, and for its memory CUDA's:

    CMAKE_ARGS="-DGGML_CUDA=ON" pip install '.[test]' && pytest tests/test_gpu.py

How closely it follows the CPU is said by tests/device_parity.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import omniggml
from omniggml import OutOfMemoryError
from omniggml.loading import BUILT_IN
from sentences import one_sentence
from served import served
from test_rpc import FORKED
from worker import Worker

GPU = next((one["name"] for one in omniggml.devices() if one["kind"] in ("gpu", "igpu")), "")
TEXT = "hello world, how are you today"

pytestmark = pytest.mark.skipif(not GPU, reason="this build and machine have no GPU")
of_cuda = pytest.mark.skipif(not GPU.startswith("CUDA"), reason="memory is taken by CUDA's own call")

HOLD = """
import ctypes, sys
from ctypes.util import find_library
cuda = ctypes.CDLL(find_library("cudart") or "libcudart.so")
taken, size = 0, 1 << 36
pointer = ctypes.c_void_p()
while size >= 1 << 20:
    if cuda.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(size)) == 0:
        taken += size
    else:
        size //= 2
print(taken, flush=True)
sys.stdin.read()
"""


@contextmanager
def memory_held() -> Iterator[None]:
    """Another process has all of the GPU's memory that is left."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        taken = process.stdout.readline()
        assert taken and int(taken) > 0, "no memory could be taken"
        yield
        process.stdin.close()


@pytest.fixture(scope="module")
def model() -> omniggml.Model:
    return omniggml.load(device=GPU)


@of_cuda
def test_no_memory_for_a_model() -> None:
    with memory_held():
        done = subprocess.run(
            [sys.executable, "-m", "omniggml", "speak", TEXT, "--device", GPU, "--raw", "-o", "-"],
            capture_output=True,
            timeout=120,
        )
    assert done.returncode > 0 and not done.stdout, "neither spoken nor ended by a signal"
    one_sentence(done.stderr.decode().strip(), "memory")


@of_cuda
def test_memory_runs_out_in_the_middle(model: omniggml.Model) -> None:
    """The call fails with the error for that; the model lives, and speaks when there is memory again."""
    before = model.speak(TEXT, greedy=True)
    long = np.tile(before.codes, 20_000 // before.codes.shape[1])
    with memory_held(), pytest.raises(OutOfMemoryError) as caught:
        model.code2wav(long)
    one_sentence(str(caught.value), "memory")
    after = model.speak(TEXT, greedy=True)
    assert np.array_equal(after.codes, before.codes)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork() -> None:
    client = Worker()
    voice = str(BUILT_IN)
    outcome = client.run("import json\n" + FORKED, speech=voice, endpoint=GPU)
    client.close()
    assert outcome.error == "", outcome
    said, status, same = outcome.value
    assert status == 0 and same
    # Another device adds up in another order, so the child's CPU need not choose the same codes.
    assert said.pop("cpu")[0] == ""
    for name, (error, message) in said.items():
        assert error == "InputError", (name, error, message)
        one_sentence(message, "forked")


def test_requests_at_once(model: omniggml.Model) -> None:
    """Each is answered as alone, up to the last bits of samples."""
    texts = (TEXT, "good morning")

    def ask(text: str) -> Any:
        return server.ask("/v1/audio/speech", {"input": text, "response_format": "pcm"})

    with served(model) as server:
        alone = [ask(text) for text in texts]
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(ask, texts))
    for one, other in zip(alone, together, strict=True):
        assert one.status == other.status == 200
        samples, others = (np.frombuffer(answer.data, "<i2").astype(np.int32) for answer in (one, other))
        assert samples.shape == others.shape and abs(samples - others).max() <= 64
