"""Processes that render chat templates, from this side: started once, used again, replaced when they end.

A process takes one request at a time, so that threads have one each. After a fork each side has its own: those of the
parent are closed in the child. They end when this process does, however it ends, since their socket closes; and a
signal that arrives while an answer is awaited raises in the caller as anywhere else.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from omniggml.text.template_bounds import LONGEST_TEXT, MOST_CPU, STATUSES

LONGEST_WAIT = 5.0 * MOST_CPU
"""Seconds after which a rendering is stopped, whatever it does."""

_LONGEST_START = 60.0
_MOST_IDLE = max(2, os.cpu_count() or 1)
_LONGEST_ANSWER = 4 * LONGEST_TEXT + 1
_PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:]
from omniggml.text.template_program import main
main()
"""
# How libraries and the time zone are found; nothing else of the environment is a template's business.
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ", "TZDIR")
_NAMES = {code: name for name, code in STATUSES.items()}


class NoProcessError(Exception):
    """This system gives no process."""


class ProcessEndedError(Exception):
    """`status`: the exit code, or minus the signal that ended it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"ended with {status}")
        self.status = status


class TemplateProcess:
    """One of them; for one thread at a time."""

    def __init__(self) -> None:
        """Start it, without waiting for it. Raises NoProcessError."""
        if sys.platform == "win32" or not sys.executable or getattr(sys, "frozen", False):
            raise NoProcessError
        self.owner = os.getpid()
        self._is_ready = False
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, *_roots()],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    cwd="/",
                    start_new_session=True,  # a terminal's Ctrl-C is for us, who decide what becomes of it
                )
        except (OSError, NotImplementedError, subprocess.SubprocessError) as error:
            raise NoProcessError from error
        _all.add(self)

    @property
    def is_usable(self) -> bool:
        """It runs, and is this process's own."""
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, source: str, variables: bytes) -> tuple[str, str]:
        """Render: `variables` are JSON of them. Returns the status and a text.

        Raises NoProcessError where it doesn't start, ProcessEndedError where it ends in the midst, TimeoutError.
        """
        try:
            if not self._is_ready:
                self._await_start()
            request = b"[%s,%s]" % (json.dumps(source).encode("ascii"), variables)
            deadline = monotonic() + LONGEST_WAIT
            self._send(struct.pack("<I", len(request)) + request, deadline)
            return self._answer(deadline)
        except (ConnectionError, EOFError):
            status = self.close()
            raise ProcessEndedError(status) from None
        except BaseException:  # what it would answer later is no answer to anything
            self.close()
            raise

    def close(self) -> int:
        """End it. Returns its exit status."""
        _all.discard(self)
        self._socket.close()
        if self.owner != os.getpid():
            self._process.returncode = 0  # not ours to wait for
            return 0
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # it may be on its way by itself, with a status that tells why
        self._process.kill()
        return self._process.wait()

    def _await_start(self) -> None:
        try:
            status, _ = self._answer(monotonic() + _LONGEST_START)
        except (ConnectionError, EOFError, TimeoutError):
            raise NoProcessError from None
        if status != "ready":
            raise NoProcessError
        self._is_ready = True

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        # A program that lets SIGPIPE end it must not be ended by this.
        flags = getattr(socket, "MSG_NOSIGNAL", 0)
        while rest:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            rest = rest[self._socket.send(rest, flags) :]

    def _answer(self, deadline: float) -> tuple[str, str]:
        size = struct.unpack("<I", self._received(4, deadline))[0]
        if not 1 <= size <= _LONGEST_ANSWER:
            raise EOFError
        data = self._received(size, deadline)
        return _NAMES[data[:1]], data[1:].decode(errors="surrogatepass")

    def _received(self, size: int, deadline: float) -> bytes:
        parts = []
        while size > 0:
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            part = self._socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


_all: set[TemplateProcess] = set()
_idle: list[TemplateProcess] = []


def prepare() -> None:
    """Start one in the background, for the first rendering to find it ready."""
    if not any(process.is_usable for process in list(_idle)):
        with suppress(NoProcessError):
            _idle.append(TemplateProcess())


def render(source: str, variables: bytes) -> tuple[str, str]:
    """The status and the text that a process answers with; see `STATUSES`. What ended it or kept it too long is
    "stopped". Raises NoProcessError."""
    for attempt in range(2):
        process = _usable()
        try:
            answer = process.ask(source, variables)
        except TimeoutError:
            return "stopped", f"it takes longer than {LONGEST_WAIT:g} seconds"
        except ProcessEndedError as error:
            if error.status == -getattr(signal, "SIGXCPU", 0):
                return "stopped", f"it takes more than {MOST_CPU} seconds of a processor"
            # Ended by somebody, not by the template, it ends once.
            if attempt == 1:
                return "stopped", f"it ends the process that renders it, with status {error.status}"
            continue
        if answer[0] == "stopped" or len(_idle) >= _MOST_IDLE:
            process.close()
        else:
            _idle.append(process)
        return answer
    raise AssertionError


def _usable() -> TemplateProcess:
    while True:
        try:
            process = _idle.pop()
        except IndexError:
            return TemplateProcess()
        if process.is_usable:
            return process
        process.close()


def _roots() -> list[str]:
    """Where the process finds this package and the two that Jinja is made of."""
    files = (getattr(find_spec(name), "origin", None) for name in ("omniggml", "jinja2", "markupsafe"))
    return list(dict.fromkeys(str(Path(file).parent.parent) for file in files if file))


def close_idle() -> None:
    """End those that wait for a template. One that renders is some daemon thread's, which must not wake up to an error
    while the interpreter ends: it ends by itself, by the closed socket or by its limits."""
    for process in [_idle.pop() for _ in range(len(_idle))]:
        process.close()
    for process in list(_all):
        process._process.returncode = 0  # nobody will wait for it


def _forget() -> None:
    """In a forked child: its parent's processes are none of its own."""
    for process in list(_all):
        process.close()
    _idle.clear()


atexit.register(close_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
