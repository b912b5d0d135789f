"""Render a model's chat template, which is a program somebody else wrote, within bounds.

A template comes out of a model file, so it may be hostile. Jinja's sandbox keeps it away from Python; it doesn't keep
it from looping for hours or building a terabyte. Here every loop and macro pays for its turns, every operation that
makes a string or list longer is checked before or right after it, and the functions that pad to a width are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from omniggml.errors import InputError, ModelFileError

LONGEST_TEXT = 4_000_000
"""Characters that a rendered template, or any string it makes on the way, may have."""

MOST_TURNS = 200_000
"""Loop turns and macro calls that one rendering may take; a second or so when they do little."""

LONGEST_TIME = 20.0
"""Seconds that one rendering may take, looked at on every turn and call."""

_LARGEST_NUMBER = 2**63
_WIDTH_METHODS = frozenset(("center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill"))
_UNBOUNDED_FILTERS = ("batch", "center", "format", "indent", "pprint", "slice", "sum", "urlize", "wordwrap", "xmlattr")


class _BoundExceededError(Exception):
    """The template did more than it may; never leaves this file."""


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with a price on growth and repetition."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=_printable
        )
        self.turns = 0
        self.deadline = monotonic() + LONGEST_TIME
        self.globals.pop("lipsum", None)
        self.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        for name in _UNBOUNDED_FILTERS:
            self.filters.pop(name, None)
        self.filters.update(bounded=_bounded, join=_join, replace=_replace, string=_string, tojson=_tojson)

    def turn(self) -> str:
        """Called at the start of every loop body and macro; the injected calls are in `_with_bounds`."""
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise _BoundExceededError(f"it takes more than {MOST_TURNS} loop turns")
        self.check_time()
        return ""

    def check_time(self) -> None:
        if monotonic() > self.deadline:
            raise _BoundExceededError(f"it takes longer than {LONGEST_TIME:g} seconds")

    def wrap_str_format(self, value: Any) -> None:
        """Jinja would hand out its own `str.format`, which pads to any width as well; without it,
        `is_safe_attribute` below decides."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, (str, bytes)) and attr in _WIDTH_METHODS:
            return False
        return bool(super().is_safe_attribute(obj, attr, value))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_growth(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.check_time()
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str) and name == "replace" and len(args) >= 2:
            return _replace(owner, *args, **kwargs)
        if isinstance(owner, str) and name == "join" and len(args) == 1:
            return _join(args[0], owner)
        return _bounded(super().call(context, function, *args, **kwargs))


class ChatTemplate:
    """A chat template, ready to render; safe to share between threads."""

    def __init__(self, source: str) -> None:
        """Keep the Jinja source; it is parsed at each rendering, which takes a millisecond or so."""
        self.source = source

    def render(self, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """The prompt text for `messages`, each a mapping with `role` and `content`.

        `variables` are the template's other names, such as `add_generation_prompt`. Raises ModelFileError when the
        template is not valid, fails, or passes a bound, and InputError when it refuses the messages itself.
        """
        environment = _BoundedEnvironment()  # of its own: it counts this rendering's turns
        try:
            tree = _with_bounds(environment.parse(self.source))
            template = environment.from_string(tree)
            return _collect(template.generate(messages=list(messages), **variables))
        except InputError:
            raise
        except _BoundExceededError as error:
            raise ModelFileError(f"the model's chat template was stopped: {error}") from None
        except (TemplateError, RecursionError, SyntaxError) as error:
            raise ModelFileError(f"the model's chat template is not valid: {_sentence(error)}") from error
        except Exception as error:  # the template's own code: anything may happen in it
            raise ModelFileError(f"the model's chat template failed: {_sentence(error)}") from error


def _collect(pieces: Iterator[str]) -> str:
    collected, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > LONGEST_TEXT:
            raise _BoundExceededError(f"it makes more than {LONGEST_TEXT} characters")
        collected.append(piece)
    return "".join(collected)


def _with_bounds(tree: nodes.Template) -> nodes.Template:
    """Rewrite the template: loops and macros count their turns, joined and captured text is checked."""
    for repeated in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)):
        assert isinstance(repeated, (nodes.For, nodes.Macro, nodes.CallBlock))
        repeated.body.insert(0, _turn_statement(repeated.lineno))
    for captured in tree.find_all(nodes.AssignBlock):
        captured.filter = nodes.Filter(captured.filter, "bounded", [], [], None, None, lineno=captured.lineno)
    _replace_concatenations(tree)
    return tree


