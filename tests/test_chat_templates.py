"""Chat templates: those in published styles render as transformers renders them; hostile ones end in bounds; and the
process that renders them lives and dies with the program that uses it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_templates import CONVERSATIONS, RENDERED, TEMPLATES, by_transformers, variables_of
from omniggml.errors import InputError, ModelFileError, OmniError
from omniggml.text import template_process
from omniggml.text.chat_template import ChatTemplate
from sentences import one_sentence
from template_torture import ATTACKS, finds, grown, outcome

MESSAGES = [{"role": "user", "content": "hello"}]
CHATML = TEMPLATES["chatml"]
ENDLESS = ATTACKS["loops"]
EXPECTED = "<|im_start|>user\nhello<|im_end|>\n"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

GROWN = 40
"""Of the templates that `template_torture.py` grows."""


def rendered(template: str, which: str) -> str | None:
    variables = variables_of(which)
    try:
        return ChatTemplate(template).render(variables.pop("messages"), **variables)
    except OmniError:
        return None


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system that starts none."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not here")

    template_process.close_idle()
    monkeypatch.setattr(subprocess, "Popen", refuse)
    yield
    assert template_process._idle == []


# --- what they render -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_as_transformers_renders(name: str) -> None:
    expected = json.loads(RENDERED.read_text(encoding="utf-8"))[name]
    assert {which: rendered(TEMPLATES[name], which) for which in CONVERSATIONS} == expected


@pytest.mark.reference
def test_what_is_committed_is_transformers_own() -> None:
    pytest.importorskip("transformers")
    expected = json.loads(RENDERED.read_text(encoding="utf-8"))
    for name, template in TEMPLATES.items():
        for which in CONVERSATIONS:
            assert by_transformers(template, variables_of(which)) == expected[name][which], (name, which)


def test_without_a_process_the_same_or_a_refusal(no_process: None) -> None:
    """The allow-list changes nothing of what it lets through, and lets through what most templates are made of."""
    expected = json.loads(RENDERED.read_text(encoding="utf-8"))
    equal = 0
    for name, template in TEMPLATES.items():
        found = {which: rendered(template, which) for which in CONVERSATIONS}
        different = {which for which, text in found.items() if text != expected[name][which]}
        assert all(found[which] is None for which in different), (name, different)
        equal += not different
    assert equal >= 30, equal


def test_messages_of_other_classes() -> None:
    import collections
    import types

    import numpy as np

    class Text(str):
        pass

    content = collections.deque([types.MappingProxyType({"type": "text", "text": Text("a"), "n": np.int64(3)})])
    template = ChatTemplate(
        "{% for m in messages %}{% for p in m.content %}{{ p.text }}{{ p.n + 1 }}{% endfor %}{% endfor %}"
    )
    assert template.render([{"role": "user", "content": content}]) == "a4"


def cyclic() -> dict[str, object]:
    message: dict[str, object] = {"role": "user", "content": []}
    message["content"] = [message]
    return message


def deep() -> dict[str, object]:
    content: list[object] = []
    for _ in range(100_000):
        content = [content]
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "message", [cyclic(), deep(), {"role": "user", "content": [b"bytes"]}, {"role": "user", "x": {1}}]
)
def test_messages_that_are_none(message: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        ChatTemplate(CHATML).render([message])
    one_sentence(str(refused.value), "texts, numbers, lists and mappings")


# --- hostile ones -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_end_in_bounds(name: str) -> None:
    result = outcome(ATTACKS[name])
    assert finds(result) == [], result


@pytest.mark.slow
def test_grown_templates_end_in_bounds() -> None:
    for seed in range(GROWN):
        result = outcome(grown(seed))
        assert finds(result) == [], (seed, result)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_without_a_process(no_process: None, name: str) -> None:
    result = outcome(ATTACKS[name])
    assert finds(result) == [], result


@pytest.mark.parametrize("source", ["{% if %}", "{{ 1 / 0 }}", "{{ nothing.at.all }}", "{{ (1).to_bytes(10**11) }}"])
def test_it_is_the_template_that_is_wrong(source: str) -> None:
    with pytest.raises(ModelFileError, match="the model's chat template") as caught:
        ChatTemplate(source).render(MESSAGES)
    one_sentence(str(caught.value))


def test_nothing_of_the_environment_is_there() -> None:
    """Neither the model nor the program's variables: what isn't there can't leak."""
    process = template_process.TemplateProcess()
    try:
        assert process.ask("x", b"{}") == ("text", "x")
        if sys.platform == "linux":
            proc = Path(f"/proc/{process._process.pid}")
            assert b"PYTHONPATH" not in (proc / "environ").read_bytes()
            maps = (proc / "maps").read_text()
            assert "_native" not in maps and "numpy" not in maps
            assert len(list((proc / "fd").iterdir())) == 3
    finally:
        process.close()


