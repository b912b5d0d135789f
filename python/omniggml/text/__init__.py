"""Text before it becomes tokens: chat templates, and how figures and signs are written out as words."""
