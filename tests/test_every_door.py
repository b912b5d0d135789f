"""Every public function and method, and every parameter of it, taken from the signatures: what is of a wrong type is
refused in one sentence that names the parameter. A new door is covered without a word here.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typing_extensions

import omniggml
from conftest import Files
from sentences import one_sentence

RESULTS = {
    "AnswerText", "BenchReport", "Change", "Comparison", "Concern", "Diagnosis", "Finding", "FoundPolicy", "Inspection",
    "Quantized", "Reading", "Recorded", "Reply", "Row", "Segment", "Share", "Speaking", "SpeechEngine", "SpeechTimings",
    "Seen", "StreamedReply", "TalkerStates", "ThinkerOutput",
}  # fmt: skip
"""Classes that nobody makes but us; their methods are doors all the same."""

NOT_CALLED = {"AudioLike", "BenchKeywords", "ImageLike", "LoadKeywords", "SpeechKeywords"}
"""Names of types and keywords, for type checkers."""


class Odd:
    """Of no type that anything takes."""

    def __repr__(self) -> str:
        return "Odd()"


@dataclass(frozen=True)
class Parameter:
    door: str
    name: str
    hint: Any

    def __str__(self) -> str:
        return f"{self.door}({self.name})"


def doors() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name -> function, for methods the plain function of the class."""
    for name in omniggml.__all__:
        value = getattr(omniggml, name)
        if inspect.isclass(value):
            if issubclass(value, Exception) or name in NOT_CALLED or hasattr(value, "__members__"):
                continue
            if name not in RESULTS:
                yield name, value
            for method, found in vars(value).items():
                found = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
                if not method.startswith("_") and inspect.isfunction(found):
                    yield f"{name}.{method}", found
        elif callable(value) and name not in NOT_CALLED:
            yield name, value


def parameters() -> Iterator[Parameter]:
    for name, door in doors():
        try:
            signature = inspect.signature(door)
        except ValueError:  # a native function that takes nothing
            continue
        inner: Any = door.__init__ if inspect.isclass(door) else door
        names = inspect.unwrap(inner).__globals__
        for parameter in signature.parameters.values():
            if parameter.name == "self" or parameter.annotation is parameter.empty:
                continue
            hint = eval(parameter.annotation, {**names, "Unpack": typing_extensions.Unpack})
            if parameter.kind is not parameter.VAR_KEYWORD:
                yield Parameter(name, parameter.name, hint)
                continue
            (keywords,) = typing.get_args(hint)
            for option, kind in typing.get_type_hints(keywords).items():
                yield Parameter(name, option, kind)


EVERY = list(parameters())
DOORS = dict(doors())


def right(hint: Any, given: dict[str, Any]) -> Any:
    """A value of the type, so that another parameter is what is refused."""
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    plain = {str: "x", int: 1, float: 0.5, bool: True, type(None): None, Path: given["path"]}
    if kind in plain:
        return plain[kind]
    if kind in (typing.Union, types.UnionType):
        return right(inner[0], given)
    if kind is typing.Literal:
        return inner[0]
    if kind in (collections.abc.Sequence, tuple):
        return [right(one, given) for one in inner if one is not ...]
    if kind is collections.abc.Mapping:
        return {}
    if kind is np.ndarray:
        return np.zeros((2, 2), np.float32)
    if kind is collections.abc.Callable:
        return print
    if getattr(kind, "_is_protocol", False):
        return np.zeros((2, 2), np.int32)
    if kind.__name__ in given:
        return given[kind.__name__]
    raise AssertionError(f"say what a {kind} is, so that doors that take one can be called")


def takes(hint: Any, value: Any) -> bool:
    """Whether a person who reads the annotation would hand that over: by a table of its own."""
    if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
        return True
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        return any(takes(one, value) for one in inner)
    if kind is typing.Literal:
        return value in inner and type(value) in map(type, inner)
    if getattr(kind, "_is_protocol", False):
        return True
    of_type = {str: str, int: int, bool: bool, float: (int, float), type(None): type(None)}
    if kind in of_type:
        return isinstance(value, of_type[kind]) and (kind is bool or not isinstance(value, bool))
    if kind is collections.abc.Callable:
        return callable(value)
    if kind in (collections.abc.Sequence, tuple):
        items = inner[0] if inner else Any
        return isinstance(value, (list, tuple)) and (items is int or all(takes(items, one) for one in value))
    if kind is collections.abc.Mapping:
        return isinstance(value, dict) and all(takes(inner[0], key) for key in value)
    if kind is np.ndarray:
        return isinstance(value, np.ndarray)
    return isinstance(value, kind) if isinstance(kind, type) else True


