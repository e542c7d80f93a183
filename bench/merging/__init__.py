"""Merging checkpoints on disk: `bench.merge`, and the command of the same name."""
