"""What bounds the process in which chat templates run, known to both sides of it."""

LONGEST_TEXT = 4_000_000
"""Characters that a rendered template may have."""

MOST_MEMORY = 512 << 20
"""Bytes of address space, the interpreter's own 50 MiB included."""

MOST_CPU = 4
"""Seconds of a processor that one rendering may take."""

STATUSES = {"ready": b"+", "text": b"t", "refused": b"r", "stopped": b"s", "invalid": b"i", "failed": b"f"}
"""What an answer begins with."""
