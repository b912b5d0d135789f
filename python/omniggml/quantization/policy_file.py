"""A policy as a TOML file, to be used with `--policy`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from omniggml.errors import InputError
from omniggml.paths import as_path
from omniggml.spec.policy import Policy
from omniggml.whole_file import write_whole


def write_policy(
    path: str | os.PathLike[str], policy: Policy, remarks: Sequence[str] = (), inputs: Iterable[object] = ()
) -> Path:
    """Write a policy so that `read_policy` reads the same rules; `remarks` become comments at its head. `inputs`: the
    files that it was found by, which it must not be.

    Raises InputError where the file can't be written or isn't called .toml.
    """
    target = as_path(path)
    if target.suffix != ".toml":
        raise InputError(f"{target} is where the policy goes; give it a name that ends in .toml")
    lines = [f"# {' '.join(remark.split())}" for remark in remarks]
    lines += ["rules = [", *(f'    ["{pattern}", "{type_}"],' for pattern, type_ in policy.rules), "]"]
    lines.append(f'otherwise = "{policy.otherwise}"')
    return write_whole(target, ("\n".join(lines) + "\n").encode(), inputs)
