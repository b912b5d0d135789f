"""Two models module by module: the first in which they part (`omniggml.compare`)."""
