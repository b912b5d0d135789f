"""omniggml_test_native: the pieces of the engine that only tests call (csrc/test_bindings), which no wheel carries.

Every build of the wheel makes it from the same object code and leaves it in the build tree, so the usual way to the
tests (`pip install '.[test]'`, then `pytest`) compiles nothing twice and needs no compiler here. Where omniggml came by
another way, or its sources have changed since, it is built on demand, in the same build tree.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType

_NAME = "omniggml_test_native"
_ROOT = Path(__file__).resolve().parent.parent
_NOT_LINKED = ("bindings", "tools", "capi")
_BUILD_DIR = "OMNIGGML_TEST_BUILD_DIR"
"""Environment: the one build tree to look in, for builds that must not be mixed (scripts/sanitize.sh)."""


@functools.cache
def internals() -> ModuleType:
    """The module, built where need be. Raises RuntimeError where that fails."""
    path = _newest()
    if path is None or _changed(path) < max(map(_changed, _sources())):
        path = _build()
    spec = importlib.util.spec_from_file_location(_NAME, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _newest() -> Path | None:
    """The one built last for this Python, if there is any."""
    given = os.environ.get(_BUILD_DIR)
    trees = [Path(given)] if given else sorted((_ROOT / "build").glob("*"))
    paths = [tree / f"{_NAME}{sysconfig.get_config_var('EXT_SUFFIX')}" for tree in trees]
    return max((path for path in paths if path.exists()), key=_changed, default=None)


def _sources() -> list[Path]:
    rooms = (room for room in (_ROOT / "csrc").iterdir() if room.name not in _NOT_LINKED)
    return [path for room in rooms for path in room.iterdir() if path.suffix in (".cpp", ".h")]


def _changed(path: Path) -> float:
    return path.stat().st_mtime


def _build() -> Path:
    # A wheel for nothing: what matters stays behind in the build tree.
    with tempfile.TemporaryDirectory() as wheels:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, str(_ROOT)]
        if importlib.util.find_spec("scikit_build_core") and importlib.util.find_spec("pybind11"):
            command.append("--no-build-isolation")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = _newest()
    if done.returncode or path is None:
        raise RuntimeError(f"{_NAME} could not be built: {done.stderr[-2000:]}")
    path.touch()  # a change that needs no new linking must not be met again
    return path
