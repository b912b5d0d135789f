"""Every kind of mistake that a port of the vocoder can have is found by its audio, and a sound port has none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from omniggml.comparison.agreement import match
from omniggml.doctor import port_search
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.vocoder import check_life
from omniggml.doctor.port_search import PortSearch, with_mistakes
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import VocoderMirror
from omniggml.errors import NumericError
from omniggml.files.stored_weights import StoredWeights
from parity.files import ModelFiles

OTHERS = 30
"""Mistakes of all kinds that are tried beside the right one: a search among all takes minutes."""
SHOWS = 0.05
FRAMES = 6


@pytest.fixture(scope="module")
def mirror(model_files: ModelFiles) -> VocoderMirror:
    weights = StoredWeights(model_files.gguf("mini", "f32")[0])
    assert weights.derived is not None
    return VocoderMirror(weights, asdict(weights.derived.config.code2wav))


@pytest.fixture(scope="module")
def codes(mirror: VocoderMirror) -> npt.NDArray[np.int32]:
    shape = (mirror.geometry["num_quantizers"], FRAMES)
    return np.random.default_rng(0).integers(0, mirror.geometry["codebook_size"], shape).astype(np.int32)


def audio(mirror: VocoderMirror, codes: npt.NDArray[np.int32], mistakes: tuple[PortMistake, ...]) -> npt.NDArray[Any]:
    changed, choices = with_mistakes(mirror, mistakes)
    for mistake in mistakes:
        if mistake.codes is not None:
            codes = np.ascontiguousarray(mistake.codes(codes))
    return changed(codes, choices).astype(np.float64)


KINDS = (
    "permuted", "swapped", "copied", "missing", "scaled", "constant", "formula", "activation", "padding", "trim",
    "residual", "mask", "positions", "heads", "order", "lookup", "reduction", "limit",
)  # fmt: skip


def test_these_are_all_kinds(mirror: VocoderMirror) -> None:
    assert set(KINDS) == {mistake.kind for mistake in port_mistakes(mirror)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_of_every_kind_is_found(
    kind: str, mirror: VocoderMirror, codes: npt.NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    every, right = list(port_mistakes(mirror)), audio(mirror, codes, ())
    rng = random.Random(kind)
    own = [mistake for mistake in every if mistake.kind == kind and mistake.reach < FRAMES]
    rng.shuffle(own)
    for planted in own[:20]:
        try:
            theirs = audio(mirror, codes, (planted,))
        except (ValueError, IndexError):
            continue  # of shapes that don't fit: no port has it
        if np.isfinite(theirs).all() and match(theirs, right, 0).residual > SHOWS:
            break
    else:
        pytest.skip(f"no mistake of the kind {kind} shows in {FRAMES} frames")
    tried = [planted, *rng.sample(every, OTHERS)]
    rng.shuffle(tried)
    monkeypatch.setattr(port_search, "port_mistakes", lambda _: iter(tried))
    found = PortSearch(mirror, codes, theirs, 1e-9, lambda words: None).run()
    assert found and found[0].residual < 1e-6
    # Two mistakes may make the same sound; then either will do.
    same = audio(mirror, codes, found[0].mistakes)
    assert planted in found[0].mistakes or match(theirs, same, 0).residual < 1e-6


def test_a_sound_port_has_none(
    mirror: VocoderMirror, codes: npt.NDArray[np.int32], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = random.Random(0).sample(list(port_mistakes(mirror)), OTHERS)
    monkeypatch.setattr(port_search, "port_mistakes", lambda _: iter(tried))
    theirs = audio(mirror, codes, ())
    search = PortSearch(mirror, codes, theirs, 1e-9, lambda words: None)
    assert search.right <= search.explained


# --- is it alive? -----------------------------------------------------------------------------------------------------


class Engine:
    """A model whose vocoder makes something else."""

    def __init__(self, mirror: VocoderMirror, make: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> None:
        self.geometry = {"code2wav": mirror.geometry}
        self._mirror, self._make = mirror, make

    def code2wav(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return self._make(self._mirror(codes.astype(np.int32)))


def fails(samples: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    raise NumericError("code2wav computed NaN")


def life(mirror: VocoderMirror, make: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> set[str]:
    report = Report("vocoder")
    check_life(report, mirror, Engine(mirror, make))  # type: ignore[arg-type]
    return {finding.id for finding in report.findings}


@pytest.mark.parametrize(
    ("id", "fault", "neighbour"),
    [
        ("vocoder.silent", np.zeros_like, lambda s: s * 0.01),
        ("vocoder.deaf", lambda s: np.sin(np.arange(len(s)) / 9).astype(np.float32), lambda s: s),
        ("vocoder.clips", lambda s: np.clip(s * 1e4, -1, 1), lambda s: np.clip(s, -1, 1)),
        ("vocoder.not-finite", fails, lambda s: s),
    ],
)
def test_life(id: str, fault: Any, neighbour: Any, mirror: VocoderMirror) -> None:
    assert id in life(mirror, fault)
    assert id not in life(mirror, neighbour)


def test_activations_beyond_float16(mirror: VocoderMirror) -> None:
    """A table a million times as large, and one twice as large."""
    table = "code2wav.code_embedding.weight"

    def found(factor: float) -> set[str]:
        changed = mirror.with_weights({table: mirror.weight(table) * np.float32(factor)})
        return life(changed, lambda samples: samples)

    assert "vocoder.f16-overflow" in found(1e6) and "vocoder.f16-overflow" not in found(2.0)
