"""`omniggml devices`: what models can run on."""

from __future__ import annotations

import argparse
from typing import Any

import omniggml
from omniggml import _native
from omniggml.benchmark.vocoder_choice import vocoder_choice_text
from omniggml.cli.saying import tell


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("devices", help="list the devices that models can run on")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="also what was measured on this machine, and chosen by it"
    )
    parser.set_defaults(run=run, prints=True)


def run(args: argparse.Namespace) -> int:
    for device in omniggml.devices():
        memory = f"{device['memory_total'] / 2**30:.1f} GiB"
        tell(f"{device['name']:12} {device['kind']:12} {memory:>10}  {device['description']}")
    if args.verbose:
        choice = _native.vocoder_choice()
        tell("", f"threads      {_native.usable_cpus()}, as many as may run at once")
        tell(f"vocoder      {vocoder_choice_text(choice)}")
        if choice["kept_in"]:
            tell(f"             kept in {choice['kept_in']}; delete it to have it measured again")
        elif choice["bf16"]:
            tell("             not kept, so that it is measured at every start: there is no cache to write to")
    return 0
