"""One command, from its arguments to its exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import omniggml
from omniggml.cli import (
    batch,
    bench,
    chat,
    compare,
    convert,
    decode,
    devices,
    doctor,
    imatrix,
    inspect,
    plot,
    quantize,
    serve,
    speak,
    voices,
)
from omniggml.cli.exit_codes import FAILED, Parser, parse
from omniggml.cli.interruption import InterruptedBySignal, interruptible
from omniggml.cli.saying import LONGEST_LINE, say
from omniggml.errors import InputError, OmniError
from omniggml.native_log import pass_on
from omniggml.printable import printable

_COMMANDS = (
    *(speak, chat, serve, batch, voices, decode, convert, quantize, imatrix, inspect),
    *(doctor, compare, plot, bench, devices),
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = argparse.Namespace(failed=FAILED)
    warnings.showwarning = _one_line_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # answers may have letters that a terminal has not
    try:
        args = _parsed(arguments)
        with interruptible(), _logging(args.verbose):
            return _run(args)
    except OmniError as error:
        return _fail(str(error), args)
    except BrokenPipeError:
        return int(args.failed)  # the reader of our output went away
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), args)
    except RecursionError:
        return _fail("something given is nested deeper than can be followed", args)
    except MemoryError:
        return _fail("not enough memory", args)
    except UserWarning as warning:  # where somebody makes errors of them
        return _fail(str(warning), args)
    except InterruptedBySignal as signalled:
        by_hand = signalled.number == signal.SIGINT
        print("interrupted" if by_hand else f"ended by {signal.Signals(signalled.number).name}", file=sys.stderr)
        return 128 + signalled.number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        _settle_output()


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; leaves where they ask for help or are wrong, once all that is said of it is written."""
    try:
        return parse(_parser(), arguments)
    except SystemExit:
        _flush()
        raise


def _run(args: argparse.Namespace) -> int:
    if args.prints and sys.stdout is None:
        raise InputError("standard output is closed, and the result goes there")
    code = int(args.run(args))
    _flush()
    return code


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


class _OneLine(logging.Formatter):
    """Messages name files, too."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record), LONGEST_LINE)


@contextmanager
def _logging(verbose: int) -> Iterator[None]:
    """On stderr: what a server warns of, and with -v all that omniggml and ggml log."""
    logger, handler = logging.getLogger("omniggml" if verbose else "omniggml.server"), logging.StreamHandler()
    handler.setFormatter(_OneLine("%(name)s: %(message)s"))
    logger.addHandler(handler)
    before, logger.level = logger.level, (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    try:
        yield
    finally:
        if verbose:
            pass_on()
        logger.removeHandler(handler)
        logger.setLevel(before)


def _settle_output() -> None:
    """What can't be written by now must not make Python complain when it flushes at exit."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="omniggml", description="Qwen3-Omni speech from GGUF files.")
    parser.set_defaults(failed=FAILED, prints=False)
    versions = f"omniggml {omniggml.__version__} (ggml {omniggml.ggml_version})"
    parser.add_argument("--version", action="version", version=versions)
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more on stderr; twice, all that ggml logs"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser


def _fail(sentence: str, args: argparse.Namespace) -> int:
    say(sentence)
    return int(args.failed)


def _one_line_warning(message: Warning | str, category: object, filename: str, *_: object, **__: object) -> None:
    """What Pillow thinks of a damaged image is for the log: that it is damaged is said if it can't be read."""
    if "PIL" in Path(filename).parts:
        logging.getLogger("omniggml.images").debug("%s", message)
        return
    say(str(message), 2000)
