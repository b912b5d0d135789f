"""Where our samples are in theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from omniggml.doctor.alignment import pieces, resampled, whole
from omniggml.doctor.finding import Exit


@pytest.fixture(scope="module")
def ours() -> Any:
    """Something that is nowhere like itself, and quiet at the ends."""
    x = np.cumsum(np.random.default_rng(0).standard_normal(24000))
    x = x - np.convolve(x, np.ones(200) / 200, "same")
    return 0.3 * x / np.abs(x).max() * np.sin(np.pi * np.arange(24000) / 24000) ** 0.2


def test_silence_loudness_and_cut_ends(ours: Any) -> None:
    theirs = np.concatenate([np.zeros(500), 0.6 * ours, np.zeros(70)])
    found = whole(theirs, ours)
    assert found is not None and found.silent_around and found.residual < 1e-12
    assert (found.before, found.after, found.lost_before, found.lost_after) == (500, 70, 0, 0)
    assert abs(found.gain - 0.6) < 1e-9
    found = whole(ours[300:-200], ours)
    assert found is not None and (found.lost_before, found.lost_after) == (300, 200)
    assert whole(ours[:100], ours) is None


def test_a_fade(ours: Any) -> None:
    ramp = np.minimum(1, np.arange(len(ours)) / 480)
    found = whole(ours * ramp, ours)
    assert found is not None and 300 < found.faded <= 480 and found.residual < 1e-12
    found = whole(ours, ours)
    assert found is not None and found.faded == 0


def test_resampling_comes_back(ours: Any) -> None:
    back = resampled(resampled(ours, 24000, 48000), 48000, 24000)
    np.testing.assert_allclose(back, ours, atol=1e-9)


def test_pieces_in_another_order(ours: Any) -> None:
    cut = pieces(np.concatenate([ours[:9600], ours[12000:]]), ours)
    assert [(piece.at, piece.source) for piece in cut] == [(0, 0), (9600, 12000)]
    doubled = pieces(np.concatenate([ours[:9600], ours[4800:]]), ours)
    assert [piece.source - piece.at for piece in doubled] == [0, -4800]
    assert pieces(np.random.default_rng(1).standard_normal(24000), ours) == []
    assert len(pieces(ours, ours)) == 1


@pytest.mark.parametrize("edit", ["faded", "silence", "resampled", "trimmed"])
def test_edited_audio_is_not_wrong(tiny_files: Files, tmp_path: Path, edit: str) -> None:
    audio = omniggml.load(tiny_files.speech, n_threads=1).speak("hello world", seed=3, max_frames=200)
    x = audio.samples.astype(np.float64)
    changed, rate, expected = {
        "faded": (x * np.minimum(1, np.arange(len(x)) / 300), 24000, "audio.faded"),
        "silence": (np.concatenate([np.zeros(777), x, np.zeros(333)]), 24000, "audio.silence-around"),
        "resampled": (resampled(x, 24000, 48000), 48000, "audio.resampled"),
        "trimmed": (x[211:-101], 24000, "audio.trimmed"),
    }[edit]
    soundfile.write(tmp_path / "x.wav", changed, rate, subtype="FLOAT")
    found = omniggml.diagnose(tiny_files.speech, codes=audio.codes, audio=tmp_path / "x.wav", n_threads=1)
    assert found.exit_code == Exit.HEALTHY, found.verdict
    assert expected in {finding.id for finding in found.findings}
