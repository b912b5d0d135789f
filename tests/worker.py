"""A Python process beside the tests' own, so that code which aborts fails one test instead of ending all of them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import Any

DEADLINE = 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of a piece of code: `value` is its `result`; otherwise the class and message of its exception."""

    value: Any = None
    error: str = ""
    message: str = ""


class Worker:
    """Runs code, one piece at a time; started when first needed, and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def run(self, code: str, **names: Any) -> Outcome:
        """Execute `code` with `names` (values that JSON can hold). Its variable `result` is the value."""
        process = self._alive()
        assert process.stdin is not None
        process.stdin.write(json.dumps([code, names]) + "\n")
        process.stdin.flush()
        try:
            answer = self._answers.get(timeout=DEADLINE)
        except queue.Empty:
            self.close()
            raise AssertionError(f"no answer within {DEADLINE} s:\n{code}\n{names}") from None
        if not answer:
            status = process.wait()
            self.close()
            raise AssertionError(f"the process ended with {status}:\n{code}\n{names}")
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _alive(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._answers = queue.Queue()
            threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process


def _pass_on(lines: Any, answers: queue.Queue[str]) -> None:
    for line in lines:
        answers.put(line)
    answers.put("")


def _outcome(code: str, names: dict[str, Any]) -> Outcome:
    import omniggml

    scope = {"omniggml": omniggml, **names}
    try:
        exec(code, scope)
    except omniggml.OmniError as error:
        return Outcome(error=type(error).__name__, message=str(error))
    except BaseException as error:
        traceback.print_exc()
        return Outcome(error=type(error).__name__, message=str(error))
    return Outcome(scope.get("result"))


def _serve() -> None:
    # What the code prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            code, names = json.loads(line)
            print(json.dumps(_outcome(code, names).__dict__), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
