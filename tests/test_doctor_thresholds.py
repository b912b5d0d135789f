"""Numbers by which the doctor decides stand in one table, with their margins; checks hold none of their own."""

from __future__ import annotations

import ast
import math
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from omniggml.doctor import thresholds
from omniggml.doctor.catalogue import CATALOGUE
from omniggml.doctor.thresholds import TABLE, Threshold, margins, recording

DOCTOR = Path(thresholds.__file__).parent
CHECKS = sorted((DOCTOR / "checks").glob("*.py"))
# Counts of axes and ends of ranges, halves and pairs.
_PLAIN = {-1, 0, 1, 2}


def _numbers(node: ast.AST) -> list[ast.Constant]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) in (int, float)]


def _indices(tree: ast.AST) -> set[ast.Constant]:
    return {n for s in ast.walk(tree) if isinstance(s, ast.Subscript) for n in _numbers(s.slice)}


def _digits_of_round(tree: ast.AST) -> set[ast.Constant]:
    calls = (n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
    return {c for call in calls if call.func.id == "round" for c in _numbers(ast.Module(call.args[1:], []))}  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_no_check_has_a_number_of_its_own(path: Path) -> None:
    """In functions only the plainest; a named one at the top of a file is compared with nothing."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    allowed = _digits_of_round(tree) | _indices(tree)
    bare = {n for f in functions for n in _numbers(f) if n.value not in _PLAIN and n not in allowed}
    assert not bare, [(path.name, n.lineno, n.value) for n in bare]
    named = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and _numbers(node.value)
        for target in ast.walk(node)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    }
    compared = {
        n.id for c in ast.walk(tree) if isinstance(c, ast.Compare) for n in ast.walk(c) if isinstance(n, ast.Name)
    }
    assert not named & compared, f"{named & compared} belong into thresholds.py"


def test_every_bound_is_used_and_finds_something() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in [*CHECKS, *DOCTOR.glob("*.py")])
    for name, bound in vars(thresholds).items():
        if isinstance(bound, Threshold):
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is asked by nobody"
            assert bound.what, name
            for pattern in bound.finds:
                assert any(fnmatchcase(id, pattern) for id in CATALOGUE), (name, pattern)
    assert len(TABLE) == len({bound.name for bound in TABLE.values()})


def test_no_number_is_told_twice() -> None:
    """The second of one name would be both."""
    told = [node.id for node in _assigned(ast.parse(Path(thresholds.__file__).read_text(encoding="utf-8")))]
    assert len(told) == len(set(told)), [name for name in told if told.count(name) > 1]


def _assigned(tree: ast.Module) -> list[ast.Name]:
    targets = (target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets)
    return [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def test_margins_are_those_of_bounds() -> None:
    """What was measured lies on the right side: of the sound cases and the faults, one on either."""
    assert set(margins()) <= set(TABLE)


def test_a_bound_records_what_it_is_asked() -> None:
    bound = TABLE["audio.clipped"]
    with recording() as seen:
        assert bound.above(bound.value * 2) and not bound.above(bound.value) and not bound.above(math.nan)
        assert bound.below(0)
    assert [asked.measured for asked in seen][:2] == [bound.value * 2, bound.value]
    assert [asked.upwards for asked in seen] == [True, True, True, False]
    bound.above(1)
    assert len(seen) == 4, "nothing is kept afterwards"


def test_no_check_knows_the_engine_or_what_others_found() -> None:
    for path in [*CHECKS, *DOCTOR.glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "_native" not in text, path.name
        assert not re.search(r"case\.(findings|has)\b", text), path.name
