"""Standard input, output and error where the process was started without them."""

from __future__ import annotations

import os
import sys


def open_closed_streams() -> None:
    """A closed one leads nowhere from here on.

    Else the next file that is opened gets its number, and what is written to standard error by number, here or in a
    library, lands in that file; and Python prints to standard output what is said to an error stream that is None.
    Standard input and output stay None: what reads or writes them says that they are closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one. Reading from it or writing to it the wrong way round fails.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_WRONLY), True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (pathlib isn't imported yet; open to the end)
