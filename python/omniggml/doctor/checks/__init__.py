"""The doctor's checks, a file for each stage; each is a function that adds findings to a case."""
