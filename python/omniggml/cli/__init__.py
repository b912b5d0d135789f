"""The command line: `omniggml speak | chat | serve | batch | voices | decode | convert | quantize | imatrix |
inspect | doctor | compare | plot | bench | devices`.

Exit codes: 0 done, 1 an error (one sentence on stderr), 2 wrong usage, 3 spoken, but cut at a limit, 128 and the
signal's number where one ended it: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. Those of `doctor` up to 63 are findings, so
there an error is 65 and wrong usage 64 (`cli/exit_codes.py`).
"""

from __future__ import annotations

# Nothing more, and the rest where it is used: until `program` runs, Ctrl-C is a traceback of Python's.
import _signal  # type: ignore[import-not-found,unused-ignore]
import sys

from omniggml.cli.leave import leave
from omniggml.cli.standard_streams import open_closed_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        # First, since on a CPU that is too old it says so, where NumPy ends the process.
        from importlib import import_module

        import_module("omniggml._native")
        from omniggml.cli.command_line import run

        return run(arguments)
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        # A build for another CPU says so in its own words.
        print(f"omniggml: {error}", file=sys.stderr)
        return 1


def program() -> int:
    """The process is the command. While modules are imported Ctrl-C ends it at once: nothing is begun, and an import
    that is broken off looks like a broken one. After the command there is nothing left to interrupt."""
    guarded = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if guarded:
        _signal.signal(_signal.SIGINT, leave)
    open_closed_streams()
    code = main()
    if guarded:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    return code
