"""`python -m omniggml` is the `omniggml` command."""

import sys

from omniggml.cli import program

sys.exit(program())
