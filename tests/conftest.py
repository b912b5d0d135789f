"""What several test modules need."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

# Test processes run side by side, and threads of OpenMP that spin while they wait would take the cores from each other.
# Read when the native module is loaded, here and in processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from omniggml import Model, convert, load
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from parity.files import ModelFiles
from worker import Worker

if TYPE_CHECKING:
    from served import Served


class Files(NamedTuple):
    speech: Path
    thinker: Path


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background job ignores Ctrl-C, what nohup starts a hang-up, and so would the commands that the tests
    interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The geometry "tiny" in F32, not to be changed."""
    root = tmp_path_factory.mktemp("tiny")
    checkpoint = write_random_checkpoint("tiny", root / "checkpoint")
    return Files(*convert(checkpoint, root, type="f32", name="tiny"))


@pytest.fixture(scope="session")
def voice() -> Model:
    """The built-in voice, on one thread."""
    return load(n_threads=1)


@pytest.fixture(scope="module")
def server(voice: Model) -> Iterator[Served]:
    """The built-in voice behind a port."""
    pytest.importorskip("fastapi")
    from served import served

    with served(voice, slots=2) as running:
        yield running


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """A process for code that might abort."""
    process = Worker()
    yield process
    process.close()


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Every geometry in every type, made when first asked for; not to be changed."""
    return ModelFiles(tmp_path_factory.mktemp("models"))
