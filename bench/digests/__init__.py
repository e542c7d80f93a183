"""Which code a number stands on: a digest of definitions and all that they reach, whatever file they stand in."""
