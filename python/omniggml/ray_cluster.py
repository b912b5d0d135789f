"""A cluster of Ray: reached, or started on this machine."""

from __future__ import annotations

import os

from omniggml.errors import InputError
from omniggml.extras import install_command

LOCAL = "local"
"""In the place of an address: a cluster of one's own, on this machine, that ends with the process."""


def connect(address: str) -> None:
    """Raises InputError where Ray isn't installed, and where there is no such cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f"many machines need {error.name}: {install_command('ray')}") from None
    local = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if address == LOCAL else {}
    try:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"there is no Ray cluster at {address!r:.80}: {error}") from error