def _turn_statement(line: int) -> nodes.ExprStmt:
    call = nodes.Call(nodes.EnvironmentAttribute("turn", lineno=line), [], [], None, None, lineno=line)
    return nodes.ExprStmt(call, lineno=line)


def _replace_concatenations(node: nodes.Node) -> None:
    """`a ~ b` can't be intercepted, `a|string + b|string` is the same and can."""
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
    parts = [nodes.Filter(part, "string", [], [], None, None, lineno=value.lineno) for part in value.nodes]
    total: nodes.Expr = parts[0]
    for part in parts[1:]:
        total = nodes.Add(total, part, lineno=value.lineno)
    return total


def _check_growth(operator: str, left: Any, right: Any) -> None:
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    if numbers and operator == "**" and (abs(right) > 64 or abs(left) > 2**32):
        raise _BoundExceededError(f"it raises {left!r} to the power {right!r}")
    if numbers and (abs(left) > _LARGEST_NUMBER or abs(right) > _LARGEST_NUMBER):
        raise _BoundExceededError("it reckons with numbers of more than 64 bits")
    if operator == "%" and isinstance(left, str):
        raise _BoundExceededError("it formats with %, which can pad to any width")
    if operator == "+" and not numbers:
        _check_length(_length(left) + _length(right))
    if operator == "*" and not numbers:
        times = left if isinstance(left, int) else right
        _check_length(max(_length(left), _length(right)) * max(times if isinstance(times, int) else 0, 0))


def _printable(value: Any) -> Any:
    """The value itself, once it is known that its text isn't too long. Called for whatever a template puts out."""
    if not isinstance(value, str):
        _check_length(_printed_length(value))
    return value


def _printed_length(value: Any, depth: int = 0) -> int:
    """About how many characters `str(value)` would have; stops counting past the bound."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if not isinstance(value, (list, tuple, dict)) or depth > 50:
        return 8
    parts = (part for pair in value.items() for part in pair) if isinstance(value, dict) else iter(value)
    total = 2
    for part in parts:
        total += _printed_length(part, depth + 1) + 2
        if total > LONGEST_TEXT:
            break
    return total


def _string(value: Any) -> str:
    return str(_printable(value))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, tuple)) else 0


def _check_length(length: int) -> None:
    if length > LONGEST_TEXT:
        raise _BoundExceededError(f"it makes a value of {length} characters, more than {LONGEST_TEXT}")


def _bounded(value: Any) -> Any:
    _check_length(_length(value))
    return value


def _join(values: Any, separator: str = "", attribute: str | None = None) -> str:
    items: list[str] = []
    length = 0
    for value in values:
        items.append(_item(value, attribute))
        length += len(items[-1]) + len(separator)
        _check_length(length)
    return separator.join(items)


def _item(value: Any, attribute: str | None) -> str:
    if attribute is not None:
        value = value.get(attribute) if isinstance(value, Mapping) else None
    return _string(value)


def _replace(text: str, old: str, new: str, count: int | None = None) -> str:
    text, old, new = _string(text), _string(old), _string(new)
    found = text.count(old) if count is None or count < 0 else min(text.count(old), count)
    _check_length(len(text) + found * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers' templates expect it: plain JSON, not the HTML-safe kind that Jinja makes."""
    _printable(value)
    width = None if indent is None else min(max(indent, 0), 16)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=width, separators=separators, sort_keys=sort_keys)


def _strftime_now(pattern: str) -> str:
    if len(pattern) > 200 or any(part[:6].lstrip("-_0^#").isdigit() for part in pattern.split("%")[1:]):
        raise _BoundExceededError("it asks for a date of any width")
    return datetime.now().strftime(pattern)


def _raise_exception(message: str) -> NoReturn:
    raise InputError(f"the model's chat template refuses these messages: {message}")


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