WRONG = (None, True, 3, -1, 3.5, float("nan"), 1j, "", "x", b"x", [], ["x"], [3], [None], {}, {3: 3}, Odd(), print)


@pytest.fixture(scope="module")
def given(tiny_files: Files, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What doors take beside plain values."""
    model = omniggml.load(tiny_files.speech, thinker=tiny_files.thinker, n_threads=1)
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": "hi"}])
    audio = model.speak("hi", max_frames=2)
    statistics = omniggml.Statistics(np.ones((1, 2)), np.ones(1))
    engine = model.engine(slots=1, queue=1)
    speaking = engine.begin("hi", max_frames=2)
    speaking.cancel(drop=True)
    own = [
        engine, speaking,
        model, audio, model.tokenizer, model.talker_prompt(conversation, conversation), omniggml.LoadOptions(),
        omniggml.ThinkerServer("http://127.0.0.1:9"),
        statistics, omniggml.SpeechOptions(), omniggml.TextOptions(), omniggml.read_policy("q8_0"),
        omniggml.Gate(1.0, 1.0, 1.0), omniggml.Agreement(1.0, 0.0, 1.0, 0.0), omniggml.Damage(1.0, 1.0, 1.0, 1.0, 1.0),
    ]  # fmt: skip
    missing = tmp_path_factory.mktemp("doors") / "missing.gguf"
    native = [model._speech, model._thinker.loaded() if model._thinker else None]
    writing = model.answer("hi", omniggml.TextOptions(max_tokens=1))
    return {type(one).__name__: one for one in [*own, *native]} | {"path": missing, "Writing": writing}


SHORT = {"max_frames": 1, "text_options": omniggml.TextOptions(max_tokens=1), "frames": 2, "repetitions": 1}
"""Said wherever a door takes it: it does no more than it has to."""


def called(parameter: Parameter, value: Any, given: dict[str, Any]) -> None:
    """The door with that argument, and the others as they should be."""
    door = DOORS[parameter.door]
    own = {one.name: one for one in reversed(EVERY) if one.door == parameter.door}
    several = [p.name for p in inspect.signature(door).parameters.values() if p.kind is p.VAR_POSITIONAL]
    gathering = [p.name for p in inspect.signature(door).parameters.values() if p.kind is p.VAR_KEYWORD]
    needed = [
        p.name for p in inspect.signature(door).parameters.values()
        if p.default is p.empty and p.name not in (*several, *gathering, "self")
    ]  # fmt: skip
    arguments = {name: right(own[name].hint, given) for name in needed}
    arguments |= {name: short for name, short in SHORT.items() if name in own} | {parameter.name: value}
    positional = [given[parameter.door.partition(".")[0]]] if "self" in inspect.signature(door).parameters else []
    if parameter.name in several:
        positional.append(arguments.pop(parameter.name))
    positional += [
        arguments.pop(p.name)
        for p in inspect.signature(door).parameters.values()
        if p.kind is p.POSITIONAL_ONLY and p.name != "self"
    ]
    result = door(*positional, **arguments)
    if inspect.iscoroutine(result):
        asyncio.run(result)
    if isinstance(result, contextlib.AbstractContextManager) and not isinstance(result, Path):
        with result:
            pass


@pytest.mark.parametrize("parameter", EVERY, ids=str)
def test_what_is_of_a_wrong_type_is_refused_by_name(parameter: Parameter, given: dict[str, Any]) -> None:
    for value in WRONG:
        if takes(parameter.hint, value):
            continue
        with pytest.raises(omniggml.InputError) as refused:
            called(parameter, value, given)
        one_sentence(str(refused.value), f"{parameter.name} is ", "expected ")


@pytest.mark.parametrize("parameter", EVERY, ids=str)
def test_what_is_of_the_right_type_and_odd_is_used_or_refused(
    parameter: Parameter, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in WRONG:
        if takes(parameter.hint, value):
            try:
                called(parameter, value, given)
            except omniggml.OmniError as refused:
                one_sentence(str(refused))


@pytest.mark.parametrize("name", sorted({one.door for one in EVERY}))
def test_an_option_that_there_is_not_is_refused(name: str, given: dict[str, Any]) -> None:
    owner = name.partition(".")[0]
    arguments = [given[owner]] if "." in name and owner in given else []
    with pytest.raises(omniggml.InputError) as refused:
        DOORS[name](*arguments, no_such_option=3)
    one_sentence(str(refused.value))
