"""Many texts into a directory of audio, on one machine or on many by Ray (`docs/scale.md`)."""
