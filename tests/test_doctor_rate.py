"""At which rate speech was recorded: told by the voice, without its codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from omniggml.doctor.alignment import resampled
from omniggml.doctor.voice_rate import recorded_at
from omniggml.loading import BUILT_IN

TEXT = "please call me back before the end of the week"


@pytest.fixture(scope="module")
def speech() -> Any:
    return omniggml.load(BUILT_IN, n_threads=1).speak(TEXT, seed=4, max_frames=60).samples.astype(np.float64)


@pytest.fixture(scope="module")
def other() -> Any:
    said = omniggml.load(BUILT_IN, n_threads=1).speak("it was late and nobody was there", seed=2, max_frames=60)
    return said.samples.astype(np.float64)


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100])
def test_the_rate_of_a_voice(speech: Any, other: Any, rate: int) -> None:
    assert recorded_at(resampled(speech, 24000, rate), [other], 24000) == rate


def test_what_is_no_voice_has_no_rate(other: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 40000)
    assert recorded_at(noise, [other], 24000) is None
    assert recorded_at(other[:3000], [other], 24000) is None


@pytest.mark.parametrize(
    ("samples_a_second", "header", "id"),
    [
        (24000, 24000, ""),
        (8000, 8000, "audio.resampled"),
        (22050, 22050, "audio.resampled"),
        (24000, 16000, "audio.rate"),
        (16000, 24000, "audio.rate"),
    ],
)
@pytest.mark.parametrize("with_codes", [False, True])
def test_a_header(tmp_path: Path, samples_a_second: int, header: int, id: str, with_codes: bool) -> None:
    said = omniggml.load(BUILT_IN, n_threads=1).speak(TEXT, seed=4, max_frames=60)
    path = tmp_path / "theirs.wav"
    soundfile.write(path, resampled(said.samples.astype(np.float64), 24000, samples_a_second), header, "PCM_16")
    more: dict[str, Any] = {"codes": said.codes} if with_codes else {"text": TEXT}
    found = omniggml.diagnose(BUILT_IN, audio=path, n_threads=1, **more)
    assert [one.id for one in found.findings if one.id.startswith("audio.")] == ([id] if id else []), found.verdict
    assert found.exit_code == (2 if id == "audio.rate" else 0), found.verdict
