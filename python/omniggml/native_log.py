"""What ggml logs, in Python's `logging`: the logger "omniggml.ggml". Why no GPU was found is said there, and nowhere
else."""

from __future__ import annotations

import logging

from omniggml import _native

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}

# ggml warns of much that is no user's business; who asks for the log gets all of it.
logging.getLogger("omniggml").addHandler(logging.NullHandler())


def pass_on() -> None:
    """Hand what was logged since the last call to `logging`."""
    logger = logging.getLogger("omniggml.ggml")
    for level, text in _native.take_log():
        if line := text.strip():
            logger.log(_LEVELS.get(level, logging.INFO), "%s", line)
