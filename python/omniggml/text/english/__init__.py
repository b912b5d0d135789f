"""English as it is said: what stands for what, by purpose, and the order in which it is looked for."""