# --- its life ---------------------------------------------------------------------------------------------------------


def test_it_is_started_once() -> None:
    template = ChatTemplate(CHATML)
    template.render(MESSAGES)
    (before,) = template_process._idle[-1:]
    for _ in range(20):
        assert template.render(MESSAGES) == EXPECTED
    assert template_process._idle[-1] is before


def test_killed_it_is_started_again() -> None:
    template = ChatTemplate(CHATML)
    for _ in range(3):
        template.render(MESSAGES)
        template_process._idle[-1]._process.kill()
        assert template.render(MESSAGES) == EXPECTED


def test_killed_while_it_renders() -> None:
    """The first is somebody's doing, and the template is tried again; the second ends it."""
    slow = ChatTemplate(ENDLESS)
    caught: list[str] = []

    def render() -> None:
        try:
            slow.render(MESSAGES)
        except ModelFileError as error:
            caught.append(str(error))

    thread = threading.Thread(target=render)
    thread.start()
    while thread.is_alive():
        for process in list(template_process._all):
            if process._is_ready and process not in template_process._idle:
                process._process.kill()
        time.sleep(0.01)
    one_sentence(caught[0], "stopped", "ends the process")


def test_what_a_signal_handler_raises_is_its_own() -> None:
    class TooLateError(Exception):
        pass

    def late(*_: object) -> None:
        raise TooLateError

    template = ChatTemplate(ENDLESS)
    before = signal.signal(signal.SIGALRM, late)
    try:
        for step in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.02 + 0.05 * step)
            with pytest.raises(TooLateError):
                template.render(MESSAGES)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ChatTemplate(CHATML).render(MESSAGES) == EXPECTED


def test_threads() -> None:
    template = ChatTemplate(CHATML)
    wrong: list[object] = []

    def render(number: int) -> None:
        for turn in range(20):
            text = f"{number} {turn}"
            if template.render([{"role": "user", "content": text}]) != EXPECTED.replace("hello", text):
                wrong.append(text)

    threads = [threading.Thread(target=render, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_asyncio() -> None:
    async def several() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(ChatTemplate(CHATML).render, MESSAGES) for _ in range(4)))

    assert asyncio.run(several()) == [EXPECTED] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_after_a_fork_each_has_its_own() -> None:
    template = ChatTemplate(CHATML)
    template.render(MESSAGES)
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            text = f"child {number}"
            good = all(
                template.render([{"role": "user", "content": text}]) == EXPECTED.replace("hello", text)
                for _ in range(20)
            )
            os._exit(0 if good else 1)
        children.append(child)
    for _ in range(20):
        assert template.render(MESSAGES) == EXPECTED
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert template.render(MESSAGES) == EXPECTED


PROGRAM = """
import os, signal, sys, threading, time
from omniggml.text.chat_template import ChatTemplate
from omniggml.text import template_process
t = ChatTemplate({source!r})
m = [{{"role": "user", "content": "x"}}]
t.render(m)
print(template_process._idle[-1]._process.pid, flush=True)
{end}
"""
ENDS = {
    "ordinary": "",
    "an exception": "raise ValueError('mine')",
    "os._exit": "os._exit(0)",
    "kill -9": "os.kill(os.getpid(), 9)",
    "a daemon thread in the midst": f"e = ChatTemplate({ENDLESS!r}); "
    "threading.Thread(target=lambda: e.render(m), daemon=True).start(); time.sleep(0.3)",
    "after a fork": "c = os.fork(); t.render(m); c and os.waitpid(c, 0)",
    "SIGPIPE ends it": "signal.signal(signal.SIGPIPE, signal.SIG_DFL); template_process._idle[-1]._process.kill(); "
    "time.sleep(0.2); t.render(m)",
}


@LINUX
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_its_program(end: str) -> None:
    """At once, without a word, and nothing is left running."""
    code = PROGRAM.format(source=CHATML, end=ENDS[end])
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60)
    assert time.monotonic() - start < 30
    noise = [line for line in done.stderr.splitlines() if "mine" not in line and "fork" not in line]
    assert end == "an exception" or noise == [], done.stderr
    pid = int(done.stdout.split()[0])
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


def test_ctrl_c_ends_a_hostile_rendering(tmp_path: Path) -> None:
    code = "from omniggml.text.chat_template import ChatTemplate\nprint(1, flush=True)\n"
    code += f"ChatTemplate({ENDLESS!r}).render([{{'role': 'user', 'content': 'x'}}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert said.strip().endswith("KeyboardInterrupt")
