"""A policy as a TOML file, to be used with `--policy`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from omniggml.errors import InputError
from omniggml.spec.policy import Policy


def write_policy(path: str | os.PathLike[str], policy: Policy, remarks: Sequence[str] = ()) -> Path:
    """Write a policy so that `read_policy` reads the same rules; `remarks` become comments at its head.

    Raises InputError where the file can't be written or isn't called .toml.
    """
    target = Path(os.fspath(path))
    if target.suffix != ".toml":
        raise InputError(f"{target} is where the policy goes; give it a name that ends in .toml")
    lines = [f"# {' '.join(remark.split())}" for remark in remarks]
    lines += ["rules = [", *(f'    ["{pattern}", "{type_}"],' for pattern, type_ in policy.rules), "]"]
    lines.append(f'otherwise = "{policy.otherwise}"')
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(f"{target} can't be written: {error.strerror or error}") from error
    return target
