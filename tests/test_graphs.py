"""Graphs take room for nodes as they come: none is too large, and what asks for no room is refused, not aborted."""

from __future__ import annotations

import pytest

from native_module import internals
from omniggml import OmniError


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
