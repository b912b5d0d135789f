"""The likeliest mistakes are tried, and the others where somebody asks; how many these are is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from omniggml.audio import Audio
from omniggml.doctor import port_search
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.port_search import PortSearch, with_mistakes
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.loading import BUILT_IN
from voice_vocoder import voice_codes, voice_mirror

MADE = "code2wav.decoder.*.block.*.act1.alpha is exponentiated twice"


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


@pytest.fixture(scope="module")
def codes() -> Any:
    return voice_codes()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all mistakes each seventh, and the one that is made; there is time for five, of which it is none."""

    def some(mirror: VocoderMirror) -> Iterator[PortMistake]:
        return (one for n, one in enumerate(port_mistakes(mirror)) if n % 7 == 0 or one.clause == MADE)

    monkeypatch.setattr(port_search, "port_mistakes", some)
    monkeypatch.setattr(bounds, "SEARCH_BUDGET", 0.0)
    monkeypatch.setattr(bounds, "FEWEST_TRIALS", 5)


def search(mirror: VocoderMirror, codes: Any, *, thorough: bool) -> PortSearch:
    (mistake,) = (one for one in port_mistakes(mirror) if one.clause == MADE)
    made, choices = with_mistakes(mirror, (mistake,))
    theirs = made(codes, choices).astype(np.float64)
    return PortSearch(mirror, codes, theirs, 1e-12, lambda words: None, thorough=thorough)


@pytest.mark.usefixtures("few")
def test_what_is_less_likely_is_found_where_it_is_asked_for(mirror: VocoderMirror, codes: Any) -> None:
    usual, thorough = (search(mirror, codes, thorough=asked) for asked in (False, True))
    found = usual.run()
    assert not found or found[0].residual > usual.explained
    assert usual.untried > 100
    found = thorough.run()
    assert [one.clause for one in found[0].mistakes] == [MADE]
    assert found[0].residual <= thorough.explained
    assert thorough.untried == 0


def test_what_was_likely_enough_is_found_anyway(mirror: VocoderMirror, codes: Any) -> None:
    found = search(mirror, codes, thorough=False).run()
    assert [one.clause for one in found[0].mistakes] == [MADE]


def test_of_a_large_vocoder_all_are_tried_where_it_is_asked_for(
    mirror: VocoderMirror, codes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SEARCH_BUDGET", 0.0)
    usual, thorough = (search(mirror, codes, thorough=asked) for asked in (False, True))
    assert len(usual._affordable) == bounds.FEWEST_TRIALS
    assert usual.untried == len(list(port_mistakes(mirror))) - bounds.FEWEST_TRIALS
    assert len(thorough._affordable) == len(list(port_mistakes(mirror)))
    assert thorough.untried == 0 and thorough._is_large


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("thorough", [False, True])
def test_the_report_says_what_was_not_tried(codes: Any, tmp_path: Path, thorough: bool) -> None:
    """Of what no mistake makes."""
    audio = omniggml.load(thinker=False, n_threads=1).code2wav(codes)
    bent = np.sign(audio) * np.abs(audio) ** 1.3
    Audio((0.8 * bent / np.abs(bent).max()).astype(np.float32), 24000).save(tmp_path / "theirs.wav", "PCM_16")
    found = omniggml.diagnose(BUILT_IN, codes=codes, audio=tmp_path / "theirs.wav", thorough=thorough)
    (differs,) = (one for one in found.findings if one.id == "vocoder.differs")
    assert ("that are less likely were not: --thorough tries them" in differs.sentence) is not thorough
