"""Random models and checkpoints of any size, for tests and for `omniggml bench --make`.

from omniggml.synthetic.random_checkpoint import write_random_checkpoint
write_random_checkpoint("tiny", "a-directory")
"""
