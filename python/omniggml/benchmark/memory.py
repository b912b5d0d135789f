"""The most memory this process had at once."""

from __future__ import annotations

import sys


def peak_memory() -> int:
    """Peak resident bytes of this process, pages of mapped files included; 0 where the system doesn't tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
