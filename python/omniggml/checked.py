"""What a caller hands over, held to what the signature says: one pattern for every public function and class.

The annotations are the table: a door that is `checked` refuses an argument of another type in one sentence, before
anything looks at it, and says what it takes. Numbers out of bounds, texts that say nothing and arrays of a wrong shape
are the affair of the door itself.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import os
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import numpy as np

from omniggml.errors import InputError
from omniggml.printable import shown

Door = TypeVar("Door", bound=Callable[..., Any])

_NUMBERS = "biuf"
_PLAIN: dict[object, tuple[tuple[type, ...], str]] = {
    bool: ((bool, np.bool_), "True or False"),
    int: ((int, np.integer), "an integer"),
    float: ((int, float, np.integer, np.floating), "a number"),
    str: ((str,), "a text"),
    type(None): ((type(None),), "None"),
}
"""Annotation -> types of values, and the words for them. True is no number."""


def checked(door: Door) -> Door:
    """A function, or a class with all its public methods, that raises InputError for an argument of another type than
    its annotation, one that is missing, and one that there isn't."""
    if not isinstance(door, type):
        return cast(Door, _guarded(door))
    for name, member in list(vars(door).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, (staticmethod, classmethod)):
            setattr(door, name, type(member)(_guarded(member.__func__)))
        elif inspect.isfunction(member):
            setattr(door, name, _guarded(member))
    return door


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def guard(*arguments: Any, **keywords: Any) -> Any:
        _check(function, arguments, keywords)
        return function(*arguments, **keywords)

    return guard


def _check(function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
    signature, hints = _signature(function)
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise InputError(_misfit(function, signature, keywords, str(error))) from None
    for name, value in bound.arguments.items():
        if name not in hints:
            continue
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        for one in value if several else (value,):
            if not fits(one, hints[name]):
                raise InputError(f"{name} is {shown(one)}; expected {' or '.join(_words(hints[name]))}")


@functools.cache
def _signature(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """The signature, and the types of those parameters that have one."""
    signature = inspect.signature(function)
    names = inspect.unwrap(function).__globals__
    hints = {}
    for name, parameter in signature.parameters.items():
        # Keywords in a TypedDict are those of options, which check themselves.
        if parameter.annotation is not parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            written = parameter.annotation
            hints[name] = eval(written, names) if isinstance(written, str) else written
    return signature, hints


def _misfit(
    function: Callable[..., Any], signature: inspect.Signature, keywords: Mapping[str, Any], reason: str
) -> str:
    named = [p.name for p in signature.parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [name for name in named if name != "self"]
    unknown = [name for name in keywords if name not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return f"there is no option {', '.join(unknown)}; the options are {', '.join(known)}"
    name = function.__qualname__.removesuffix(".__init__")
    return f"{name} can't be called so: {reason}; its arguments are {', '.join(known)}"


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotation's type, as far as that can be told without looking at numbers."""
    if hint in _PLAIN:
        kinds, _ = _PLAIN[hint]
        return isinstance(value, kinds) and (hint is bool or not isinstance(value, (bool, np.bool_)))
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if hint is None:
        return value is None
    if kind in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if kind is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if kind is collections.abc.Callable:
        return callable(value)
    if kind is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS
    if kind is tuple:
        return isinstance(value, (tuple, list)) and _all_fit(value, inner)
    if kind is collections.abc.Mapping:
        return isinstance(value, Mapping) and (not inner or all(fits(key, inner[0]) for key in value))
    if kind in (collections.abc.Sequence, collections.abc.Iterable):
        return _is_sequence(value, kind) and _all_fit(value, (*inner, ...))
    # What an array can be made of only NumPy knows.
    is_class = isinstance(kind, type) and not getattr(kind, "_is_protocol", False)
    return not is_class or isinstance(value, kind)


def _is_sequence(value: object, kind: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray, Mapping)):
        return False
    return isinstance(value, (kind, np.ndarray))


def _all_fit(values: Any, inner: tuple[Any, ...]) -> bool:
    """Whether the items of a tuple or a sequence are what it is to hold."""
    if len(inner) == 2 and inner[1] is ...:
        if inner[0] is str:
            return {*map(type, values)} <= {str} or all(isinstance(value, str) for value in values)
        # Numbers in sequences are read as arrays, with their own sentences for what is wrong with them.
        return (
            inner[0] is int
            or not isinstance(values, collections.abc.Sequence)
            or all(fits(value, inner[0]) for value in values)
        )
    return len(values) == len(inner) and all(map(fits, values, inner))


def _words(hint: Any) -> list[str]:
    """What an annotation takes, for people."""
    if hint is None or hint in _PLAIN:
        return [_PLAIN[type(None) if hint is None else hint][1]]
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return list(dict.fromkeys(word for one in inner for word in _words(one)))
    if kind is Literal:
        return [repr(one) for one in inner]
    if kind is os.PathLike:
        return ["a pathlib.Path"]
    if kind is collections.abc.Callable:
        return ["a function"]
    if kind is collections.abc.Mapping:
        return ["a mapping by names"]
    if kind is np.ndarray:
        return ["a NumPy array of numbers"]
    if kind in (collections.abc.Sequence, collections.abc.Iterable, tuple):
        return ["a list" if not inner or inner[0] in (Any, object) else f"a list of {_plural(inner[0])}"]
    name = getattr(kind, "__name__", str(kind))
    return [f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"]


def _plural(hint: Any) -> str:
    words = {str: "texts", int: "integers", float: "numbers"}
    return words.get(hint) or getattr(get_origin(hint) or hint, "__name__", "values") + "s"
