"""Codes in pieces are put together again as they were spoken, and only where they were taken apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from omniggml.doctor.copies import copies, says_again
from omniggml.model import Model

VOICE = next((Path(omniggml.__file__).parent / "voice").glob("*-speech.gguf"))
TEXT = "we took the last train home and it was late"


@pytest.fixture(scope="module")
def model() -> Model:
    return omniggml.load(VOICE, n_threads=1)


@pytest.fixture(scope="module")
def said(model: Model) -> Any:
    return model.speak(TEXT, seed=1).codes


Change = Callable[[Any], Any]
TAKEN_APART: dict[str, tuple[Change, str, int]] = {
    "two pieces exchanged": (
        lambda c: np.concatenate([c[:, :10], c[:, 16:22], c[:, 10:16], c[:, 22:]], axis=1),
        "codes.frame-order",
        10,
    ),
    "backwards from a frame on": (
        lambda c: np.concatenate([c[:, :14], c[:, :13:-1]], axis=1),
        "codes.frame-order",
        14,
    ),
    "groups rotated from a frame on": (
        lambda c: np.concatenate([c[:, :15], np.roll(c[:, 15:], 2, axis=0)], axis=1),
        "codes.group-order",
        15,
    ),
    "seven frames cut out": (lambda c: np.delete(c, range(20, 27), axis=1), "codes.lost", 20),
    "a piece twice": (lambda c: np.concatenate([c[:, :25], c[:, 20:]], axis=1), "codes.doubled", 25),
}


@pytest.mark.parametrize("name", TAKEN_APART)
def test_what_was_done_is_named_and_where(name: str, said: Any) -> None:
    change, id, frame = TAKEN_APART[name]
    found = omniggml.diagnose(VOICE, codes=change(said), text=TEXT, n_threads=1)
    assert [cause.id for cause in found.causes] == [id], found.verdict
    assert abs(int(found.causes[0].evidence["first_frame"]) - frame) <= 1


def test_a_word_told_the_wrong_way_round_is_no_piece_of_something_else(model: Model) -> None:
    spoken = model.speak("do you know what time it is now", seed=1).codes
    found = omniggml.diagnose(VOICE, codes=spoken, text="do you know what time is it now", n_threads=1)
    assert not found.causes, found.verdict
    assert [one.id for one in found.findings] == ["codes.other-text"]


@pytest.mark.parametrize(
    ("spoken", "told"),
    [
        ("well, the dog is here, and the cat is not.", "well the dog is here and the cat is not"),
        ("the water is cold but the sun is warm today", "the water is cold, but the sun is warm today."),
    ],
)
def test_other_punctuation_is_told_as_it_was_spoken(spoken: str, told: str, model: Model) -> None:
    codes = model.speak(spoken, seed=3).codes
    found = omniggml.diagnose(VOICE, codes=codes, text=told, n_threads=1)
    assert not found.causes, found.verdict
    (note,) = found.findings
    assert (note.id, note.evidence["spoken"]) == ("codes.other-text", spoken)
    right = omniggml.diagnose(VOICE, codes=codes, text=spoken, n_threads=1)
    assert not right.findings, right.verdict


def test_the_last_frame_held_is_said_without_a_text(said: Any) -> None:
    held = np.concatenate([said, np.repeat(said[:, -1:], 20, axis=1)], axis=1)
    found = omniggml.diagnose(VOICE, codes=held, n_threads=1)
    assert found.causes[0].id == "codes.doubled"
    assert found.causes[0].evidence["frames"] >= 20


def test_a_cycle_is_no_piece_that_comes_twice() -> None:
    codes = np.random.default_rng(0).integers(0, 64, (4, 60)).astype(np.int32)
    assert copies(codes) is None
    assert copies(np.concatenate([codes[:, :20], codes[:, 14:]], axis=1)) is not None
    assert copies(np.concatenate([codes[:, :20], codes[:, 14:20], codes[:, 14:]], axis=1)) is None


@pytest.mark.parametrize(
    ("text", "again"),
    [("no, no", True), ("We saw it. We saw it come.", True), ("We saw it. Then it saw us.", False), ("", False)],
)
def test_what_a_text_says_again(text: str, again: bool) -> None:
    assert says_again(text) == again
