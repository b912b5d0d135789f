"""`python -m omniggml` is the `omniggml` command."""

import sys

from omniggml.cli import main

sys.exit(main())
