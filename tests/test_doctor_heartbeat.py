"""Words that come while one step takes long."""

from __future__ import annotations

import threading
import time

import pytest

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.heartbeat import Heartbeat

SOON = 20.0


@pytest.fixture(autouse=True)
def _a_quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SILENT_SECONDS", 0.02)


def beating() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "omniggml-heartbeat"]


def test_the_last_words_come_again_while_a_step_takes_long() -> None:
    said: list[str] = []
    again = threading.Event()

    def announce(words: str) -> None:
        said.append(words)
        if len(said) > 3:
            again.set()

    with Heartbeat(announce, "opening") as heart:
        while not said:  # what comes before the first words
            time.sleep(0.01)
        heart("reading")
        assert again.wait(SOON)
    first = said.index("reading")
    assert all(words.startswith("opening (") for words in said[:first])
    assert all(words.startswith("reading (") and words.endswith(" s so far)") for words in said[first + 1 :])
    assert said[first + 1 :] and not beating()


def test_what_is_raised_by_the_person_s_own_reaches_who_asked() -> None:
    raised = threading.Event()

    def announce(words: str) -> None:
        raised.set()
        raise BrokenPipeError(words)

    with pytest.raises(BrokenPipeError, match="opening"), Heartbeat(announce, "opening"):
        assert raised.wait(SOON)
    assert not beating()
    raised.clear()
    with pytest.raises(BrokenPipeError, match="opening"), Heartbeat(announce, "opening") as heart:
        assert raised.wait(SOON)
        while beating():
            time.sleep(0.01)
        heart("reading")


def test_an_error_of_the_step_is_not_replaced() -> None:
    with pytest.raises(KeyError), Heartbeat(lambda words: None, "opening"):
        raise KeyError
    assert not beating()


def test_without_anybody_to_tell_no_thread_is_started() -> None:
    with Heartbeat(None, "opening") as heart:
        heart("reading")
        assert not beating()
