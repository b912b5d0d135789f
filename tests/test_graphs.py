"""Graphs take room for nodes as they come: none is too large, and what asks for no room is refused, not aborted. What a
driver can't compute is said in its words."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from native_module import internals
from omniggml import OmniError, OutOfMemoryError
from sentences import one_sentence


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_graph_at_the_edge_of_its_memory(beyond: int) -> None:
    for n in (internals().spare_nodes + beyond, 4 * internals().spare_nodes + beyond):
        assert internals().count_up(n, ask=True) == n


def test_a_graph_of_many_nodes() -> None:
    assert internals().count_up(20_000, ask=True) == 20_000


def test_nodes_beyond_the_room_that_was_given_are_refused() -> None:
    spare = internals().spare_nodes
    assert internals().count_up(spare, ask=False) == spare
    with pytest.raises(OmniError, match="ggml gave up"):
        internals().count_up(20_000, ask=False)


def test_a_device_whose_memory_runs_out_in_the_middle_of_a_computation() -> None:
    """Its driver then has ggml give up. The session lives, and computes when there is memory again."""
    device = internals().PlayedDevice()
    assert device.add_one(1) == 2
    for reason in ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED"):
        with pytest.raises(OutOfMemoryError) as caught:
            device.add_one(1, error=reason)
        one_sentence(str(caught.value), reason)
        assert device.add_one(2) == 3


def test_a_device_that_fails_otherwise_ends_the_process_with_its_reason() -> None:
    """Nothing that was on it can be relied on, nor taken from it."""
    code = "from native_module import internals; internals().PlayedDevice().add_one(1, error='illegal memory access')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGABRT
    assert "CUDA error: illegal memory access" in done.stderr and done.stderr.count("\n") == 1
