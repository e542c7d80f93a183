"""What changed between two sets of results, and whether a rerun is still within the spread of its baseline."""
