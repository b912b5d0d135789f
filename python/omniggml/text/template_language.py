"""The language of chat templates: Jinja in its sandbox, with what transformers adds to it.

This file, `template_program` and `template_bounds` are all of ours that is loaded where a template runs, so they import
nothing else of the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class RefusedError(Exception):
    """The template itself refuses the messages, by `raise_exception`."""


class GenerationTag(Extension):
    """`{% generation %}`, which marks what an assistant says for training; here it is what is in it."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.CallBlock:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body, lineno=line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


def set_up(environment: ImmutableSandboxedEnvironment) -> ImmutableSandboxedEnvironment:
    """Give a sandbox the names that templates expect."""
    environment.filters["tojson"] = to_json
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment


def sandbox() -> ImmutableSandboxedEnvironment:
    """An environment for templates, without bounds of its own."""
    extensions: list[str | type[Extension]] = ["jinja2.ext.loopcontrols", GenerationTag]
    return set_up(ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions))


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Plain JSON, not the HTML-safe kind that Jinja makes."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: Any) -> NoReturn:
    raise RefusedError(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def sentence(error: BaseException) -> str:
    """What a library's exception says, in one line."""
    return " ".join((str(error) or type(error).__name__)[:300].split())
