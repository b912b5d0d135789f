"""What a signal's handler raises while a library works gets out, and loses nothing."""

from __future__ import annotations

import _thread
import io
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile

from omniggml import Audio
from omniggml.media.audio_input import read_samples
from omniggml.media.image_input import read_image
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


def sound(format_: str) -> bytes:
    """25 s of noise as a file; of ADTS, which PyAV reads, made by it."""
    samples = np.random.default_rng(2).normal(0, 0.1, 400_000).astype(np.float32)
    file = io.BytesIO()
    if format_ != "ADTS":
        soundfile.write(file, samples, 16000, format=format_)
        return file.getvalue()
    av = pytest.importorskip("av")
    with av.open(file, "w", "adts") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def picture() -> bytes:
    PIL = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    PIL.fromarray(np.random.default_rng(2).integers(0, 256, (1200, 1200, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


READERS: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
    "FLAC heard": (lambda: sound("FLAC"), read_samples),
    "AAC heard": (lambda: sound("ADTS"), read_samples),
    "PNG seen": (picture, lambda file: read_image(file, "it")),
}


@pytest.mark.parametrize("kind", [Exception, ValueError, RuntimeError, OSError, TimeoutError, KeyError])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_read_is_whole_or_the_handler_s_exception_gets_out(
    alarms: object, reader: str, kind: type[Exception]
) -> None:
    """Of whatever class that is: it is not taken for a damaged file."""
    make, read = READERS[reader]
    own = type("Own", (kind,), {})

    def late_in_another_way(*_: object) -> NoReturn:
        raise own

    signal.signal(signal.SIGALRM, late_in_another_way)
    file = make()
    whole = np.asarray(read(file))
    begun = time.perf_counter()
    read(file)
    takes = time.perf_counter() - begun
    raised = 0
    for step in range(8):
        signal.setitimer(signal.ITIMER_REAL, takes * (step + 0.5) / 8)
        try:
            there = read(file)
            signal.setitimer(signal.ITIMER_REAL, 0)
            np.testing.assert_array_equal(np.asarray(there), whole)
        except own:
            raised += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert raised > 0
