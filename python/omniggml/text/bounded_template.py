"""Chat templates where there is no process to run them in: an allow-list of constructs, and a price on growth.

What published templates are made of is allowed: loops over what there is, conditions, slices, a few filters, tests and
methods. What isn't: macros, inclusion, ranges, literals that hold values, multiplication, powers and formatting, and
filters and methods that repeat or pad. What is left can only grow by joining; every text is charged to one budget, and
every loop turn to another.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from omniggml.text.template_bounds import LONGEST_TEXT
from omniggml.text.template_language import GenerationTag, RefusedError, sentence, set_up

MOST_TURNS = 200_000
"""Loop turns and calls that one rendering may take."""

MOST_TEXT = 16 * LONGEST_TEXT
"""Characters of all texts that one rendering makes on its way."""

LONGEST_TIME = 20.0
"""Seconds that one rendering may take, looked at on every turn and call."""

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.CondExpr, nodes.Assign,
    nodes.AssignBlock, nodes.Name, nodes.NSRef, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call,
    nodes.Keyword, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add,
    nodes.Sub, nodes.Concat, nodes.Mod, nodes.FloorDiv, nodes.Neg, nodes.Pos, nodes.ExprStmt, nodes.Scope,
    nodes.Continue, nodes.Break, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.CallBlock,
    nodes.ExtensionAttribute,
)  # fmt: skip
_FUNCTIONS = ("namespace", "raise_exception", "strftime_now")
_METHODS = frozenset(
    (
        "startswith",
        "endswith",
        "split",
        "rsplit",
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "get",
        "items",
        "keys",
        "values",
        "count",
        "find",
    )
)
_FILTERS = frozenset(
    (
        "trim",
        "length",
        "count",
        "tojson",
        "upper",
        "lower",
        "capitalize",
        "title",
        "string",
        "first",
        "last",
        "default",
        "d",
        "int",
        "float",
        "items",
        "list",
        "safe",
        "selectattr",
        "rejectattr",
    )
)


class _BoundExceededError(Exception):
    """The template did more than it may; never leaves this file."""


def render(source: str, variables: Mapping[str, Any]) -> tuple[str, str]:
    """The status and the text, as `template_process.render` gives them."""
    environment = _BoundedEnvironment()  # of its own: it counts this rendering's turns
    try:
        tree = environment.parse(source)
        _check_allowed(tree)
        template = environment.from_string(_with_turns(tree))
        return "text", _collect(template.generate(**variables))
    except RefusedError as error:
        return "refused", str(error)
    except _BoundExceededError as error:
        return "stopped", str(error)
    except (TemplateError, RecursionError, SyntaxError) as error:
        return "invalid", sentence(error)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:  # what its own code raises
        return "failed", sentence(error)


def _check_allowed(tree: nodes.Template) -> None:
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES) or _is_barred(node):
            name = getattr(node, "name", None) or getattr(node, "attr", None) or type(node).__name__
            raise _BoundExceededError(
                f"this system has no process to run it in, and without one {name!r:.40} (line {node.lineno}) is barred"
            )


def _is_barred(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name not in _FILTERS
    if isinstance(node, (nodes.List, nodes.Tuple, nodes.Dict)) and not _is_target(node):
        return any(not isinstance(item, (nodes.Const, nodes.Pair)) for item in node.items)
    if isinstance(node, nodes.Pair):
        return not isinstance(node.value, nodes.Const)
    if isinstance(node, nodes.Call) and not isinstance(node.node, nodes.ExtensionAttribute):
        called = node.node
        if isinstance(called, nodes.Name):
            return called.name not in _FUNCTIONS
        return not (isinstance(called, nodes.Getattr) and called.attr in _METHODS)
    return False


def _is_target(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Tuple) and node.ctx == "store"


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with a price on growth and repetition."""

    intercepted_binops = frozenset(("+", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", GenerationTag])
        set_up(self)
        self.turns = self.spent = 0
        self.deadline = monotonic() + LONGEST_TIME
        self.filters = {name: self._charged(made) for name, made in self.filters.items() if name in _FILTERS}
        self.filters["joined"] = self._joined

    def turn(self) -> str:
        """Called at the start of every loop body; the injected calls are in `_with_turns`."""
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise _BoundExceededError(f"it takes more than {MOST_TURNS} loop turns")
        if monotonic() > self.deadline:
            raise _BoundExceededError(f"it takes longer than {LONGEST_TIME:g} seconds")
        return ""

    def charge(self, value: Any) -> Any:
        """The value itself, paid for."""
        self.spent += len(value) if isinstance(value, (str, bytes, list, tuple)) else 0
        if self.spent > MOST_TEXT:
            raise _BoundExceededError(f"it makes texts of more than {MOST_TEXT} characters")
        return value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise _BoundExceededError("it formats with %, which can pad to any width")
        return self.charge(super().call_binop(context, operator, left, right))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.turn()
        return self.charge(super().call(context, function, *args, **kwargs))

    def _charged(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def paying(*args: Any, **kwargs: Any) -> Any:
            self.turn()
            return self.charge(function(*args, **kwargs))

        return paying

    def _joined(self, value: Any) -> str:
        """As `|string`, for `~`."""
        return str(self.charge(str(value)))


def _collect(pieces: Iterator[str]) -> str:
    collected, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > LONGEST_TEXT:
            raise _BoundExceededError(f"it makes more than {LONGEST_TEXT} characters")
        collected.append(piece)
    return "".join(collected)


def _with_turns(tree: nodes.Template) -> nodes.Template:
    """Rewrite the template: loops count their turns, joined and captured text is paid for."""
    for repeated in tree.find_all(nodes.For):
        repeated.body.insert(0, _turn_statement(repeated.lineno))
    for captured in tree.find_all(nodes.AssignBlock):
        captured.filter = nodes.Filter(captured.filter, "joined", [], [], None, None, lineno=captured.lineno)
    _replace_concatenations(tree)
    return tree


def _turn_statement(line: int) -> nodes.ExprStmt:
    call = nodes.Call(nodes.EnvironmentAttribute("turn", lineno=line), [], [], None, None, lineno=line)
    return nodes.ExprStmt(call, lineno=line)


def _replace_concatenations(node: nodes.Node) -> None:
    """`a ~ b` can't be intercepted, `a|joined + b|joined` is the same and can."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, list):
            setattr(node, name, [_without_concatenation(item) for item in value])
        else:
            setattr(node, name, _without_concatenation(value))
    for child in node.iter_child_nodes():
        _replace_concatenations(child)


def _without_concatenation(value: Any) -> Any:
    if not isinstance(value, nodes.Concat):
        return value
    parts = [nodes.Filter(part, "joined", [], [], None, None, lineno=value.lineno) for part in value.nodes]
    total: nodes.Expr = parts[0]
    for part in parts[1:]:
        total = nodes.Add(total, part, lineno=value.lineno)
    return total
