"""Fusion: networks of one architecture into one, and the path between two."""
