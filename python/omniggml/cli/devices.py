"""`omniggml devices`: what models can run on."""

from __future__ import annotations

import argparse
from typing import Any

import omniggml


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("devices", help="list the devices that models can run on")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    for device in omniggml.devices():
        memory = f"{device['memory_total'] / 2**30:.1f} GiB"
        print(f"{device['name']:12} {device['kind']:12} {memory:>10}  {device['description']}")
    return 0
