"""A short siege; `tests/hostile_requests.py` is a long one. And the schema, tried at random by schemathesis."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("fastapi")

import omniggml
from hostile_requests import MOST_GROWTH_MIB, besiege, try_the_schema
from served import served


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_siege() -> None:
    answers, growth = besiege(150)
    statuses = {kind.split()[1] for kind in answers}
    assert {"400", "200", "101"} <= statuses and growth < MOST_GROWTH_MIB


@pytest.mark.slow
def test_the_schema_holds() -> None:
    """Every answer is one that the schema tells of, and none is an error of ours."""
    pytest.importorskip("schemathesis")
    with served(omniggml.load(n_threads=1), max_frames=2, max_characters=200) as server:
        assert try_the_schema(server.url, 15) >= 50
