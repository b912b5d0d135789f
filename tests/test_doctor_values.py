"""What a file alone tells of its values: a fault, and the healthy neighbour that looks like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.values import check_values
from omniggml.doctor.progress import Progress
from omniggml.files import stored_weights
from omniggml.files.stored_weights import StoredWeights
from omniggml.loading import BUILT_IN

Values = npt.NDArray[np.float32]
MEMORY = np.random.default_rng(0)
TABLE = "code2wav.code_embedding.weight"


class Changed(StoredWeights):
    """The built-in voice with some tensors changed as they are read."""

    changes: Mapping[str, Callable[[Values], Values]] = MappingProxyType({})

    def __getitem__(self, name: str) -> Values:
        values = super().__getitem__(name)
        change = self.changes.get(name)
        return values if change is None else np.asarray(change(values), np.float32)


def found(changes: dict[str, Callable[[Values], Values]], threads: int = 1) -> dict[str, tuple[str, ...]]:
    """Id -> tensors, of what is found in the values."""
    weights = Changed(BUILT_IN)
    weights.changes = changes
    report = Report("file")
    check_values(report, weights, Progress(lambda words: None), threads)
    return {finding.id: finding.tensors for finding in report.findings}


def names(ending: str) -> list[str]:
    return [name for name in StoredWeights(BUILT_IN) if name.endswith(ending)]


def times_usage(values: Values) -> Values:
    """The sums that a codebook's means are kept as: each code as long as it is frequent."""
    usage = np.exp(np.random.default_rng(0).normal(size=len(values)) * 1.5)
    return values * usage[:, np.newaxis].astype(np.float32)


FAULTS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a norm of ones": (lambda: {names("norm.weight")[0]: np.ones_like}, "file.as-initialised"),
    "all norms of ones": (lambda: dict.fromkeys(names("norm.weight"), np.ones_like), "file.as-initialised"),
    "scales of 1e-6": (
        lambda: dict.fromkeys(names(".gamma"), lambda v: np.full_like(v, 1e-6)),
        "file.as-initialised",
    ),
    "scales of one": (lambda: dict.fromkeys(names(".scale"), np.ones_like), "file.as-initialised"),
    "a projection ten times its siblings": (
        lambda: {"talker.model.layers.2.self_attn.q_proj.weight": lambda v: v * 10},
        "file.scale",
    ),
    "one of two layers' projections ten times what stands beside it": (
        lambda: {"talker.code_predictor.model.layers.0.self_attn.q_proj.weight": lambda v: v * 10},
        "file.scale",
    ),
    "values of which no square is a float32": (
        lambda: {"talker.model.layers.2.self_attn.q_proj.weight": lambda v: v * np.float32(1e25)},
        "file.scale",
    ),
    "a projection a tenth of its siblings": (
        lambda: {"talker.model.layers.1.mlp.shared_expert.down_proj.weight": lambda v: v / 10},
        "file.scale",
    ),
    "a code table of sums": (lambda: {TABLE: times_usage}, "file.code-sums"),
}

HEALTHY: dict[str, Callable[[], dict[str, Any]]] = {
    "as it is": dict,
    "norms near one": lambda: dict.fromkeys(names("norm.weight"), lambda v: 1 + 1e-3 * v),
    "small scales that differ": lambda: dict.fromkeys(names(".gamma"), lambda v: 1e-6 * v),
    "a projection twice its siblings": lambda: {"talker.model.layers.2.self_attn.q_proj.weight": lambda v: v * 2},
    "one of two layers' projections twice what stands beside it": lambda: {
        "talker.code_predictor.model.layers.0.self_attn.q_proj.weight": lambda v: v * 2
    },
    "a code table three times as large": lambda: {TABLE: lambda v: v * 3},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(fault: str) -> None:
    changes, expected = FAULTS[fault]
    changed = changes()
    seen = found(changed)
    assert expected in seen
    assert set(seen[expected]) <= set(changed)


@pytest.mark.parametrize("case", HEALTHY)
def test_neighbours_are_not(case: str) -> None:
    assert not {"file.as-initialised", "file.scale", "file.code-sums"} & set(found(HEALTHY[case]()))


def test_several_tensors_at_once_tell_the_same() -> None:
    for fault in ("a projection ten times its siblings", "a code table of sums"):
        changes = FAULTS[fault][0]()
        assert found(changes, threads=3) == found(changes)


def test_a_tensor_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: StoredWeights(BUILT_IN)[name] for name in (TABLE, "code2wav.decoder.0.conv.weight")}
    monkeypatch.setattr(stored_weights, "_PIECE", 100)
    for name, values in whole.items():
        np.testing.assert_array_equal(StoredWeights(BUILT_IN)[name], values)


def initialised(name: str, values: Values) -> Values:
    """As transformers makes it before training; what it leaves as the memory was it gets from a fresh page."""
    if name.endswith((".bias", ".alpha", ".beta", ".mlp.gate.weight")) or ".mlp.experts." in name:
        return np.zeros_like(values)
    if values.ndim > 1:
        rng = np.random.default_rng(list(name.encode()))
        return rng.normal(0, 0.02, values.shape).astype(np.float32)
    return np.full_like(values, 0.01 if name.endswith(".scale") else 1e-6 if name.endswith(".gamma") else 1)


def untrained(**changes: Callable[[Values], Values]) -> dict[str, Callable[[Values], Values]]:
    """The whole voice so; keywords: what ends with that name (its dots are underscores) is something else."""
    every: dict[str, Callable[[Values], Values]] = {}
    for name in StoredWeights(BUILT_IN):
        every[name] = partial(initialised, name)
        for ending, change in changes.items():
            if name.replace(".", "_").endswith(ending):
                every[name] = change
    return every


def subnormal(values: Values) -> Values:
    """What was in memory that nobody wrote to, another each time."""
    return (1e-39 * MEMORY.integers(0, 9, values.shape)).astype(np.float32)


def test_an_initialised_model_is_untrained_not_broken() -> None:
    assert set(found(untrained())) == {"file.untrained"}
    assert set(found(untrained(experts_gate_proj_weight=subnormal))) == {"file.untrained"}


@pytest.mark.parametrize("lost", ["layers_0_self_attn_q_proj_weight", "code_embedding_weight", "codec_head_weight"])
def test_zeros_that_no_initialisation_makes_were_lost(lost: str) -> None:
    seen = found(untrained(**{lost: np.zeros_like}))
    assert set(seen) == {"file.untrained", "file.zeros"}
    assert all(name.replace(".", "_").endswith(lost) for name in seen["file.zeros"])


def test_zeros_beside_others_were_lost() -> None:
    """Where one router has values, zeros in another aren't what all began with."""
    seen = found(untrained(model_layers_0_mlp_gate_weight=lambda v: v))
    assert seen["file.zeros"] == tuple(name for name in names(".mlp.gate.weight") if ".layers.0." not in name)
    assert "file.zeros" in found(dict.fromkeys(names(".alpha"), np.zeros_like))
