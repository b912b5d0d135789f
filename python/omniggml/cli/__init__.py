"""The command line: `omniggml speak | chat | decode | convert | quantize | imatrix | inspect | doctor |
compare | plot | bench | devices`.

Exit codes: 0 done, 1 an error (one sentence on stderr), 2 wrong usage, 130 interrupted by Ctrl-C. Those of `doctor` up
to 63 are findings, so there an error is 65 and wrong usage 64 (`cli/exit_codes.py`).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence

import omniggml
from omniggml.cli import bench, chat, compare, convert, decode, devices, doctor, imatrix, inspect, plot, quantize, speak
from omniggml.cli.exit_codes import FAILED, Parser, parse
from omniggml.errors import OmniError

_COMMANDS = (speak, chat, decode, convert, quantize, imatrix, inspect, doctor, compare, plot, bench, devices)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parse(_parser(), arguments)
    warnings.showwarning = _one_line_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # answers may have letters that a terminal has not
    try:
        code = int(args.run(args))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OmniError as error:
        return _fail(str(error), args)
    except BrokenPipeError:
        return int(args.failed)  # the reader of our output went away
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), args)
    except MemoryError:
        return _fail("not enough memory", args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        _settle_output()


def _settle_output() -> None:
    """What can't be written by now must not make Python complain when it flushes at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="omniggml", description="Qwen3-Omni speech from GGUF files.")
    parser.set_defaults(failed=FAILED)
    versions = f"omniggml {omniggml.__version__} (ggml {omniggml.ggml_version})"
    parser.add_argument("--version", action="version", version=versions)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser


def _fail(sentence: str, args: argparse.Namespace) -> int:
    print(f"omniggml: {sentence}", file=sys.stderr)
    return int(args.failed)


def _one_line_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"omniggml: {message}", file=sys.stderr)
