"""Policies: tables from a tensor's name to its type, built in (`policies.toml`) or a user's own file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.gguf.type_names import block_of
from omniggml.plain_file import read_text
from omniggml.printable import shown
from omniggml.spec.precision_needs import KEPT_AS, kept_list

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TYPES = (
    "F32",
    "F16",
    "BF16",
    "Q8_0",
    "Q6_K",
    "Q5_K",
    "Q5_1",
    "Q5_0",
    "Q4_K",
    "Q4_1",
    "Q4_0",
    "IQ4_XS",
    "IQ4_NL",
    "Q3_K",
    "Q2_K",
)
"""Types that a policy can name."""

FALLBACKS = {"Q6_K": "Q8_0", "Q5_K": "Q5_1", "Q4_K": "Q5_0", "Q3_K": "IQ4_NL", "Q2_K": "IQ4_NL", "IQ4_XS": "IQ4_NL"}
"""What a type becomes where a row is no whole number of its blocks; F16 for the others, and where that fails too."""

CONVERSION_POLICIES = ("bf16", "f16", "f32", "q8_0")
"""Built-in policies that `convert` applies itself; the others need what a speech file alone can tell."""

MOST_RULES, LONGEST_PATTERN = 10_000, 256
"""Of one policy. A model has some thousand tensors, and their names a hundred characters."""

_KEYS = {"use", "rules", "otherwise"}
_WILD = re.compile(r"[*?\[]")


@checked
@dataclass(frozen=True)
class Policy:
    """`rules`: pattern and type, the first that fits decides; `otherwise` takes the rest."""

    name: str
    rules: tuple[tuple[str, str], ...]
    otherwise: str

    def __post_init__(self) -> None:
        _check_length(f"the policy {self.name:.80}", [pattern for pattern, _ in self.rules])

    def type_of(self, name: str, shape: tuple[int, ...]) -> str:
        """The type for the tensor of this name (docs/gguf.md) and shape, slowest axis first."""
        if len(shape) < 2:
            return "F32"
        rule = self._first_that_fits(name)
        return fitting(self.otherwise if rule is None else self.rules[rule][1], shape[-1])

    def fits_none(self, names: Sequence[str]) -> list[str]:
        """The patterns that fit no tensor of these names."""
        known = dict.fromkeys(names)
        fitting = {number for number, fits in self._wild if any(map(fits, known))}
        fitting |= {number for name, number in self._plain.items() if name in known}
        return list(dict.fromkeys(pattern for number, (pattern, _) in enumerate(self.rules) if number not in fitting))

    def _first_that_fits(self, name: str) -> int | None:
        plain = self._plain.get(name, len(self.rules))
        return next((number for number, fits in self._wild if number < plain and fits(name)), self._plain.get(name))

    @cached_property
    def _plain(self) -> dict[str, int]:
        """Patterns that are names -> the first rule of each."""
        return {p: n for n, (p, _) in reversed([*enumerate(self.rules)]) if not _WILD.search(p)}

    @cached_property
    def _wild(self) -> list[tuple[int, Callable[[str], object]]]:
        """The other rules. Compiled once: what Python keeps of `fnmatch` are fewer patterns than a policy may have."""
        return [(n, re.compile(translate(p)).match) for n, (p, _) in enumerate(self.rules) if _WILD.search(p)]


def fitting(type_: str, row: int) -> str:
    """The type itself, or its fallback where rows of this length are no whole number of blocks."""
    while row % block_of(type_)[0] != 0:
        type_ = FALLBACKS.get(type_, "F16")
    return type_


def policy_names() -> list[str]:
    """Names of the built-in policies."""
    return list(_built_in())


@checked
def read_policy(name_or_path: str | os.PathLike[str]) -> Policy:
    """A built-in policy by name, or a user's from a TOML file, which may `use` the built-in lists.

    Raises InputError for an unknown name, a file that can't be read, an unknown type or key.
    """
    built_in, name = _built_in(), os.fspath(name_or_path)
    if name in built_in:
        return _policy(name, built_in[name], "the built-in policies")
    path = Path(name)
    if path.suffix != ".toml":
        raise InputError(f"there is no policy {shown(name)}: choose one of {', '.join(policy_names())}, or a .toml")
    try:
        table = tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read as TOML: {' '.join(str(error).split())}") from error
    return _policy(path.stem, table, str(path))


@cache
def _built_in() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((files("omniggml.spec") / "policies.toml").read_text(encoding="utf-8"))
    policies: dict[str, Any] = table["policy"]
    return policies


def _policy(name: str, table: dict[str, Any], where: str) -> Policy:
    if unknown := set(table) - _KEYS:
        raise InputError(f"{where} has the unknown key {min(unknown)}; a policy has use, rules and otherwise")
    for key in ("use", "rules"):
        if not isinstance(table.get(key, []), list):
            raise InputError(f"{where} has {key} = {shown(table[key])}; expected a list")
    if not any(table.get(key) for key in _KEYS):
        raise InputError(f"{where} says nothing: a policy has use, rules and otherwise")
    if max(len(table.get(key, [])) for key in ("use", "rules")) > MOST_RULES:
        raise InputError(f"{where} has more than {MOST_RULES} rules; no model has so many tensors")
    rules = [*table.get("rules", [])]
    for used in table.get("use", []):
        if not isinstance(used, str) or used not in KEPT_AS:
            raise InputError(f"{where} uses {shown(used)}; the built-in lists are {', '.join(KEPT_AS)}")
    for used in dict.fromkeys(table.get("use", [])):
        rules += kept_list(used)
    for rule in rules:
        if not (isinstance(rule, list) and len(rule) == 2 and all(isinstance(part, str) for part in rule)):
            raise InputError(f"{where} has the rule {shown(rule)}; expected [pattern, type]")
        _check_type(rule[1], where)
    _check_length(where, [pattern for pattern, _ in rules])
    otherwise = table.get("otherwise", "F16")
    _check_type(otherwise, where)
    return Policy(name, tuple((pattern, type_) for pattern, type_ in rules), otherwise)


def _check_length(where: str, patterns: Sequence[str]) -> None:
    if len(patterns) > MOST_RULES:
        raise InputError(f"{where} has {len(patterns)} rules; a policy can have {MOST_RULES}")
    longest = max(map(len, patterns), default=0)
    if longest > LONGEST_PATTERN:
        raise InputError(f"{where} has a pattern of {longest} characters; it can have {LONGEST_PATTERN}")


def _check_type(type_: Any, where: str) -> None:
    if type_ not in TYPES:
        raise InputError(f"{where} names the type {shown(type_)}; it can be {', '.join(TYPES)}")
