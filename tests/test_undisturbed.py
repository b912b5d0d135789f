"""What a signal's handler raises while a library works gets out, and loses nothing."""

from __future__ import annotations

import _thread
import io
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile

from omniggml import Audio
from omniggml.media.audio_input import read_samples
from omniggml.undisturbed import undisturbed

if sys.platform == "win32":
    pytest.skip("no timers that signal", allow_module_level=True)


class Mine(Exception):
    """The program's own."""


def late(*_: object) -> NoReturn:
    raise Mine


@pytest.fixture
def alarms() -> object:
    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_call_ends_before_the_exception_goes_on(alarms: object) -> None:
    steps: list[int] = []
    begun = threading.Event()

    def call() -> None:
        for step in range(5):
            begun.set()
            threading.Event().wait(0.05)
            steps.append(step)

    signal.setitimer(signal.ITIMER_REAL, 0.06)
    with pytest.raises(Mine):
        undisturbed(call)
    assert begun.is_set() and steps == list(range(5))
    with pytest.raises(ZeroDivisionError):
        undisturbed(lambda: 1 // 0)
    assert undisturbed(lambda: 3) == 3


def test_where_no_thread_is_to_be_had_the_call_is_made_all_the_same() -> None:
    """Nobody waits for a thread that never began, whatever the interpreter says of it."""
    before = threading.stack_size(1 << 46)
    try:
        assert undisturbed(lambda: 3) == 3
    finally:
        threading.stack_size(before)


def test_what_a_handler_raises_at_the_beginning_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is what a missing thread would be: the call is made once."""
    calls: list[int] = []
    start = _thread.start_new_thread

    def begun_and_interrupted(run: Callable[[], None], _: tuple[()]) -> NoReturn:
        start(run, ())
        raise RuntimeError("the program's own")

    monkeypatch.setattr(_thread, "start_new_thread", begun_and_interrupted)
    with pytest.raises(RuntimeError, match="own"):
        undisturbed(lambda: calls.append(1))
    assert calls == [1]


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_what_is_saved_is_the_old_file_or_the_new(alarms: object, tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(2)
    first, second = (Audio(rng.normal(0, 0.1, n).astype(np.float32), 24000) for n in (120_000, 150_000))
    path = tmp_path / f"x.{ending}"
    second.save(path)
    whole = soundfile.read(path)[0]
    first.save(path)
    kept = soundfile.read(path)[0]
    raised = 0
    for step in range(12):
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.004 * step)
        try:
            second.save(path)
        except Mine:
            raised += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        there = soundfile.read(path)[0]
        np.testing.assert_array_equal(there, whole if len(there) == len(whole) else kept)
    assert raised > 0
    first.save(path)  # sweeps what an exception at an odd moment may have left
    np.testing.assert_array_equal(soundfile.read(path)[0], kept)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_heard_is_whole_or_not_heard(alarms: object) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(2).normal(0, 0.1, 400_000), 16000, format="FLAC")
    whole = read_samples(file.getvalue())
    raised = 0
    for step in range(12):
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.002 * step)
        try:
            heard = read_samples(file.getvalue())
            signal.setitimer(signal.ITIMER_REAL, 0)
            np.testing.assert_array_equal(heard, whole)
        except Mine:
            raised += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert raised > 0
