"""A short siege; `tests/hostile_requests.py` is a long one. And the schema, tried at random by schemathesis."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("fastapi")

import omniggml
from hostile_requests import MOST_GROWTH_MIB, besiege
from served import served


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_siege() -> None:
    answers, growth = besiege(150)
    statuses = {kind.split()[1] for kind in answers}
    assert {"400", "200", "101"} <= statuses and growth < MOST_GROWTH_MIB


@pytest.mark.slow
def test_the_schema_holds() -> None:
    """Every answer is one that the schema tells of, and none is an error of ours."""
    schemathesis = pytest.importorskip("schemathesis")
    import hypothesis
    from schemathesis.checks import CHECKS, load_all_checks, not_a_server_error

    load_all_checks()
    names = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
    checks = [not_a_server_error, *CHECKS.get_by_names(names)]
    with served(omniggml.load(n_threads=1), max_frames=2, max_characters=200) as server:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        for operation in schema.get_all_operations():
            call = operation.ok()

            @hypothesis.settings(
                max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
            )
            @hypothesis.given(case=call.as_strategy())
            def examine(case: schemathesis.Case) -> None:
                if case.path != "/v1/doctor" or not case.body or set(case.body) - {"codes", "audio", "text"}:
                    case.call_and_validate(checks=checks)

            examine()
