"""What a message says to install can be installed: this package is on no index under its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from omniggml.extras import install_command

ROOT = Path(__file__).parent.parent


def test_every_package_of_an_extra_is_named() -> None:
    for extra, packages in declared().items():
        command = install_command(extra)
        assert command.startswith("pip install ") and "omniggml" not in command
        for package in packages:
            if inner := re.fullmatch(r"omniggml\[(.*)\]", package):
                assert all(one in command for other in inner[1].split(",") for one in names(declared()[other]))
            else:
                assert re.split(r"[<>=;\[ ]", package)[0] in command, (extra, package)
    assert install_command("play") == "pip install 'sounddevice>=0.4.6'"


@pytest.mark.parametrize("suffix", ["py", "md", "html"])
def test_nobody_is_sent_to_an_index_for_this_package(suffix: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob(f"*.{suffix}"), *(ROOT / "python").rglob(f"*.{suffix}")]
    said = {path.name for path in pages if re.search(r"pip install '?omniggml", path.read_text(encoding="utf-8"))}
    assert said == set()


def declared() -> dict[str, list[str]]:
    """Extra -> packages, as pyproject.toml has them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    found = re.findall(r"^(\w+) = \[(.*?)\]( *#.*)?$", section, re.MULTILINE | re.DOTALL)
    return {extra: re.findall(r'"([^"]+)"', inside) for extra, inside, _ in found}


def names(packages: list[str]) -> list[str]:
    return [re.split(r"[<>=;\[ ]", package)[0] for package in packages if not package.startswith("omniggml")]
