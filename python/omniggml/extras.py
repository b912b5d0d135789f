"""The packages that a part of omniggml needs beyond the base, and the command that installs them."""

from __future__ import annotations

import re

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(\[(?P<extras>[\w, -]+)\])?\s*(?P<version>[^;]*?)\s*(;(?P<marker>.*))?")


def install_command(extra: str) -> str:
    """ "pip install ..." with every package of an extra by its own name: omniggml is on no index, so that
    `omniggml[extra]` would install nothing."""
    return "pip install " + " ".join(f"'{package}'" if re.search(r"\W", package) else package for package in _of(extra))


def _of(extra: str) -> list[str]:
    from importlib import metadata

    packages = []
    for line in metadata.requires("omniggml") or []:
        found = _REQUIREMENT.fullmatch(line.strip())
        if found is None or not re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", found["marker"] or ""):
            continue
        if found["name"] == "omniggml":
            packages += [package for other in found["extras"].split(",") for package in _of(other.strip())]
        else:
            extras = f"[{found['extras']}]" if found["extras"] else ""
            packages.append(found["name"] + extras + found["version"])
    return packages
