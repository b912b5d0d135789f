"""The process in which chat templates run, started by `template_process`: bounds on its memory, its time and its files,
set before it reads the first template.

Requests and answers pass through the socket on its standard input. A request is four bytes of length and JSON; an
answer is four bytes of length, a letter of `STATUSES` and text. Nothing of the model is in this process.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jinja2 import Template
from jinja2.exceptions import TemplateError

from omniggml.text.template_bounds import LONGEST_TEXT, MOST_CPU, MOST_MEMORY, STATUSES
from omniggml.text.template_language import RefusedError, sandbox, sentence

_SOCKET = 0
_MOST_COMPILED = 8


def main() -> None:
    """Answer requests until the other side closes."""
    limit_cpu = _limited()
    compiled: OrderedDict[str, Template] = OrderedDict()
    _send("ready", "")
    with suppress(BrokenPipeError, ConnectionResetError):
        while True:
            size = _received(4)
            request = _received(struct.unpack("<I", size)[0]) if len(size) == 4 else b""
            if not request:
                return
            limit_cpu()
            _send(*_answer(request, compiled))


def _answer(request: bytes, compiled: OrderedDict[str, Template]) -> tuple[str, str]:
    """The status and the text for a request. Whatever a template raises ends here: nothing but it runs."""
    try:
        source, variables = json.loads(request)
        del request
        return "text", _rendered(_template(source, compiled), variables)
    except RefusedError as error:
        return "refused", str(error)[:1000]
    except MemoryError:
        return "stopped", f"it takes more than {MOST_MEMORY >> 20} MiB of memory"
    except _TooLongError:
        return "stopped", f"it makes more than {LONGEST_TEXT} characters"
    except (TemplateError, RecursionError, SyntaxError) as error:
        return "invalid", sentence(error)
    except Exception as error:
        return "failed", sentence(error)


class _TooLongError(Exception):
    pass


def _template(source: str, compiled: OrderedDict[str, Template]) -> Template:
    if source not in compiled:
        compiled[source] = sandbox().from_string(source)
        if len(compiled) > _MOST_COMPILED:
            compiled.popitem(last=False)
    compiled.move_to_end(source)
    return compiled[source]


def _rendered(template: Template, variables: dict[str, Any]) -> str:
    pieces, length = [], 0
    for piece in template.generate(**variables):
        length += len(piece)
        if length > LONGEST_TEXT:
            raise _TooLongError
        pieces.append(piece)
    return "".join(pieces)


def _limited() -> Callable[[], None]:
    """Set what bounds this process, and return what sets the processor time of one more rendering."""
    if sys.platform == "win32":
        return lambda: None  # it has no such limits; who waits for the answer ends what takes too long

    import resource

    def set_limit(which: int, most: int) -> None:
        hard = resource.getrlimit(which)[1]
        # A system may know a limit and not take it; the others, and who waits for the answer, still hold.
        with suppress(ValueError, OSError):
            resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

    set_limit(resource.RLIMIT_CORE, 0)
    set_limit(resource.RLIMIT_FSIZE, 0)
    set_limit(resource.RLIMIT_NOFILE, 16)
    set_limit(resource.RLIMIT_AS, MOST_MEMORY)

    def limit_cpu() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        set_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + MOST_CPU)

    return limit_cpu


def _received(size: int) -> bytes:
    """So many bytes; fewer at the end."""
    parts = []
    while size > 0:
        part = os.read(_SOCKET, min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(status: str, text: str) -> None:
    data = STATUSES[status] + text.encode(errors="surrogatepass")
    rest = memoryview(struct.pack("<I", len(data)) + data)
    while rest:
        rest = rest[os.write(_SOCKET, rest) :]


if __name__ == "__main__":
    main()
