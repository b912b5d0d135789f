"""Where the C interface lies that the installation carries: header, library, the files for CMake and pkg-config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


def get_include() -> Path:
    """The directory of `omniggml.h`."""
    return _root() / "include"


def get_library() -> Path:
    """The directory of the library, with `cmake/omniggml` and `pkgconfig` below it."""
    return _root() / "lib"


def _root() -> Path:
    """Found without loading anything: what compiles may be another machine than what computes."""
    found = find_spec("omniggml._native")
    assert found is not None and found.origin is not None
    return Path(found.origin).resolve().parent


def config(arguments: Sequence[str] | None = None) -> int:
    """The command `omniggml-config`."""
    parser = argparse.ArgumentParser(prog="omniggml-config", description="How to compile and link against omniggml.h.")
    parser.add_argument("--cflags", action="store_true", help="options of the compiler")
    parser.add_argument("--libs", action="store_true", help="options of the linker")
    parser.add_argument("--includedir", action="store_true", help="the directory of omniggml.h")
    parser.add_argument("--cmakedir", action="store_true", help="the directory for -Domniggml_DIR")
    parser.add_argument("--pkgconfigdir", action="store_true", help="the directory for PKG_CONFIG_PATH")
    parser.add_argument("--voicedir", action="store_true", help="the directory of the built-in voice's files")
    parser.add_argument("--version", action="version", version=version("omniggml"))
    asked = parser.parse_args(arguments)
    shown = {
        "cflags": f"-I{get_include()}",
        "libs": f"-L{get_library()} -Wl,-rpath,{get_library()} -lomniggml",
        "includedir": str(get_include()),
        "cmakedir": str(get_library() / "cmake" / "omniggml"),
        "pkgconfigdir": str(get_library() / "pkgconfig"),
        "voicedir": str(Path(__file__).resolve().parent / "voice"),
    }
    wanted = [text for name, text in shown.items() if getattr(asked, name)]
    if not wanted:
        parser.error("say what is asked for, such as --cflags --libs")
    print(" ".join(wanted))
    return 0
