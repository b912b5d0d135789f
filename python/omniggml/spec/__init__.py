"""What a Qwen3-Omni is: its configuration, its tensors, the keys of its files, and what their values need.

One table for each fact; families, policies, inspection and the doctor derive from these. Nothing here opens a file.
"""
