"""A pickle's steps looked through before any is taken: what it says of its own sizes is held to what there is of it.

Python's unpickler allocates what an opcode states: a memo of so many places, a bytearray of so many bytes.
"""

from __future__ import annotations

import pickletools

MOST_STEPS = 2_000_000
"""Steps of a pickle; torch takes about thirty for a tensor."""

_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")


def check_steps(pickled: bytes) -> None:
    """Raises ValueError where a step states more than there is, or there are too many of them."""
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(pickled), 1):
        if steps > MOST_STEPS:
            raise ValueError(f"its listing takes more than {MOST_STEPS} steps, which tensors alone don't")
        # Picklers count the objects that they keep, and each takes a step.
        if opcode.name in _PUTS and isinstance(argument, int) and not 0 <= argument < steps:
            raise ValueError(f"its listing keeps object {argument} after {steps} steps")
